"""The package ``bm3d`` by the authors of the method, as an optional backend."""

from __future__ import annotations

import numpy as np

from pwm_core.errors import Unsuitable


def filtered(image: np.ndarray, stages: str, threads: int) -> np.ndarray:
    """The image (y, x), of noise one, denoised by the package with its profile ``np``."""
    try:
        import bm3d
    except (ImportError, OSError) as error:
        raise Unsuitable(
            "backend=bm3d needs the package bm3d, for non-commercial use only; "
            f"pip install 'pwm-bm3d[reference]' installs it ({error})"
        ) from error
    profile = bm3d.BM3DProfile()
    profile.num_threads = threads
    stage = bm3d.BM3DStages.ALL_STAGES if stages == "both" else bm3d.BM3DStages.HARD_THRESHOLDING
    return np.asarray(bm3d.bm3d(image, 1.0, profile=profile, stage_arg=stage))
