"""The field that the collimator leaves open, from the file's attributes and from the images."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from scipy import ndimage

from pwm_core.errors import BadFile

_DARK = 0.03  # of the bright pixels: what never gets brighter than that is covered
_EDGE = 2  # px: penumbra and compression artefacts beside the blades


def stated_field(ds: Dataset, shape: tuple[int, int], name: str) -> np.ndarray | None:
    """What collimator and display shutter leave open, (y, x) bool; None where the file has neither."""
    fields = [
        f for f in (_opening(ds, kind, shape, name) for kind in ("Collimator", "Shutter")) if f is not None
    ]
    return np.logical_and.reduce(fields) if fields else None


def visible_field(video: np.ndarray) -> np.ndarray:
    """The part of the images that is ever bright, (y, x) bool: whole, without the dark border that it has."""
    brightest = np.max(video, axis=0)
    lit = np.pad(brightest > _DARK * np.percentile(brightest, 99), _EDGE, mode="edge")
    lit = ndimage.binary_opening(lit, iterations=_EDGE)[_EDGE:-_EDGE, _EDGE:-_EDGE]
    labels, n = ndimage.label(lit)
    if n == 0:
        return np.ones(lit.shape, bool)
    largest = labels == 1 + np.argmax(ndimage.sum_labels(lit, labels, np.arange(1, n + 1)))
    field = ndimage.binary_fill_holes(largest)
    return ndimage.binary_erosion(field, iterations=_EDGE, border_value=1)


def _opening(ds: Dataset, kind: str, shape: tuple[int, int], name: str) -> np.ndarray | None:
    """The intersection of the shapes of one ``kind``; rows and columns count from 1 in DICOM."""
    shapes = ds.get(f"{kind}Shape")
    if not shapes:
        return None
    y, x = np.indices(shape) + 1
    field = np.ones(shape, bool)
    try:
        for word in [shapes] if isinstance(shapes, str) else shapes:
            if word == "RECTANGULAR":
                field &= (y > float(ds[f"{kind}UpperHorizontalEdge"].value)) & (
                    y < float(ds[f"{kind}LowerHorizontalEdge"].value)
                )
                field &= (x > float(ds[f"{kind}LeftVerticalEdge"].value)) & (
                    x < float(ds[f"{kind}RightVerticalEdge"].value)
                )
            elif word == "CIRCULAR":
                row, column = (float(v) for v in ds["CenterOfCircular" + kind].value)
                field &= np.hypot(y - row, x - column) <= float(ds["RadiusOfCircular" + kind].value)
            elif word == "POLYGONAL":
                field &= _polygon(np.asarray(ds["VerticesOfThePolygonal" + kind].value, dtype=float), shape)
    except (KeyError, TypeError, ValueError) as error:
        raise BadFile(
            f"{name}: its {kind.lower()} is {shapes}, but its edges are missing or no numbers"
        ) from error
    return field


def _polygon(vertices: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from skimage.draw import polygon2mask

    return polygon2mask(shape, vertices.reshape(-1, 2) - 1)
