"""The classes of samples under the X-ray microprobe."""

from __future__ import annotations

import numpy as np

from .assorted import Pool
from .scene import Maps, Sample
from .shapes import Canvas


def _soil(c: Canvas) -> Maps:
    """Quartz, feldspar, lime and clay grains; iron coatings that hold arsenic; lead in hot spots."""
    cell, border = c.grains(int(c.rng.integers(18, 34)))
    kind = c.rng.choice(4, cell.max() + 1, p=[0.35, 0.25, 0.15, 0.25])[cell]  # quartz, feldspar, lime, clay
    thick = c.rng.uniform(0.4, 1.0, cell.max() + 1)[cell] * c.relief(0.1, 0.15)
    body = c.soft(border - 0.008) * np.clip(0.45 + 5 * border, 0, 1) * thick
    coat = (
        c.soft(0.016 - np.abs(border - 0.014), 0.01) * c.relief(0.2, 0.5) * c.soft(c.texture(0.25) + 0.2, 1.0)
    )
    clay = body * (kind == 3) * c.relief(0.05, 0.3)
    iron = 0.55 * coat + 0.5 * clay + 0.8 * c.spots(6, (0.01, 0.04))
    lead = c.spots(int(c.rng.integers(4, 9)), (0.012, 0.05))
    arsenic = 0.6 * coat * c.relief(0.3, 0.4) + 0.5 * c.spots(4, (0.01, 0.03)) + 0.04 * clay
    return {
        "S": 0.5 * lead + 0.25 * coat + 0.05 * body,
        "K": 0.8 * body * (kind == 1) + 0.45 * clay,
        "Ca": 0.85 * body * (kind == 2) + 0.08 * clay + 0.1 * body * (kind == 1),
        "Ti": 0.3 * clay + 0.9 * c.spots(10, (0.008, 0.025)),
        "Fe": iron,
        "As": arsenic,
        "Pb": 0.8 * lead + 0.15 * coat,
        "matrix": 0.1 + 0.85 * body,
    }


def _paint(c: Canvas) -> Maps:
    """A retouched oil painting: lead white beneath, Ti, Ba and Zn whites above, earth pigments, cracks."""
    stroke = c.soft(c.fibre(c.rng.uniform(0.3, 0.5), 0.25), 0.04) * c.relief(0.06, 0.2)
    bristles = 1 + 0.25 * np.sin(2 * np.pi * c.gradient() * c.rng.uniform(14, 24) + c.texture(0.3))
    ground = c.relief(0.25, 0.2) * 0.5 + 0.3 * c.spots(40, (0.01, 0.04))
    crack = c.soft(0.006 - c.grains(int(c.rng.integers(7, 13)), 0.05)[1], 0.006)
    whole = 1 - 0.9 * crack
    titanium = stroke * bristles * 0.6 + 0.3 * c.spots(30, (0.006, 0.015)) * stroke
    barium = 0.35 * stroke * c.relief(0.1, 0.5) + 0.8 * c.spots(26, (0.01, 0.045), 0.4)
    earth = c.soft(c.texture(0.3) - 0.3, 0.6)
    iron = earth * (0.25 + 0.75 * c.spots(60, (0.008, 0.03)))
    zinc = 0.6 * stroke * c.gradient() + 0.3 * c.spots(25, (0.008, 0.02))
    return {
        "S": whole * (0.7 * barium + 0.1 * ground),
        "Ca": whole * (0.25 * earth + 0.6 * c.spots(20, (0.012, 0.05))),
        "Ti": whole * titanium,
        "Ba": whole * barium,
        "Fe": whole * iron,
        "Zn": whole * zinc,
        "Pb": whole * ground * (1 - 0.5 * stroke.clip(0, 1)),
        "matrix": whole * (0.45 + 0.25 * ground + 0.25 * stroke),
    }


def _cells(c: Canvas) -> Maps:
    """Cells on a film: P and Zn in the nucleus, K and S in the plasma, Fe and Cu in vesicles, Ca granules."""
    plasma, nucleus, rim = np.zeros((3, *c.shape))
    for centre in c.places(int(c.rng.integers(3, 6)), 0.12):
        radius = c.rng.uniform(0.16, 0.27)
        distance = c.blob(centre, radius, 0.35)
        here = c.soft(distance, 0.01) * (0.35 + 0.65 * c.dome(distance, radius))
        plasma = np.maximum(plasma, here)
        off = (
            centre[0] + 0.25 * radius * c.rng.uniform(-1, 1),
            centre[1] + 0.25 * radius * c.rng.uniform(-1, 1),
        )
        core = c.blob(off, 0.38 * radius, 0.15)
        nucleus = np.maximum(nucleus, c.dome(core, 0.38 * radius))
        rim = np.maximum(rim, c.soft(0.008 - np.abs(distance), 0.008))
    vesicles = c.spots(int(c.rng.integers(30, 50)), (0.006, 0.02), 0.1) * c.soft(plasma - 0.25, 0.2)
    granules = c.spots(14, (0.006, 0.016), 0.1) * c.soft(plasma - 0.25, 0.2)
    deposit = c.spots(5, (0.008, 0.02)) * c.soft(plasma - 0.1, 0.2)
    plasma = plasma * c.relief(0.04, 0.12)
    return {
        "P": 0.35 * plasma + 0.55 * nucleus,
        "S": 0.75 * plasma + 0.15 * rim,
        "K": 0.8 * plasma + 0.1 * nucleus,
        "Ca": 0.12 * plasma + 0.9 * granules + 0.15 * rim,
        "Fe": 0.08 * plasma + 0.8 * vesicles + 0.5 * deposit,
        "Cu": 0.1 * plasma + 0.8 * deposit + 0.12 * nucleus,
        "Zn": 0.25 * plasma + 0.55 * nucleus + 0.4 * granules,
        "matrix": 0.25 + 0.6 * plasma,
    }


def _ore(c: Canvas) -> Maps:
    """A sulphide ore in quartz: pyrite, chalcopyrite, galena, sphalerite, flakes of molybdenite, a vein."""
    cell, border = c.grains(int(c.rng.integers(22, 40)), 0.05)
    kinds = c.rng.choice(6, cell.max() + 1, p=[0.32, 0.2, 0.14, 0.14, 0.1, 0.1])
    kind = kinds[cell]  # quartz, pyrite, chalcopyrite, galena, molybdenite, sphalerite
    body = c.soft(border - 0.004) * c.relief(0.08, 0.15) * 0.85
    pyrite, chalcopyrite, galena, molybdenite, sphalerite = (body * (kind == k) for k in range(1, 6))
    vein = c.soft(c.fibre(0.03, 0.2), 0.01) * c.relief(0.05, 0.4)
    flakes = np.zeros(c.shape)
    for _ in range(int(c.rng.integers(5, 9))):
        (centre,) = c.places(1)
        reach = c.soft(c.rng.uniform(0.05, 0.12) - np.hypot(c.y - centre[0], c.x - centre[1]), 0.01)
        flakes = np.maximum(flakes, c.soft(c.fibre(0.025, 0.05), 0.006) * reach)
    galena = np.maximum(galena, 0.8 * vein)
    molybdenite = np.maximum(molybdenite, 0.9 * flakes)
    return {
        "S": 0.9 * pyrite + 0.6 * chalcopyrite + 0.25 * galena + 0.65 * molybdenite + 0.55 * sphalerite,
        "Fe": 0.85 * pyrite + 0.55 * chalcopyrite + 0.1 * sphalerite,
        "Cu": 0.9 * chalcopyrite + 0.05 * sphalerite + 0.02 * pyrite,
        "Zn": 0.9 * sphalerite,
        "As": 0.5 * pyrite * c.soft(c.texture(0.1) - 0.4, 0.8) + 0.7 * c.spots(8, (0.008, 0.03)),
        "Mo": 0.9 * molybdenite,
        "Pb": 0.9 * galena + 0.6 * c.spots(6, (0.008, 0.02)),
        "matrix": 0.3 + 0.6 * body * (kind == 0) + 0.3 * body * (kind > 0),
    }


SAMPLES = (
    Sample(
        "soil",
        "soil grains: As K under Pb L, traces of As and Pb beside much Ca and Fe",
        "SiO2",
        2.0,
        {"S": 15, "K": 12, "Ca": 12, "Ti": 2, "Fe": 8, "As": 0.4, "Pb": 0.8, "matrix": 3.0},
        _soil,
    ),
    Sample(
        "paint",
        "paint layers: Ba L on Ti K, Pb M on S K",
        "C57H98O6",
        1.5,
        {"S": 20, "Ca": 10, "Ti": 5, "Ba": 8, "Fe": 2, "Zn": 1, "Pb": 1.5, "matrix": 2.0},
        _paint,
    ),
    Sample(
        "cells",
        "cells on a film: traces of metals in an organic matrix",
        "C5H7O2N",
        0.5,
        {"P": 6, "S": 4, "K": 3, "Ca": 1, "Fe": 0.25, "Cu": 0.06, "Zn": 0.12, "matrix": 0.6},
        _cells,
    ),
    Sample(
        "ore",
        "a sulphide ore in thin section: Mo L and Pb M on S K, As K under Pb L",
        "SiO2",
        2.0,
        {"S": 60, "Fe": 8, "Cu": 4, "Zn": 4, "As": 0.6, "Mo": 60, "Pb": 5, "matrix": 3.0},
        _ore,
    ),
)  # fmt: skip

POOL = Pool(
    {"Si": 60, "P": 20, "S": 15, "Cl": 12, "K": 8, "Ca": 6, "Ti": 4, "V": 3, "Cr": 3, "Mn": 2, "Fe": 2,
     "Co": 2, "Ni": 1.5, "Cu": 1.5, "Zn": 1, "Ga": 1, "As": 1, "Se": 1, "Br": 1, "Sr": 1, "Mo": 40, "Ag": 20,
     "Cd": 15, "Sn": 12, "I": 8, "Ba": 8, "Ce": 6, "W": 3, "Pt": 3, "Au": 3, "Hg": 2, "Pb": 2},
    ("SiO2", "Al2O3", "CaCO3", "C6H10O5", "C5H7O2N", "C57H98O6"),
    (0.3, 4.0),
    matrix=True,
)  # fmt: skip
