"""Energy axis, resolution and line shape of a detector, from one spectrum with good statistics.

Variable projection: for every trial state of the instrument the amounts of all components follow by
non-negative least squares, so that only a handful of numbers is searched for. Weights are Poisson's, from
the fitted spectrum and not from the counts, which would bias areas low.
Golub & Pereyra 2003, doi:10.1088/0266-5611/19/2/201.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares, nnls

from pwm_core.errors import BadValue

from .operator import SpectrumImage
from .response import Rows
from .silicon import FANO, SPREAD

log = logging.getLogger("pwm.spectroscopy")


class Quality(NamedTuple):
    """How well a model explains a spectrum: ‖y − ŷ‖/‖y‖, and Σ(y − ŷ)²/ŷ per degree of freedom."""

    residual: float
    reduced_chi2: float


@dataclass(frozen=True)
class State:
    """What is searched for: the state of instrument and detector.

    ``fano`` stands for all width that grows with energy, ``drift`` changes the energy of the excitation,
    ``doppler`` multiplies the own width of Compton lines, ``tail`` is the part of each line's counts in an
    exponential tail of ``tail_length`` towards low energy; Kβ lines, whose radiative Auger satellites lie
    there, have ``beta_tail`` more. ``thickness`` is that of the absorbing host.
    """

    zero: float  # keV
    gain: float  # keV
    resolution: float  # eV at Mn Kα
    fano: float = FANO
    drift: float = 0.0  # keV
    doppler: float = 1.0
    tail: float = 0.0
    beta_tail: float = 0.0
    tail_length: float = 0.2  # keV
    thickness: float = 0.0  # mg/cm²


# name: (scale of a step, lowest, highest), absolute; zero and gain are relative to where they start
_SEARCH = {
    "zero": (0.005, -0.15, 0.15),
    "gain": (0.002, -0.03, 0.03),
    "resolution": (5.0, 121.0, 400.0),
    "fano": (0.02, FANO, 0.5),
    "drift": (0.01, -0.3, 0.3),
    "doppler": (0.2, 0.1, 6.0),
    "tail": (0.02, 0.0, 0.3),
    "beta_tail": (0.02, 0.0, 0.3),
    "tail_length": (0.1, 0.03, 0.8),
    "thickness": (1.0, 0.0, 300.0),
}
USUAL = ("zero", "gain", "resolution", "fano", "tail", "beta_tail", "tail_length")


@dataclass(frozen=True)
class Calibration:
    """The operator brought to a spectrum: ``amounts`` are the components' totals in their own units."""

    operator: SpectrumImage
    state: State
    amounts: np.ndarray
    fitted: np.ndarray  # (channel,)
    before: Quality
    after: Quality

    def __str__(self) -> str:
        s = self.state
        return (
            f"zero {1e3 * s.zero:.1f} eV, gain {1e3 * s.gain:.4f} eV, {s.resolution:.1f} eV at Mn Kα, "
            f"residual {self.before.residual:.4f} → {self.after.residual:.4f}, "
            f"reduced χ² {self.before.reduced_chi2:.3g} → {self.after.reduced_chi2:.3g}"
        )


def calibrate(
    operator: SpectrumImage,
    spectrum: np.ndarray,
    search: Collection[str] = USUAL,
    *,
    start: State | None = None,
    rounds: int = 40,
) -> Calibration:
    """Fit the parameters of ``State`` named in ``search`` to a spectrum (channel,) of counts.

    The search begins at ``start``, by default the operator's own state. The operator must be linear; every
    component's amount is free and non-negative. The answer's operator has the fitted state as its nominal
    one. BadValue if spectrum and operator do not fit together.
    """
    y = np.asarray(spectrum, dtype=np.float64)
    if y.shape != (operator.detector.channels,) or not np.isfinite(y).all() or y.min() < 0 or y.sum() == 0:
        raise BadValue(
            f"the spectrum to calibrate on must be {operator.detector.channels} counts, not all zero"
        )
    unknown = set(search) - set(_SEARCH)
    if unknown:
        raise BadValue(f"{sorted(unknown)[0]!r} is nothing to calibrate; known are {', '.join(_SEARCH)}")
    own = State(
        operator.detector.zero,
        operator.detector.gain,
        operator.detector.resolution,
        thickness=1e3 * operator.emission.mass_thickness,
    )
    state = _searched(operator, y, own, start, [n for n in _SEARCH if n in search], rounds)
    fitted_operator = at_state(operator, state)
    amounts, fitted = fitted_amounts(columns_at(operator, state), y)
    _, plain = fitted_amounts(columns_at(operator, own), y)
    free = int(np.count_nonzero(amounts))
    return Calibration(
        fitted_operator,
        state,
        amounts,
        fitted,
        quality(y, plain, free),
        quality(y, fitted, free + len(search)),
    )


def quality(y: np.ndarray, fitted: np.ndarray, free: int) -> Quality:
    """Residual and reduced χ² of a fitted spectrum; ``free`` counts the fitted numbers."""
    chi2 = float(np.sum((y - fitted) ** 2 / np.maximum(fitted, 1.0)))
    return Quality(float(np.linalg.norm(y - fitted) / np.linalg.norm(y)), chi2 / max(len(y) - free, 1))


def fitted_amounts(columns: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative amounts of the columns in a spectrum by least squares with Poisson weights, and the fit.

    Weights are 1/max(fit, 1), from a smoothed spectrum first and then twice from the fit.
    """
    from scipy.ndimage import uniform_filter1d

    expected = uniform_filter1d(y, 5)
    amounts = np.zeros(columns.shape[1])
    for _ in range(3):
        weight = 1 / np.sqrt(np.maximum(expected, 1.0))
        weighted = columns * weight[:, None]
        size = np.linalg.norm(weighted, axis=0)
        size[size == 0] = 1.0
        gram = (weighted / size).T @ (weighted / size)
        gram[np.diag_indices_from(gram)] += 1e-12
        factor = np.linalg.cholesky(gram).T
        right = np.linalg.solve(factor.T, (weighted / size).T @ (weight * y))
        amounts = nnls(factor, right, maxiter=20 * columns.shape[1])[0] / size
        expected = columns @ amounts
    return amounts, expected


def _searched(
    operator: SpectrumImage, y: np.ndarray, own: State, start: State | None, names: list[str], rounds: int
) -> State:
    """The state that explains the spectrum best; what is not searched for stays as it starts."""
    if not names:
        return start or own
    begun = start or replace(own, tail=0.01, beta_tail=0.01, fano=FANO + 0.01, thickness=own.thickness or 1.0)
    rest = vars(start or own)
    base = {"zero": own.zero, "gain": own.gain}
    scale = np.array([_SEARCH[n][0] * (own.gain if n == "gain" else 1.0) for n in names])
    low, high = np.array([_bounds(n, base) for n in names]).T

    def state(p: np.ndarray) -> State:
        return State(**{**rest, **dict(zip(names, p.tolist(), strict=True))})

    def error(p: np.ndarray) -> np.ndarray:
        _, fitted = fitted_amounts(columns_at(operator, state(p)), y)
        return np.asarray((y - fitted) / np.sqrt(np.maximum(fitted, 1.0)))

    p0 = np.clip([vars(begun)[n] for n in names], low + 1e-9, high - 1e-9)
    found = least_squares(
        error,
        p0,
        bounds=(low, high),
        x_scale=scale,
        diff_step=np.full(len(p0), 1e-4),
        max_nfev=rounds,
        ftol=1e-4,
        xtol=1e-6,
    )
    return state(found.x)


def _bounds(name: str, base: dict[str, float]) -> tuple[float, float]:
    _, low, high = _SEARCH[name]
    if name == "gain":
        return base["gain"] * (1 + low), base["gain"] * (1 + high)
    return (base["zero"] + low, base["zero"] + high) if name == "zero" else (low, high)


def _rows(operator: SpectrumImage, state: State) -> Rows:
    wide = Rows.of(_thick(operator, state), state.drift).wider(
        SPREAD * (state.fano / FANO - 1), state.doppler
    )
    return wide.tailed(state.tail, state.beta_tail, state.tail_length, wide.sigma(state.resolution))


def columns_at(operator: SpectrumImage, state: State) -> np.ndarray:
    """The spectra (channel, component) of one unit of each component with the instrument in this state."""
    return _rows(operator, state).columns(
        state.zero, state.gain, state.resolution, operator.detector.channels
    )


def _thick(operator: SpectrumImage, state: State) -> SpectrumImage:
    emission = operator.emission.replace(mass_thickness=1e-3 * state.thickness)
    return SpectrumImage(outer=operator.detector, inner=emission @ operator.beam, label=operator.label)


def at_state(operator: SpectrumImage, state: State) -> SpectrumImage:
    """The operator with this state as its nominal one, tails as lines of their own."""
    rows = _rows(operator, state)
    emission, detector, beam = operator.emission, operator.detector, operator.beam
    o, n = rows.origin, len(emission.energies)
    follow = np.array(emission.follow)
    emission = emission.replace(
        energies=rows.energies - follow[o] * state.drift,
        mass_thickness=1e-3 * state.thickness,
        yields=np.array(emission.yields)[o] * rows.share[:, None],
        line_names=tuple(emission.line_names[i] if k < n else "" for k, i in enumerate(o)),
        **{
            k: np.array(getattr(emission, k))[o]
            for k in ("depths", "slopes", "follow", "continuum", "absorbed")
        },
    )
    detector = detector.replace(
        energies=rows.energies,
        efficiency=np.array(detector.efficiency)[o],
        escapes=rows.escapes,
        doppler=rows.doppler,
        zero=state.zero,
        gain=state.gain,
        resolution=state.resolution,
    )
    if state.drift:
        beam = beam.replace(energy_drift=state.drift)
    return SpectrumImage(outer=detector, inner=emission @ beam, label=operator.label)
