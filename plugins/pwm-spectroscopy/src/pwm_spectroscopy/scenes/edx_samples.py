"""The classes of samples in the electron microscope."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .assorted import Pool
from .scene import Maps, Sample
from .shapes import Canvas


def _particles(c: Canvas) -> Maps:
    """Core-shell particles on a holey carbon film: a Pt-Co core in a shell of iron oxide, some without."""
    core, shell = np.zeros(c.shape), np.zeros(c.shape)
    cobalt = np.zeros(c.shape)
    for centre in c.places(int(c.rng.integers(9, 16)), 0.05):
        radius = c.rng.uniform(0.05, 0.12)
        inner = radius * c.rng.uniform(0.5, 0.75)
        outside = c.facets(centre, radius, int(c.rng.integers(6, 9)))
        inside = c.facets(centre, inner, int(c.rng.integers(5, 8)))
        part = c.dome(inside, inner) * inner / 0.09
        whole = c.dome(outside, radius) * radius / 0.12
        coated = c.rng.random() < 0.8
        core = core + part
        cobalt = cobalt + part * c.rng.uniform(0.4, 1.0)
        shell = shell + coated * np.clip(whole - 0.75 * part, 0, None)
    film = c.soft(c.texture(0.35) + c.rng.uniform(0.6, 1.2), 0.3) * c.relief(0.05, 0.1)
    loose = c.spots(30, (0.006, 0.014), 0.1)
    return {
        "C": 0.75 * film,
        "O": 0.7 * shell + 0.06 * film,
        "Fe": 0.8 * shell + 0.15 * loose,
        "Co": 0.9 * cobalt,
        "Pt": 0.9 * core + 0.1 * loose,
    }


def _boundary(c: Canvas) -> Maps:
    """A barium titanate ceramic: V and Fe at its grain boundaries, pockets of alumina."""
    cell, border = c.grains(int(c.rng.integers(4, 8)), 0.04)
    thick = 0.85 + 0.25 * (c.gradient() - 0.5)
    level = c.rng.uniform(0.92, 1.0, cell.max() + 1)[cell] * c.relief(0.2, 0.03)
    film = c.soft(0.014 - border, 0.012)
    second, edge = c.grains(9, 0.03)
    pocket = c.soft(c.texture(0.2) - 1.4, 0.3) * (c.rng.random(second.max() + 1) < 0.7)[second]
    pocket = np.maximum(pocket, c.spots(3, (0.03, 0.09), 0.4) > 0.35) * c.soft(edge - 0.002)
    pocket = c.smooth(pocket.astype(float), 0.7 * c.unit)
    oxide = level * (1 - 0.9 * pocket) * (1 - 0.25 * film)
    layer = film * c.relief(0.15, 0.4) * (1 - pocket)
    dopant = c.rng.uniform(0.05, 0.35, cell.max() + 1)[cell]
    return {
        "O": thick * (0.75 * oxide + 0.9 * pocket + 0.2 * layer),
        "Al": thick * (0.9 * pocket + 0.06 * layer),
        "Ti": thick * (0.85 * oxide - 0.2 * layer),
        "V": thick * (0.7 * layer + dopant * oxide + 0.05 * pocket),
        "Fe": thick * (0.6 * layer * c.soft(c.texture(0.2), 1.0) + 0.7 * c.spots(7, (0.01, 0.03))),
        "Ba": thick * (0.85 * oxide),
    }


def _stack(c: Canvas) -> Maps:
    """A cross-section of a device: silicon, oxide, hafnia, titanium nitride, tungsten, and a contact."""
    tilt = c.rng.uniform(-0.06, 0.06) * (c.x - 0.5)
    depth = c.y + tilt
    rough = [0.006 * c.rng.uniform(0.5, 2) * c.texture(0.12)[:1] for _ in range(5)]
    top = c.rng.uniform(0.12, 0.2)
    edges = top + np.cumsum([0.0, *c.rng.uniform([0.12, 0.06, 0.05, 0.06], [0.2, 0.12, 0.1, 0.12])])
    below = [c.soft(depth - e + r, 0.012) for e, r in zip(edges, rough, strict=True)]
    tungsten, nitride, hafnia, oxide = (a - b for a, b in pairwise(below))
    silicon = below[-1]
    middle, half, floor = c.rng.uniform(0.3, 0.7), c.rng.uniform(0.06, 0.1), edges[-1] + 0.08

    def contact(more: float) -> np.ndarray:
        across = c.soft(half + more - np.abs(c.x - middle), 0.012)
        return across * c.soft(depth - edges[0], 0.012) * c.soft(floor + more - depth, 0.012)

    via, lined = contact(0.0), contact(0.025)
    liner = lined - via
    nitride, hafnia, oxide, silicon = (a * (1 - lined) for a in (nitride, hafnia, oxide, silicon))
    tungsten, nitride = np.maximum(tungsten, 0.95 * via), nitride + liner
    cap = (1 - below[0]) * c.relief(0.05, 0.1)
    interdiffused = c.smooth(hafnia, 0.015)
    thick = 0.9 + 0.15 * (c.gradient() - 0.5)
    return {
        "N": thick * (0.85 * nitride + 0.03 * oxide),
        "O": thick * (0.9 * oxide + 0.6 * interdiffused + 0.1 * cap),
        "Si": thick * (0.9 * silicon + 0.4 * oxide + 0.08 * interdiffused),
        "Ti": thick * (0.85 * nitride + 0.05 * c.smooth(nitride, 0.03)),
        "Hf": thick * 0.85 * interdiffused,
        "W": thick * (0.85 * tungsten * c.relief(0.04, 0.12) + 0.05 * cap),
    }


def _dust(c: Canvas) -> Maps:
    """An interplanetary dust particle: porous aggregate of silicates, sulphide, metal and carbonate."""
    outline = c.blob((0.5, 0.5), c.rng.uniform(0.4, 0.48), 0.3)
    body = c.soft(outline + 0.03 * c.texture(0.08), 0.02)
    cell, border = c.grains(int(c.rng.integers(60, 110)), 0.03)
    kind = c.rng.choice(5, cell.max() + 1, p=[0.34, 0.24, 0.16, 0.14, 0.12])[cell]
    dense = c.rng.uniform(0.5, 1.0, cell.max() + 1)[cell] * c.soft(border - 0.002, 0.01) * c.relief(0.05, 0.2)
    pores = 1 - 0.85 * c.soft(c.texture(0.07) - 1.0, 0.3)
    solid = body * pores * dense
    olivine, pyroxene, glass, sulphide, void = (solid * (kind == k) for k in range(5))
    beads = c.spots(int(c.rng.integers(15, 30)), (0.008, 0.03), 0.15) * body
    carbonate = c.spots(5, (0.015, 0.05), 0.3) * body
    silicate = olivine + 0.9 * pyroxene + 0.8 * glass + 0.15 * void
    return {
        "O": 0.85 * silicate + 0.6 * carbonate + 0.06 * body,
        "Mg": 0.9 * olivine + 0.6 * pyroxene + 0.2 * glass,
        "Si": 0.6 * olivine + 0.85 * pyroxene + 0.8 * glass + 0.05 * void,
        "S": 0.8 * sulphide + 0.25 * beads,
        "Ca": 0.9 * carbonate + 0.12 * glass,
        "Fe": 0.75 * sulphide + 0.2 * olivine + 0.12 * glass + 0.5 * beads,
        "Ni": 0.6 * beads + 0.1 * sulphide,
    }


SAMPLES = (
    Sample(
        "boundary",
        "a doped ceramic's grain boundaries: Ba L on Ti K, V L on O K",
        "BaTiO3",
        30.0,
        {"O": 12, "Al": 12, "Ti": 8, "V": 4, "Fe": 4, "Ba": 20},
        _boundary,
    ),
    Sample(
        "particles",
        "core-shell nanoparticles on carbon: Co K beside Fe K, light film beside heavy cores",
        "FeO",
        15.0,
        {"C": 6, "O": 8, "Fe": 15, "Co": 10, "Pt": 25},
        _particles,
    ),
    Sample(
        "stack",
        "a layered device in cross-section: Ti L on N K, Hf M and W M on Si K",
        "SiO2",
        20.0,
        {"N": 8, "O": 12, "Si": 15, "Ti": 15, "Hf": 35, "W": 45},
        _stack,
    ),
    Sample(
        "dust",
        "an interplanetary dust particle: many minor elements, S K, Ca K, Fe K, Ni K",
        "MgSiO3",
        30.0,
        {"O": 20, "Mg": 12, "Si": 12, "S": 12, "Ca": 8, "Fe": 20, "Ni": 6},
        _dust,
    ),
)  # fmt: skip

POOL = Pool(
    {"C": 10, "N": 10, "O": 12, "F": 10, "Na": 10, "Mg": 12, "Al": 12, "Si": 12, "P": 12, "S": 12, "Cl": 12,
     "K": 12, "Ca": 12, "Ti": 12, "V": 12, "Cr": 12, "Mn": 15, "Fe": 15, "Co": 15, "Ni": 15, "Cu": 15,
     "Zn": 15, "Ga": 20, "As": 20, "Sr": 20, "Zr": 20, "Mo": 25, "Ag": 25, "In": 25, "Sn": 25, "Ba": 25,
     "La": 25, "Ce": 25, "Hf": 40, "Ta": 40, "W": 40, "Pt": 40, "Au": 40, "Pb": 40},
    ("C", "SiO2", "Al2O3", "TiO2", "Fe2O3", "MgSiO3", "BaTiO3"),
    (8.0, 60.0),
    matrix=False,
)  # fmt: skip
