"""The PtyPy .ptyd reader: chunks, weights and facts as PtyPy writes them, malformed files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from pwm_ptychography.readers.ptyd import Ptyd

from pwm_core.errors import BadFile
from pwm_core.testing import checks_for


def spot(n: int = 6) -> np.ndarray:
    """Frames with a bright direct beam in the middle, all different."""
    rows, cols = np.ogrid[:16, :16]
    bright = 900 * np.exp(-((rows - 8) ** 2 + (cols - 8) ** 2) / 4)
    return np.random.default_rng(0).poisson(bright, (n, 16, 16)).astype(np.uint16)


def walk(n: int = 6) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1e-6, 1e-6, (n, 2))


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


def test_ptyd_chunks_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    r = Ptyd().record(ptyd(tmp_path / "a.ptyd"))
    assert np.array_equal(r.frames, spot(12))
    assert np.array_equal(r.positions, walk(12))
    assert r.wavelength == pytest.approx(0.140891e-9, rel=1e-5)
    assert (r.distance, r.detector_pixel, r.geometry, r.mask) == (2.0, 75e-6, "far", None)


def test_ptyd_weights_of_zero_are_invalid(tmp_path: Path) -> None:
    path = ptyd(tmp_path / "a.ptyd")
    weights = np.ones((16, 16))
    weights[4, 5] = 0
    with h5py.File(path, "a") as file:
        for k in file["chunks"]:
            del file[f"chunks/{k}/weights"]
            file[f"chunks/{k}/weights"] = weights[None]
    mask = Ptyd().record(path).mask
    assert mask is not None
    assert np.array_equal(mask, weights > 0)
    path = ptyd(tmp_path / "b.ptyd", weight2d=weights)
    mask = Ptyd().record(path).mask
    assert mask is not None
    assert np.array_equal(mask, weights > 0)


def test_ptyd_facts_that_are_none_are_missing(tmp_path: Path) -> None:
    path = ptyd(tmp_path / "a.ptyd", distance=None)
    says(Ptyd(), path, "--assume distance=2m")
    assert Ptyd(distance=2.0).record(path).distance == 2.0


def test_ptyd_positions_may_be_those_the_loader_was_given(tmp_path: Path) -> None:
    path = ptyd(tmp_path / "a.ptyd")
    with h5py.File(path, "a") as file:
        for k in file["chunks"]:
            del file[f"chunks/{k}/positions"]
        file["info/positions_scan"] = walk(12)
    assert np.array_equal(Ptyd().record(path).positions, walk(12))


def test_ptyd_near_field_is_in_effective_lengths(tmp_path: Path) -> None:
    path = ptyd(tmp_path / "a.ptyd")
    with h5py.File(path, "a") as file:
        file["info/propagation"] = "nearfield"
    r = Ptyd().record(path)
    assert (r.geometry, r.focus_to_sample) == ("near", None)
    assert Ptyd(focus_to_sample=0.01).record(path).focus_to_sample == 0.01


def test_ptyd_with_chunks_in_other_files_is_refused(tmp_path: Path) -> None:
    path = ptyd(tmp_path / "a.ptyd")
    with h5py.File(path, "a") as file:
        del file["chunks/3"]
        file["chunks/3"] = h5py.ExternalLink(str(ptyd(tmp_path / "part003")), "/chunks/3")
    says(Ptyd(), path, "another file", "part003")
    with h5py.File(tmp_path / "empty.ptyd", "w") as file:
        file.create_group("chunks")
        file.create_group("meta")
    says(Ptyd(), tmp_path / "empty.ptyd", "no chunks")


test_ptyd_keeps_the_contract = checks_for("ptyd")
