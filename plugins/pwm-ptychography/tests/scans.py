"""Scan files for the readers' tests, and how a refusal is to look."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pwm_core.errors import BadFile

MEASURED = Path(__file__).resolve().parents[4] / "shared" / "data" / "ptychography"
DETECTOR = "entry_1/instrument_1/detector_1"
KEV = 1.602176634e-16


def spot(n: int = 6, y: int = 16, x: int = 16, dtype: type = np.uint16) -> np.ndarray:
    """Frames with a bright direct beam in the middle, all different."""
    rows, cols = np.ogrid[:y, :x]
    bright = 900 * np.exp(-((rows - y // 2) ** 2 + (cols - x // 2) ** 2) / 4)
    return np.random.default_rng(0).poisson(bright, (n, y, x)).astype(dtype)


def walk(n: int = 6) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1e-6, 1e-6, (n, 2))


def says(reader: object, path: Path, *words: str) -> str:
    """The one sentence with which the file is refused."""
    with pytest.raises(BadFile) as caught:
        reader.record(path)  # type: ignore[attr-defined]
    sentence = str(caught.value)
    assert path.name in sentence
    assert "\n" not in sentence
    for word in words:
        assert word in sentence
    return sentence


def cxi(path: Path, **items: object) -> Path:
    """A far-field CXI file as the specification lays it out; items replace or add, None leaves out."""
    frames, beam = spot(), walk()
    content: dict[str, object] = {
        "cxi_version": 160,
        f"{DETECTOR}/data": frames,
        f"{DETECTOR}/distance": 2.0,
        f"{DETECTOR}/x_pixel_size": 75e-6,
        f"{DETECTOR}/y_pixel_size": 75e-6,
        "entry_1/instrument_1/source_1/energy": 8.8 * KEV,
        "entry_1/sample_1/geometry_1/translation": np.stack([beam[:, 1], beam[:, 0], 0 * beam[:, 0]], 1),
    }
    short = {"energy": "entry_1/instrument_1/source_1/energy"}
    short["translation"] = "entry_1/sample_1/geometry_1/translation"
    for key, value in items.items():
        content[short.get(key, f"{DETECTOR}/{key}")] = value
    with h5py.File(path, "w") as file:
        for where, value in content.items():
            if value is not None:
                file[where] = value
    return path


def ptyd(path: Path, chunks: int = 12, **meta: object) -> Path:
    """A .ptyd file as PtyPy writes it, one frame a chunk and so more than ten chunks."""
    frames, beam = spot(chunks), walk(chunks)
    facts = {"energy": 8.8, "distance": 2.0, "psize": [75e-6, 75e-6], "center": [8.0, 8.0]} | meta
    with h5py.File(path, "w") as file:
        file.create_group("info")
        for key, value in facts.items():
            stored = file.create_dataset(f"meta/{key}", data=np.zeros(1) if value is None else value)
            stored.attrs["type"] = "None" if value is None else "array"
        for k in range(chunks):
            file[f"chunks/{k}/data"] = frames[k : k + 1]
            file[f"chunks/{k}/positions"] = beam[k : k + 1]
            file[f"chunks/{k}/weights"] = np.zeros(0)
            file[f"chunks/{k}/indices"] = [k]
    return path


def measured(name: str) -> Path:
    path = MEASURED / name
    if not path.exists():
        pytest.skip(f"measured file {name} is not here")
    return path
