"""Crystal structures seen along a zone axis: unit cells of atomic columns.

Lattice parameters are those of the Crystallography Open Database, in Å, rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

N, O, S = 7, 8, 16  # noqa: E741  (chemical symbols)


class Column(NamedTuple):
    """An atomic column of the cell: where it is, and the atoms of one repeat along the beam."""

    y: float  # fractions of the cell
    x: float
    atoms: tuple[int, ...]  # atomic numbers
    motion: float = 0.08  # Å, rms thermal displacement along one axis


class Structure(NamedTuple):
    """A projected crystal: rectangular cell (Å), its columns, and the repeat along the beam (Å)."""

    name: str
    height: float
    width: float
    columns: tuple[Column, ...]
    repeat: float

    @property
    def cell(self) -> np.ndarray:
        """Cell vectors (2, 2), rows as (y, x)."""
        return np.diag([self.height, self.width])


def perovskite(a: float, heavy: int, light: int, polar: float = 0.0, name: str = "perovskite") -> Structure:
    """ABO₃ along [001]; ``polar`` (Å) displaces the B and O columns along y against A."""
    p = polar / a
    columns = (
        Column(0, 0, (heavy,), 0.085),
        Column(0.5 + p, 0.5, (light, O), 0.07),
        Column(0.5 - p, 0, (O,), 0.095),
        Column(0 - p, 0.5, (O,), 0.095),
    )
    return Structure(name, a, a, columns, a)


def fcc_001(a: float, z: int, name: str) -> Structure:
    corners = ((0, 0), (0, 0.5), (0.5, 0), (0.5, 0.5))
    return Structure(name, a, a, tuple(Column(y, x, (z,)) for y, x in corners), a)


def fcc_110(a: float, z: int, name: str) -> Structure:
    return Structure(
        name, a, a / math.sqrt(2), (Column(0, 0, (z,)), Column(0.5, 0.5, (z,))), a / math.sqrt(2)
    )


def fcc_111(a: float, z: int, name: str) -> Structure:
    """Stacked ABC: a triangular lattice whose columns hold one atom in a repeat of a√3."""
    d = a / math.sqrt(6)
    return Structure(
        name, d * math.sqrt(3), d, (Column(0, 0, (z,)), Column(0.5, 0.5, (z,))), a * math.sqrt(3)
    )


def bcc_001(a: float, z: int, name: str) -> Structure:
    return Structure(name, a, a, (Column(0, 0, (z,), 0.06), Column(0.5, 0.5, (z,), 0.06)), a)


def bcc_110(a: float, z: int, name: str) -> Structure:
    d = a * math.sqrt(2)
    return Structure(name, a, d, (Column(0, 0, (z,), 0.06), Column(0.5, 0.5, (z,), 0.06)), d)


def hcp_0001(a: float, c: float, z: int, name: str) -> Structure:
    h = a * math.sqrt(3)
    places = ((0, 0), (0.5, 0.5), (1 / 3, 0), (5 / 6, 0.5))
    return Structure(name, h, a, tuple(Column(y, x, (z,)) for y, x in places), c)


def dumbbells(a: float, one: int, other: int, name: str) -> Structure:
    """Diamond and zinc blende along [110]: pairs a/4 apart."""
    places = ((0, 0, one), (0.25, 0, other), (0.5, 0.5, one), (0.75, 0.5, other))
    return Structure(
        name, a, a / math.sqrt(2), tuple(Column(y, x, (z,), 0.075) for y, x, z in places), a / math.sqrt(2)
    )


def wurtzite(a: float, c: float, metal: int, anion: int, name: str) -> Structure:
    """Along [11-20]; the c axis runs up."""
    w = a * math.sqrt(3)
    places = ((0, 0, metal), (0.377, 0, anion), (0.5, 1 / 3, metal), (0.877, 1 / 3, anion))
    both = [(y, x + s * 0.5, z) for s in (0, 1) for y, x, z in places]
    return Structure(name, c, w, tuple(Column(y, x % 1, (z,), 0.07) for y, x, z in both), a)


def rocksalt_001(a: float, metal: int, anion: int, name: str) -> Structure:
    places = ((0, 0), (0, 0.5), (0.5, 0), (0.5, 0.5))
    return Structure(name, a, a, tuple(Column(y, x, (metal, anion)) for y, x in places), a)


def rocksalt_110(a: float, metal: int, anion: int, name: str) -> Structure:
    places = ((0, 0, metal), (0.5, 0.5, metal), (0.5, 0, anion), (0, 0.5, anion))
    w = a / math.sqrt(2)
    return Structure(name, a, w, tuple(Column(y, x, (z,)) for y, x, z in places), w)


def fluorite_110(a: float, metal: int, name: str) -> Structure:
    w = a / math.sqrt(2)
    heavy = (Column(0, 0, (metal,), 0.06), Column(0.5, 0.5, (metal,), 0.06))
    light = tuple(Column(y, x, (O,), 0.08) for y, x in ((0.25, 0.5), (0.75, 0.5), (0.25, 0), (0.75, 0)))
    return Structure(name, a, w, heavy + light, w)


def rutile_001(a: float, c: float, metal: int, name: str) -> Structure:
    u = 0.305
    heavy = (Column(0, 0, (metal,)), Column(0.5, 0.5, (metal,)))
    places = ((u, u), (1 - u, 1 - u), (0.5 + u, 0.5 - u), (0.5 - u, 0.5 + u))
    return Structure(name, a, a, heavy + tuple(Column(y % 1, x % 1, (O,)) for y, x in places), c)


def cuprate(name: str) -> Structure:
    """YBa₂Cu₃O₇ along [100]; the c axis runs up."""
    heavy = ((0.5, 0.5, (39,)), (0.184, 0.5, (56,)), (0.816, 0.5, (56,)))
    copper = ((0, 0, (29,)), (0.355, 0, (29, O)), (0.645, 0, (29, O)))
    light = ((0, 0.5, (O,)), (0.158, 0, (O,)), (0.842, 0, (O,)), (0.378, 0.5, (O,)), (0.622, 0.5, (O,)))
    return Structure(name, 11.68, 3.88, tuple(Column(y, x, z) for y, x, z in heavy + copper + light), 3.82)


def honeycomb(a: float, one: tuple[int, ...], other: tuple[int, ...], name: str) -> Structure:
    """A layer of two kinds of columns that alternate on the corners of hexagons."""
    h = a * math.sqrt(3)
    places = ((0, 0, one), (0.5, 0.5, one), (1 / 3, 0, other), (5 / 6, 0.5, other))
    return Structure(name, h, a, tuple(Column(y, x, z, 0.06) for y, x, z in places), 1.0)


def monolayer(a: float, metal: int, chalcogen: int, name: str) -> Structure:
    """A 2H layer of MX₂ along [0001]: the two chalcogens lie on one column."""
    return honeycomb(a, (metal,), (chalcogen,) * 2, name)


STRONTIUM_TITANATE = perovskite(3.905, 38, 22, name="SrTiO3")

_METALS = {"Al": (13, 4.05), "Ni": (28, 3.524), "Cu": (29, 3.615), "Pd": (46, 3.891), "Ag": (47, 4.086),
           "Pt": (78, 3.924), "Au": (79, 4.078)}  # fmt: skip
_BCC = {"Fe": (26, 2.866), "W": (74, 3.165), "Nb": (41, 3.301)}
_FCC: tuple[Callable[[float, int, str], Structure], ...] = (fcc_001, fcc_110, fcc_111)
FCC = tuple(make(a, z, name) for name, (z, a) in _METALS.items() for make in _FCC)
PARTICLE_METALS = tuple(s for s in FCC if s.name not in ("Al", "Ni"))

PEROVSKITES = (
    STRONTIUM_TITANATE,
    perovskite(3.994, 56, 22, 0.08, "BaTiO3"),
    perovskite(3.97, 82, 22, 0.25, "PbTiO3"),
    perovskite(3.82, 57, 13, name="LaAlO3"),
    perovskite(3.88, 57, 25, name="LaMnO3"),
    perovskite(3.93, 38, 44, name="SrRuO3"),
    perovskite(3.96, 83, 26, 0.2, "BiFeO3"),
    perovskite(4.116, 56, 50, name="BaSnO3"),
    perovskite(3.99, 19, 73, name="KTaO3"),
)

CRYSTALS = (
    *PEROVSKITES,
    *FCC,
    *(make(a, z, name) for make in (bcc_001, bcc_110) for name, (z, a) in _BCC.items()),
    hcp_0001(2.95, 4.68, 22, "Ti"),
    hcp_0001(3.209, 5.211, 12, "Mg"),
    hcp_0001(2.507, 4.069, 27, "Co"),
    dumbbells(5.431, 14, 14, "Si"),
    dumbbells(5.658, 32, 32, "Ge"),
    dumbbells(5.653, 31, 33, "GaAs"),
    dumbbells(6.058, 49, 33, "InAs"),
    dumbbells(6.482, 48, 52, "CdTe"),
    wurtzite(3.189, 5.185, 31, N, "GaN"),
    wurtzite(3.25, 5.207, 30, O, "ZnO"),
    rocksalt_001(4.212, 12, O, "MgO"),
    rocksalt_001(6.462, 82, 52, "PbTe"),
    rocksalt_110(4.177, 28, O, "NiO"),
    fluorite_110(5.411, 58, "CeO2"),
    fluorite_110(5.147, 40, "ZrO2"),
    rutile_001(4.594, 2.959, 22, "TiO2"),
    rutile_001(4.737, 3.186, 50, "SnO2"),
    cuprate("YBa2Cu3O7"),
)  # fmt: skip

MONOLAYERS = (
    monolayer(3.16, 42, S, "MoS2"),
    monolayer(3.153, 74, S, "WS2"),
    monolayer(3.288, 42, 34, "MoSe2"),
    monolayer(3.28, 74, 34, "WSe2"),
)

LIGHT_LAYERS = (honeycomb(2.46, (6,), (6,), "graphene"), honeycomb(2.504, (5,), (N,), "BN"))
