"""Just-in-time compilation: with and without a place for the cache."""

import numba
import numpy as np
import pytest

from pwm_core.compiling import compiled


def test_a_compiled_function_divides_as_numpy_does():
    @compiled(fastmath=False)
    def inverse(x):
        return 1.0 / x

    assert inverse(4.0) == 0.25
    assert inverse(0.0) == np.inf


def test_without_a_place_for_the_cache_it_is_compiled_anyhow(monkeypatch):
    asked = []

    def njit(cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available for file 'x'")
        return lambda body: body

    monkeypatch.setattr(numba, "njit", njit)
    assert compiled(lambda x: 2 * x)(3) == 6
    assert asked == [True, False]


def test_other_failures_of_numba_are_not_hidden(monkeypatch):
    def njit(**options):
        raise RuntimeError("broken")

    monkeypatch.setattr(numba, "njit", njit)
    with pytest.raises(RuntimeError, match="broken"):
        compiled(lambda x: x)
