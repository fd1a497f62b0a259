"""A multi-layer integrated circuit: copper wires crossing over tungsten vias, in silica."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .paint import box, coverage, grid, noise, stamp, turn

# For each metal layer, from the transistors up: wire width and height, in px.
_STACK = ((2.2, 9.0), (3.0, 12.0), (4.5, 16.0), (8.0, 24.0), (17.0, 34.0))
_FAR = 1e6  # px; sets the tracks of a layer apart in one sorted array


@dataclass(frozen=True)
class Wires:
    """A layer of wires on parallel tracks: piece j of track i covers starts[i, j] to ends[i, j] along u."""

    across: np.ndarray  # (track,) v of the middle of each track
    half: np.ndarray  # (track,) half the width of its wires
    starts: np.ndarray  # (track, piece)
    ends: np.ndarray

    def distance(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Signed distance (px) from the points to the wire of their track; exact near its edges."""
        track = np.searchsorted((self.across[1:] + self.across[:-1]) / 2, v)
        gaps = (
            self.ends[:, :-1] + self.starts[:, 1:]
        ) / 2  # a point belongs to the piece between two of these
        keys = (gaps + _FAR * np.arange(len(gaps), dtype=np.float64)[:, None]).ravel()
        piece = np.searchsorted(keys, u + _FAR * track) - track * gaps.shape[1]
        piece = np.clip(piece, 0, gaps.shape[1])
        start, end, half = self.starts[track, piece], self.ends[track, piece], self.half[track]
        return box(
            u - (start + end) / 2, v - self.across[track], (end - start) / 2, half, np.minimum(0.7 * half, 4)
        )


def circuit(shape: tuple[int, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Thickness maps (px) of copper, tungsten, and the silica that they displace, by material.

    Layers of wires alternate in direction and grow in width and height; vias join them where they cross, jogs
    join neighbouring tracks, and empty ground carries squares of fill. Edges are slightly rough.
    """
    copper, tungsten = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    angle = rng.normal(0, 0.03) if rng.random() < 0.5 else rng.uniform(0, np.pi)
    extent = float(np.hypot(*shape)) / 2 + 40  # how far from the middle of the map wires are laid
    scale = rng.uniform(0.85, 1.35)
    bottom = int(rng.integers(0, 3))
    below: Wires | None = None
    for level in range(bottom, min(bottom + int(rng.integers(2, 5)), len(_STACK))):
        width, height = (scale * size for size in _STACK[level])
        direction = angle + np.pi / 2 * level
        wires = _route(width, extent, rng)
        copper += height * _metal(shape, wires, width, extent, direction, rng)
        if below is not None:
            vias = _vias(below, wires, rng)
            side = np.full(len(vias), 0.42 * min(2 * below.half.min(), width))
            tungsten += 0.6 * height * _boxes(np.zeros(shape, np.float32), vias, side, side, direction)
        below = wires
    return {"copper": copper, "tungsten": tungsten, "silica": -(copper + tungsten)}


def _metal(
    shape: tuple[int, int],
    wires: Wires,
    width: float,
    extent: float,
    direction: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Coverage of the map by one layer of wires, with its jogs and its fill; u points along ``direction``."""
    y, x = grid(shape)
    u, v = turn(y - shape[0] / 2, x - shape[1] / 2, direction)
    rough = rng.uniform(0.2, 0.45)
    u, v = u + rough * noise(shape, 3, rng), v + rough * noise(shape, 3, rng)
    metal = _boxes(coverage(wires.distance(u, v)), *_jogs(wires, width, extent, rng), direction)
    return np.maximum(metal, _fill(metal, u, v, direction, width, rng)) if width > 2.5 else metal


def _route(width: float, extent: float, rng: np.random.Generator) -> Wires:
    """Tracks from −extent to extent in zones of different pitch, width and density, cut into pieces."""
    tracks: list[tuple[float, float, float]] = []  # v of the middle, half the width, density
    edge = -extent + rng.uniform(0, 2 * width)
    while edge < extent:
        wide, pitch = width * rng.uniform(1, 1.25), width * rng.uniform(1.9, 2.8)
        density = rng.choice([0.3, 0.6, 0.8, 0.93])
        middles = edge + pitch * np.arange(int(rng.uniform(4, 18)))
        tracks += [(v, wide / 2, density) for v in middles]
        rail = width * rng.uniform(1.5, 3)  # a power rail closes the zone
        tracks.append((middles[-1] + pitch + rail / 2, rail / 2, 1.0))
        edge = tracks[-1][0] + rail / 2 + pitch
    across, half, densities = np.array(tracks, np.float32).T
    starts, ends = _cut(densities[:, None], width, extent, rng)
    return Wires(across, half, starts, ends)


def _cut(
    density: np.ndarray, width: float, extent: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of wire along each track: short gaps between them, long ones where the zone is sparse."""
    unit = 2.4 * width  # the pitch of the layers above and below, to which the ends are aligned
    shape = (len(density), int(2 * extent / (4 * unit)) + 3)
    lengths = unit * (2 + np.floor(rng.exponential(6 * density, shape)))
    lengths[density[:, 0] == 1.0] = 4 * extent / shape[1]
    gaps = np.where(rng.random(shape) < density, 0.5, 1 + np.floor(rng.exponential(7, shape))) * unit
    starts = (
        -extent - unit * rng.integers(0, 6, (len(density), 1)) + np.cumsum(lengths + gaps, axis=1) - lengths
    )
    return starts.astype(np.float32), (starts + lengths).astype(np.float32)


def _jogs(
    wires: Wires, width: float, extent: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Short pieces that join wires of neighbouring tracks: places (v, u) and half sizes along u and v."""
    unit = 2.4 * width
    number = int(0.03 * (2 * extent / unit) ** 2)
    track = rng.integers(0, len(wires.across) - 1, number)
    u = np.round(rng.uniform(-extent, extent, number) / unit) * unit
    low, high = wires.across[track], wires.across[track + 1]
    joins = (wires.distance(u, low) < -0.3 * width) & (wires.distance(u, high) < -0.3 * width)
    half_v = (high - low + wires.half[track] + wires.half[track + 1]) / 2 - 0.25 * width
    places = np.stack([(low + high) / 2, u], axis=1)[joins]
    return places, np.full(len(places), width / 2), half_v[joins]


def _vias(below: Wires, above: Wires, rng: np.random.Generator) -> np.ndarray:
    """Places (v, u), in the axes of the layer above, where wires of two layers cross and a via joins them."""
    u, v = np.meshgrid(below.across, above.across)  # a quarter turn maps (u, v) above to (−v, u) below
    margin = -0.6 * below.half.min()
    crossing = (above.distance(u, v) < margin) & (below.distance(-v, u) < margin)
    keep = crossing & (rng.random(crossing.shape) < rng.uniform(0.15, 0.45))
    return np.stack([v, u], axis=-1)[keep]


def _fill(
    metal: np.ndarray, u: np.ndarray, v: np.ndarray, direction: float, width: float, rng: np.random.Generator
) -> np.ndarray:
    """Coverage by squares of fill, in rows and columns wherever there is no wire near."""
    pitch = width * rng.uniform(2.6, 4.0)
    half = pitch * rng.uniform(0.22, 0.34)
    centre_u, centre_v = (pitch * (np.floor(w / pitch) + 0.5) for w in (u, v))
    at = _onto(centre_v, centre_u, direction, metal.shape)
    row, column = (np.clip(np.rint(a), 0, n - 1).astype(int) for a, n in zip(at, metal.shape, strict=True))
    taken = ndimage.maximum_filter(metal, int(1.8 * pitch)) > 0.1
    squares = coverage(box(u - centre_u, v - centre_v, half, half, 0.5 * half))
    return squares * ~taken[row, column]


def _boxes(
    canvas: np.ndarray, places: np.ndarray, half_u: np.ndarray, half_v: np.ndarray, direction: float
) -> np.ndarray:
    """Draw rectangles with rounded corners at ``places`` (v, u) in axes turned to ``direction``."""

    def paint(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> np.ndarray:
        u, v = turn(dy, dx, direction)
        return coverage(box(u, v, half_u[i], half_v[i], 0.6 * np.minimum(half_u, half_v)[i]))

    at = np.stack(_onto(places[:, 0], places[:, 1], direction, canvas.shape), axis=1)
    stamp(canvas, at, np.hypot(half_u, half_v) + 1, paint)
    return canvas


def _onto(
    v: np.ndarray, u: np.ndarray, direction: float, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """y and x (px) on the map of (v, u) in axes about its middle that are turned to ``direction``."""
    x, y = turn(v, u, -direction)
    return y + shape[0] / 2, x + shape[1] / 2
