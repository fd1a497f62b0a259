"""S: illumination with known patterns, one measurement a pattern."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import torch

from ..errors import BadValue
from ..operator import Operator
from ..settings import param
from .tensors import Number, cast, constant, require, scalar


class Illuminate(Operator):
    """The scene x (..., y, x) of size ``shape`` under a series of projected patterns.

    ``block``     squares of ``block`` pixels, one after the other (raster scan)
    ``hadamard``  rows of the Hadamard matrix in Sylvester's order, with −1 shown as dark
    ``random``    each pixel bright or dark with equal chance, fixed by ``seed``

    Patterns are 0 or 1 and ``count`` of them are shown (default: as many as make a complete set). With
    ``bucket`` one detector collects all light of a pattern, (..., pattern); without it each pattern
    gives a modulated image, (..., pattern, y, x).
    """

    symbol = "S"

    contrast: float = param(1.0, low=0.0, high=1.0, symbol="V", doc="contrast: bright − dark illumination")
    shape: tuple[int, int]
    kind: Literal["block", "hadamard", "random"] = "hadamard"
    count: int | None = None
    block: int = 1
    seed: int = 0
    bucket: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        ny, nx = self.shape
        if self.kind not in ("block", "hadamard", "random"):
            raise BadValue(f"{self}: kind must be block, hadamard or random, got {self.kind!r}")
        if self.kind == "hadamard" and (ny & (ny - 1) or nx & (nx - 1)):
            raise BadValue(f"{self}: Hadamard patterns need sides that are powers of two, got {self.shape}")
        if self.kind == "block" and (self.block < 1 or ny % self.block or nx % self.block):
            raise BadValue(f"{self}: blocks of {self.block} pixels do not tile {self.shape}")
        if self.count is not None and not 1 <= self.count <= self._complete:
            raise BadValue(f"{self}: count must be between 1 and {self._complete}, got {self.count}")

    def apply(self, x: torch.Tensor, contrast: Number) -> torch.Tensor:
        ny, nx = self.shape
        require(self, x, y=ny, x=nx)
        c = cast(scalar(contrast, x), x)
        if self.bucket:
            return (1 - c) / 2 * x.sum((-2, -1))[..., None] + c * self._collected(x)
        light = (1 - c) / 2 + c * constant(self, "patterns", x)
        return light * x[..., None, :, :]

    @functools.cached_property
    def patterns(self) -> np.ndarray:
        """The patterns at full contrast, (pattern, y, x), bool."""
        ny, nx = self.shape
        n = self.count or self._complete
        if self.kind == "random":
            return np.random.default_rng(self.seed).random((n, ny, nx)) < 0.5
        if self.kind == "block":
            pixels = np.eye(self._complete, dtype=bool)[:n].reshape(n, ny // self.block, nx // self.block)
            return pixels.repeat(self.block, axis=1).repeat(self.block, axis=2)
        rows, columns = np.divmod(np.arange(n), nx)  # the matrix is the product of those of both axes
        return _hadamard(ny)[rows, :, None] * _hadamard(nx)[columns, None, :] > 0

    @property
    def _complete(self) -> int:
        """The number of patterns that makes a complete set."""
        ny, nx = self.shape
        return (ny // self.block) * (nx // self.block) if self.kind == "block" else ny * nx

    def _collected(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind != "hadamard":
            return x.flatten(-2) @ constant(self, "patterns", x).flatten(-2).to(x.dtype).mT
        h, w = (torch.as_tensor(_hadamard(n), device=x.device).to(x.dtype) for n in self.shape)
        signed = (h @ x @ w).flatten(-2)  # both symmetric; no (pattern, y, x) array needed
        return (x.sum((-2, -1))[..., None] + signed)[..., : self.count] / 2


@functools.cache
def _hadamard(n: int) -> np.ndarray:
    from scipy.linalg import hadamard

    return hadamard(n, dtype=np.int8)
