"""Anti-aliased drawing on maps: distances to shapes, stamps of many small features at once, smooth noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Lengths = float | np.ndarray
Painter = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def coverage(distance: np.ndarray) -> np.ndarray:
    """Share of a pixel inside a shape, from the signed ``distance`` (px, negative inside) of its centre."""
    return np.clip(0.5 - distance, 0, 1)


def grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """y and x (px) of every pixel, as float32 arrays that broadcast to ``shape``."""
    return np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)[None, :]


def turn(y: np.ndarray, x: np.ndarray, angle: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (u, v) in axes turned by ``angle`` (rad): u runs along (cos, sin) in (x, y)."""
    c, s = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
    return x * c + y * s, y * c - x * s


def box(u: np.ndarray, v: np.ndarray, half_u: Lengths, half_v: Lengths, radius: Lengths) -> np.ndarray:
    """Signed distance to a rectangle about 0 with corners rounded to ``radius`` (all in px)."""
    a, b = np.abs(u) - (half_u - radius), np.abs(v) - (half_v - radius)
    outside = np.sqrt(np.maximum(a, 0) ** 2 + np.maximum(b, 0) ** 2)
    return outside + np.minimum(np.maximum(a, b), 0) - radius


def capsule(u: np.ndarray, v: np.ndarray, half_length: Lengths) -> np.ndarray:
    """Distance (px) to the straight piece of the u axis from −half_length to half_length."""
    return np.sqrt(np.maximum(np.abs(u) - half_length, 0) ** 2 + v**2)


def noise(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth Gaussian random field, mean 0, variance 1, float32: white noise blurred with σ = ``scale`` px.

    The white noise lives on nodes ``scale`` apart that reach past the edges, so that the field has none.
    """
    down, across = _blur(shape[0], scale), _blur(shape[1], scale)
    return down @ rng.standard_normal((down.shape[1], across.shape[1]), dtype=np.float32) @ across.T


def _blur(n: int, scale: float) -> np.ndarray:
    nodes = np.arange(-3, int(n / scale) + 4, dtype=np.float32)
    weights = np.exp(-((np.arange(n, dtype=np.float32)[:, None] / scale - nodes) ** 2) / 2)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


def scatter(
    shape: tuple[int, int], margin: float, spacing: np.ndarray, rng: np.random.Generator, tries: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Random places (m, 2) as (y, x) in the field and ``margin`` px around it, and whose they are (m,).

    Feature i keeps ``spacing[i] + spacing[j]`` from feature j; one that finds no room in ``tries`` throws has
    no place.
    """
    places, room = np.empty((len(spacing), 2)), np.empty(len(spacing))
    which: list[int] = []
    throws = rng.uniform(-margin, np.array(shape) + margin, (len(spacing), tries, 2))
    for i, candidates in enumerate(throws):
        n = len(which)
        squared = ((candidates[:, None] - places[:n]) ** 2).sum(axis=2)
        free = (squared >= (room[:n] + spacing[i]) ** 2).all(axis=1)
        if free.any():
            places[n], room[n] = candidates[free.argmax()], spacing[i]
            which.append(i)
    return places[: len(which)], np.array(which, int)


def stamp(
    canvas: np.ndarray, places: np.ndarray, reach: np.ndarray, paint: Painter, *, add: bool = False
) -> None:
    """Draw many small features on ``canvas`` at once, keeping the larger value (or the sum) where they meet.

    ``places`` (n, 2) are centres as (y, x) in px, ``reach`` (n) half the side of the square that holds each.
    ``paint`` gets the offsets dy (m, s, 1) and dx (m, 1, s) of pixels from the centres, and which features
    these are (m, 1, 1), and returns their values. What falls outside the canvas is cut off.
    """
    size = np.ceil(reach).astype(int) + 1
    octave = np.ceil(4 * np.log2(size)).astype(int)  # features of similar size share their squares
    for group in np.unique(octave):
        which = np.flatnonzero(octave == group)
        half = int(size[which].max())
        for part in np.array_split(which, 1 + len(which) * (2 * half + 1) ** 2 // 200_000):
            _stamp(canvas, places[part], half, part, paint, add)


def _stamp(
    canvas: np.ndarray, places: np.ndarray, half: int, which: np.ndarray, paint: Painter, add: bool
) -> None:
    steps = np.arange(-half, half + 1)
    middle = np.rint(places).astype(int)
    rows, columns = middle[:, :1] + steps, middle[:, 1:] + steps
    dy = (rows - places[:, :1]).astype(np.float32)[:, :, None]
    dx = (columns - places[:, 1:]).astype(np.float32)[:, None, :]
    values = np.broadcast_to(paint(dy, dx, which[:, None, None]), (len(which), steps.size, steps.size))
    inside = ((rows >= 0) & (rows < canvas.shape[0]))[:, :, None] & (
        (columns >= 0) & (columns < canvas.shape[1])
    )[:, None, :]
    index = (rows[:, :, None] * canvas.shape[1] + columns[:, None, :])[inside]
    (np.add if add else np.maximum).at(canvas.reshape(-1), index, values[inside].astype(canvas.dtype))
