"""Just-in-time compilation for plugins: those that use it depend on numba, the core does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """The function compiled by numba when first called, and cached on disk if there is any place for it.

    It runs without the GIL, checks no bounds, and divides as NumPy does. ``options`` are numba's
    (``fastmath=True``). Use it as ``@compiled`` or ``@compiled(...)``.
    """
    from numba import njit

    settings = {"nogil": True, "error_model": "numpy", "boundscheck": False, **options}

    def compile_(body: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **settings)(body)
        except RuntimeError as error:  # neither the package's folder nor the user's can be written
            if "no locator" not in str(error):
                raise
            return njit(**settings)(body)

    return compile_ if function is None else compile_(function)
