"""How functions are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

_njit: Any = njit
_options = {"nogil": True, "error_model": "numpy", "boundscheck": False}


def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled by numba when first called, and cached on disk if there is any place for it."""
    try:
        return _njit(cache=True, **_options)(function)
    except RuntimeError as error:  # neither the package's folder nor the user's can be written
        if "no locator" not in str(error):
            raise
        return _njit(**_options)(function)
