"""Array orders and buffers of the native transform sizes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from .disk import FrameFile
from .layout import Layout, radices_for
from .vector import native_width


class Frames(Protocol):
    """An array (positions, height, width) or anything else with a length that gives the frames in order."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


def aligned(*shape: int) -> np.ndarray:
    """Zeroed float32 array that starts at a cache line."""
    count = int(np.prod(shape))
    block = np.zeros(count + 16, np.float32)
    start = -(block.ctypes.data // 4) % 16
    return block[start : start + count].reshape(shape)


class Plan:
    """Conversions between natural arrays (..., n, n) and the orders in which the kernels keep them.

    Natural spectra have zero frequency at [0, 0] and no normalisation."""

    def __init__(self, n: int, width: int | None = None) -> None:
        self.n, self.width = n, width or (native_width() if n % 16 == 0 else 8)
        self.layout = Layout(n, self.width)
        self.order = self.layout.order()
        self.place = np.argsort(self.order)
        self.tiles, self.strip, self.size = self.layout.tiles, self.layout.strip, n * n

    def permute(self, patterns: np.ndarray) -> np.ndarray:
        """Natural order to spectrum order: (..., n, n) to (..., n * n)."""
        patterns = np.asarray(patterns)
        return np.take(patterns.reshape(*patterns.shape[:-2], self.size), self.order, axis=-1)

    def unpermute(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `permute`."""
        values = np.asarray(values)
        return np.take(values, self.place, axis=-1).reshape(*values.shape[:-1], self.n, self.n)

    def rows(self, images: np.ndarray) -> np.ndarray:
        """Real images (..., n, n) to strip order (..., n * n), for near-field amplitudes."""
        images = np.asarray(images)
        parts = images.reshape(*images.shape[:-1], self.layout.strips, self.width)
        return np.ascontiguousarray(np.moveaxis(parts, -2, -3)).reshape(*images.shape[:-2], self.size)

    def unrows(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `rows`."""
        parts = values.reshape(*values.shape[:-1], self.layout.strips, self.n, self.width)
        return np.moveaxis(parts, -3, -2).reshape(*values.shape[:-1], self.n, self.n)

    def pack(self, fields: np.ndarray) -> np.ndarray:
        """Complex fields (..., n, n) to strip order (..., 2 n * n) float32."""
        fields = np.asarray(fields)
        lead = fields.shape[:-2]
        out = aligned(*lead, self.layout.strips, self.n, 2, self.width)
        parts = np.moveaxis(fields.reshape(*lead, self.n, self.layout.strips, self.width), -2, -3)
        out[..., 0, :], out[..., 1, :] = parts.real, parts.imag
        return out.reshape(*lead, 2 * self.size)

    def unpack(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `pack`."""
        lead = values.shape[:-1]
        parts = values.reshape(*lead, self.layout.strips, self.n, 2, self.width)
        fields = np.empty((*lead, self.n, self.layout.strips, self.width), np.complex64)
        fields.real, fields.imag = (np.moveaxis(parts[..., c, :], -3, -2) for c in (0, 1))
        return fields.reshape(*lead, self.n, self.n)

    def pack_spectrum(self, spectra: np.ndarray) -> np.ndarray:
        """Complex natural spectra (..., n, n) to spectrum order (..., 2 n * n) float32."""
        values = self.permute(spectra).reshape(*np.shape(spectra)[:-2], -1, self.width)
        out = aligned(*values.shape[:-1], 2, self.width)
        out[..., 0, :], out[..., 1, :] = values.real, values.imag
        return out.reshape(*values.shape[:-2], 2 * self.size)

    def unpack_spectrum(self, values: np.ndarray) -> np.ndarray:
        parts = values.reshape(*values.shape[:-1], -1, 2, self.width)
        return self.unpermute(
            (parts[..., 0, :] + 1j * parts[..., 1, :]).reshape(*values.shape[:-1], self.size)
        )

    def forward(self, fields: np.ndarray) -> np.ndarray:
        """Unnormalised forward transform (natural order in and out), for tests and preparations."""
        return self._transform(fields, False)

    def inverse(self, spectra: np.ndarray) -> np.ndarray:
        """Unnormalised inverse transform (natural order in and out)."""
        return self._transform(spectra, True)

    def _transform(self, values: np.ndarray, inverse: bool) -> np.ndarray:
        from .sweeps import make_transform

        values = np.asarray(values)
        flat = values.reshape(-1, self.n, self.n)
        source = (self.pack_spectrum if inverse else self.pack)(flat)
        target = aligned(*source.shape)
        make_transform(self.n, self.width, int(inverse))(
            source.reshape(-1), target.reshape(-1), len(flat), (aligned(self.tiles), aligned(self.strip))
        )
        return (self.unpack if inverse else self.unpack_spectrum)(target).reshape(values.shape)

    def amplitudes(
        self,
        frames: Frames,
        mask: np.ndarray | None = None,
        near: bool = False,
        file: FrameFile | None = None,
    ) -> np.ndarray:
        """Measured amplitudes sqrt(I) for orthonormal transforms as the kernels want them (positions, n * n).

        Frames (n, n) are asked for one at a time, in order.  ``mask`` (n, n) or (positions, n, n) is True
        where a pixel is valid.  The answer lies in ``file``, if one is given."""
        out = aligned(len(frames), self.size) if file is None else file.array
        masks = None if mask is None else np.broadcast_to(mask, (len(frames), self.n, self.n))
        inside = iter(frames)
        order = np.arange(len(frames))
        for stretch in [order] if file is None else file.stretches(order):
            for j in stretch:
                frame = np.asarray(next(inside), np.float32)
                if masks is not None:
                    frame = np.where(masks[j], frame, np.float32(-1))
                out[j] = self.rows(frame) if near else self.permute(frame) / np.float32(self.n)
        return out

    def ramps(self, fractions: np.ndarray) -> np.ndarray:
        """Phase ramps (positions, 4 n) that shift a probe by fractions of a pixel (positions, 2)."""
        fractions = np.asarray(fractions, np.float64)
        frequencies = self.layout.frequencies(self.layout.radices)
        signed = (frequencies + self.n // 2) % self.n - self.n // 2
        lanes = signed.reshape(-1, self.width)[:, self.layout.lanes()].ravel()
        columns = signed.reshape(-1)
        out = aligned(len(fractions), 4, self.n)
        for axis, k in enumerate((lanes, columns)):
            phase = -2 * np.pi / self.n * fractions[:, axis, None] * k
            out[:, 2 * axis], out[:, 2 * axis + 1] = np.cos(phase), np.sin(phase)
        return out.reshape(len(fractions), 4 * self.n)


@lru_cache(None)
def plan(n: int, width: int | None = None) -> Plan | None:
    """The `Plan` for n x n points, or None when n has no native kernels."""
    return Plan(n, width) if radices_for(n) else None


class PlanarObject:
    """A complex image in the kernels' layout: rows of real, then imaginary (and other) parts.

    A frame of guard pixels surrounds the image; rows are an odd number of cache lines long against cache
    conflicts."""

    def __init__(self, shape: tuple[int, ...], planes: int = 2) -> None:
        self.shape = shape
        height, width = self.shape
        self.plane = (width + 47) // 32 * 32 + 16
        self.pitch = planes * self.plane
        self.data = aligned(height + 2, planes, self.plane)
        self.image = self.data[1:-1, :, 16 : 16 + width]
        self.flat = self.data.reshape(-1)[
            self.pitch + 16 :
        ]  # starts at pixel [0, 0]; guards lie at negative offsets
        self.flat_image = self.flat, self.plane, self.pitch

    def put(self, values: np.ndarray) -> None:
        self.image[:, 0], self.image[:, 1] = values.real, values.imag

    def get(self) -> np.ndarray:
        result = np.empty(self.shape, np.complex64)
        result.real, result.imag = self.image[:, 0], self.image[:, 1]
        return result

    def guard(self) -> None:
        """Repeat the edge pixels in the guard frame."""
        right = 16 + self.shape[1]
        self.data[:, :, 15], self.data[:, :, right] = self.data[:, :, 16], self.data[:, :, right - 1]
        self.data[0], self.data[-1] = self.data[1], self.data[-2]
