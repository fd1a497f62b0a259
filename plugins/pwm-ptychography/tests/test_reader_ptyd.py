"""The PtyPy .ptyd reader: chunks, weights and facts as PtyPy writes them, malformed files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from pwm_ptychography.readers.ptyd import Ptyd

from pwm_core.testing import checks_for

from .scans import ptyd, says, spot, walk


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
