"""Blind spots: which pixels are hidden from a network while it learns to predict them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, one_hot

Shape = Literal["pixel", "rows", "columns"]

CELL = 4  # px; one blind spot in every cell of this width
REACH = 5  # px from a blind spot within which its replacement is found, and which a line hides to either side


def cell_size(shape: Shape) -> tuple[int, int]:
    """Height and width of the cells that hold one blind spot each: longer where each hides a line."""
    return {"pixel": (CELL, CELL), "rows": (CELL, 3 * CELL), "columns": (3 * CELL, CELL)}[shape]


def stratified(
    count: int, size: tuple[int, int], cell: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """``count`` masks (count, 1, y, x), True at one random pixel of each cell.

    At the lower and right edge cells are cut off, and those whose pixel is lost have none.
    """
    (height, width), (high, wide) = size, cell
    rows, columns = -(-height // high), -(-width // wide)
    chosen = torch.randint(high * wide, (count, rows, columns), generator=generator)
    spots = one_hot(chosen, high * wide).bool().reshape(count, rows, columns, high, wide)
    return spots.transpose(2, 3).reshape(count, 1, rows * high, columns * wide)[..., :height, :width]


def hidden_by(spots: Tensor, shape: Shape) -> Tensor:
    """The pixels to be replaced: the blind spots and, for noise that is correlated along a line, their
    neighbours on it, ``REACH`` to either side (Broaddus et al. 2020, doi:10.1109/ISBI45749.2020.9098336)."""
    if shape == "pixel":
        return spots
    line = (1, 2 * REACH + 1) if shape == "rows" else (2 * REACH + 1, 1)
    return max_pool2d(spots.float(), line, 1, (line[0] // 2, line[1] // 2)) > 0


def replaced(images: Tensor, hidden: Tensor, shape: Shape, generator: torch.Generator) -> Tensor:
    """``images`` (n, c, y, x) with each pixel of ``hidden`` (n, 1, y, x) replaced by a random neighbour.

    All channels of a pixel come from the same neighbour, drawn uniformly from the window of ``REACH`` px
    without the pixel itself (Krull et al. 2019, doi:10.1109/CVPR.2019.00223), or without its line. Images
    must be at least 2 px wide and high.
    """
    n, _, y, x = hidden.nonzero(as_tuple=True)
    height, width = images.shape[-2:]
    random = torch.rand(2, len(n), generator=generator, dtype=torch.float64).to(images.device)
    if shape == "pixel":
        row, column = _other_pixel(y, x, (height, width), random[0])
    elif shape == "rows":
        row, column = _other(y, height, random[0]), _any(x, width, random[1])
    else:
        row, column = _any(y, height, random[0]), _other(x, width, random[1])
    out = images.clone()
    out[n, :, y, x] = images[n, :, row, column]
    return out


def _other_pixel(y: Tensor, x: Tensor, size: tuple[int, int], random: Tensor) -> tuple[Tensor, Tensor]:
    (top, high), (left, wide) = _window(y, size[0]), _window(x, size[1])
    own = (y - top) * wide + x - left
    chosen = _skipping(own, high * wide, random)
    return top + chosen // wide, left + chosen % wide


def _other(at: Tensor, size: int, random: Tensor) -> Tensor:
    start, length = _window(at, size)
    return start + _skipping(at - start, length, random)


def _any(at: Tensor, size: int, random: Tensor) -> Tensor:
    start, length = _window(at, size)
    return start + (random * length).long()


def _skipping(own: Tensor, count: Tensor, random: Tensor) -> Tensor:
    """A number below ``count`` that is not ``own``."""
    chosen = (random * (count - 1)).long()
    return chosen + (chosen >= own)


def _window(at: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First position and length of what lies within ``REACH`` of ``at`` and inside the image."""
    start = (at - REACH).clamp(min=0)
    return start, (at + REACH).clamp(max=size - 1) - start + 1
