"""Numbers as a report prints them."""

from __future__ import annotations

import math

DIGITS = {"score": 3, "psnr": 2, "ssim": 3, "consistency": 3, "ratio": 2}


def number(value: float | None, digits: int) -> str:
    """Fixed digits, a true minus sign, nothing for None."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "not a number"
    return f"{value:.{digits}f}".replace("-", "−")


def seconds(value: float | None) -> str:
    """Three significant digits below a minute, whole seconds or hours above."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.{2 if value < 10 else 1}f} s"
    return f"{value / 60:.1f} min" if value < 3600 else f"{value / 3600:.1f} h"


def memory(value: float | None) -> str:
    """Bytes as MiB or GiB."""
    if value is None:
        return ""
    return f"{value / 2**20:.0f} MiB" if value < 2**30 else f"{value / 2**30:.1f} GiB"
