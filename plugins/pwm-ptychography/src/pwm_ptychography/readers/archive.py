"""NumPy archives (.npz, .npz.bz2, .npz.gz) of a scan, by the names of their arrays.

    data            (n, y, x) or (1, n, y, x) counts; a raster may keep (ny, nx, y, x)             needed
    scan            (n, 2) or (1, n, 2): (row, column) of the beam on the sample, in object pixels
    positions       the same, in object pixels unless positions_unit says otherwise
    positions_m     the same, in metres; one of scan, positions and positions_m is                 needed
    positions_unit  "m", "mm", "um", "nm" or "px", for scan and positions
    probe           (y, x), (mode, y, x) or tike's (1, 1, 1, mode, y, x), complex, at the sample
    mask            (y, x) or (n, y, x), nonzero where the detector is VALID
    background      (y, x) counts in every frame
    energy_ev       photon energy, eV
    wavelength      m, counts more than energy_ev
    distance        sample to detector, m
    detector_pixel  m
    geometry        "far" or "near"
    focus_to_sample m, near field; inf for a parallel beam

Rows and columns are those of ``data``. Zero frequency may lie in the middle of the frames or at their corner,
pixel [0, 0], as in tike's: the reader looks where. Nothing in an archive is ever unpickled.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import logging
import lzma
import math
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from pwm_core.errors import BadFile, PwmError
from pwm_core.hdf5 import memory

from .base import PtychoReader
from .found import Found
from .frames import Stack
from .hdf5 import EV

log = logging.getLogger("pwm.ptychography")

SPOOL = 1 << 28  # a compressed archive is unpacked in memory up to this size, on disk beyond it
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


class NumpyArchive(PtychoReader):
    """NumPy archives with data, scan and probe."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return path.name.lower().endswith((".npz", ".npz.bz2", ".npz.gz"))

    @contextlib.contextmanager
    def contents(self, path: Path) -> Iterator[Found]:
        arrays = _arrays(path)
        if "data" not in arrays:
            raise BadFile(
                f"{path.name} has no array named data; it has {', '.join(sorted(arrays)) or 'none'}"
            )
        yield self._found(arrays, path.name)

    def _found(self, arrays: dict[str, np.ndarray], name: str) -> Found:
        positions, unit = _positions(arrays, name)
        energy = _number(arrays, "energy_ev", name)
        word = (
            str(arrays["geometry"].item()) if "geometry" in arrays and arrays["geometry"].size == 1 else None
        )
        if word not in (None, "far", "near"):
            raise BadFile(f"{name}: geometry is {word!r}, expected 'far' or 'near'")
        return Found(
            frames=Stack(name, [arrays["data"]]),
            positions=positions,
            positions_unit=unit,
            geometry=word,  # type: ignore[arg-type]
            wavelength=_number(arrays, "wavelength", name)
            or self.photon(None if energy is None else energy * EV, name, "energy_ev"),
            distance=_number(arrays, "distance", name),
            detector_pixel=_number(arrays, "detector_pixel", name),
            focus_to_sample=_number(arrays, "focus_to_sample", name),
            probe=_images(arrays, "probe", name, "fc"),
            mask=_mask(arrays, name),
            background=_images(arrays, "background", name, "iuf"),
        )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of the archive, each checked against its own header before any memory is taken for it."""
    try:
        with _unpacked(path) as stream, zipfile.ZipFile(stream) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
            return {m.filename.removesuffix(".npy"): _array(archive, m, path.name) for m in members}
    except PwmError:
        raise
    except MemoryError:
        raise BadFile(f"{path.name} does not fit into this machine's memory") from None
    except _BROKEN as error:
        raise BadFile(f"{path.name} is damaged or is no NumPy archive: {error}") from error


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    openers: dict[str, Any] = {".bz2": bz2.open, ".gz": gzip.open}
    opener = openers.get(path.suffix.lower())
    if opener is None:
        with path.open("rb") as stream:
            yield stream
        return
    with tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool, opener(path, "rb") as packed:
        shutil.copyfileobj(packed, spool, 1 << 20)
        spool.seek(0)
        yield spool


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> np.ndarray:
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or dtype.kind not in "biufcUS":
            raise BadFile(f"{name}: {member.filename} holds Python objects, which are never read")
        if size > member.file_size or size > memory():
            raise BadFile(
                f"{name}: {member.filename} claims shape {shape}, more than the file or the memory holds"
            )
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _positions(arrays: dict[str, np.ndarray], name: str) -> tuple[np.ndarray | None, str]:
    key = next((k for k in ("positions_m", "positions", "scan") if k in arrays), None)
    if key is None:
        return None, "px"
    positions = arrays[key]
    if positions.dtype.kind not in "iuf" or positions.ndim < 2 or positions.shape[-1] != 2:
        raise BadFile(
            f"{name}: {key} must be (n, 2) as (row, column), found {positions.dtype} {positions.shape}"
        )
    stated = arrays.get("positions_unit")
    unit = str(stated.item()) if stated is not None and stated.size == 1 else "px"
    return positions.reshape(-1, 2), "m" if key == "positions_m" else unit


def _number(arrays: dict[str, np.ndarray], key: str, name: str) -> float | None:
    if key not in arrays:
        return None
    value = arrays[key]
    if value.dtype.kind not in "iuf" or value.size != 1 or not value.item() > 0:
        raise BadFile(f"{name}: {key} must be one positive number")
    return float(value.item())


def _images(arrays: dict[str, np.ndarray], key: str, name: str, kinds: str) -> np.ndarray | None:
    image = arrays.get(key)
    if image is not None and (image.dtype.kind not in kinds or image.ndim < 2):
        raise BadFile(f"{name}: {key} must be an image, found {image.dtype} {image.shape}")
    return image


def _mask(arrays: dict[str, np.ndarray], name: str) -> np.ndarray | None:
    mask = _images(arrays, "mask", name, "biuf")
    return None if mask is None else mask != 0
