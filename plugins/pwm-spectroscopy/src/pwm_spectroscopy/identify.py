"""Which elements a spectrum shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import maximum_filter1d

from .calibration import fitted_amounts

_SYMBOLS = (
    "C N O F Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Rb Sr Y Zr Nb Mo Ru Rh "
    "Pd Ag Cd In Sn Sb Te I Cs Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl "
    "Pb Bi Th U"
)
_RARE = (
    "Sc Ga Ge Se In Te Ru Rh Re Os Ir Hf Ta Tl Rb Cs Y Nb Hg Bi Th U F Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu"
)
CANDIDATES, RARE = tuple(_SYMBOLS.split()), frozenset(_RARE.split())
_MODEL, _NEAR = 0.01, 0.3  # error of the model as a part of the highest peak this near (keV)
_LIKELY, _UNUSUAL = 2.0, 0.4  # factors on the evidence for elements that the file names, and for rare ones


def identify(
    columns: np.ndarray,
    names: Sequence[str],
    spectrum: np.ndarray,
    gain: float,
    likely: Sequence[str] = (),
    level: float = 6.0,
    limit: int = 30,
) -> list[str]:
    """The elements that a spectrum (channel,) needs, by orthogonal matching pursuit.

    ``columns`` (channel, component) are the spectra of families of lines, ``names`` such as ``Fe-K``,
    an element's hardest family first; all other names are background and always there. Each round adds
    the element whose hardest family explains most of what the fit so far leaves, with all its families,
    whose ratios are free; then all amounts are fitted anew, none negative. An element counts as found if
    this signal exceeds ``level`` times its uncertainty: that of the counts, and one per cent of the
    highest peak within 0.3 keV for what the model does not know, more where the misfit √(χ²/n) says so.
    ``gain`` is the width of a channel, keV.
    Elements of the file's own list (``likely``) weigh double; rare ones, and those seen by L or M lines
    alone, less. (Pati et al. 1993, doi:10.1109/ACSSC.1993.342465.)
    """
    families = _families(names)
    hardest = [index[0] for index in families.values()]
    prior = np.array([_prior(names[j], likely) for j in hardest])
    chosen = [j for j in range(len(names)) if not _element(names[j])]
    found: list[str] = []
    while len(found) < limit:
        _, fitted = fitted_amounts(columns[:, chosen], spectrum)
        error = _errors(fitted, gain)
        score = _evidence(columns[:, hardest], columns[:, chosen], spectrum - fitted, error) * prior
        score[[e in found for e in families]] = 0.0
        best = int(np.argmax(score))
        if score[best] < level:
            break
        found.append(list(families)[best])
        chosen += families[found[-1]]
    amounts, fitted = fitted_amounts(columns[:, chosen], spectrum)
    error = _errors(fitted, gain) * _misfit(spectrum - fitted, _errors(fitted, gain))
    total = dict(zip(chosen, amounts, strict=True))
    main = {e: families[e][0] for e in found}
    return [e for e, j in main.items() if total[j] * np.linalg.norm(columns[:, j] / error) > level / 2]


def _element(name: str) -> str:
    """``Fe`` of ``Fe-K``; empty for a background."""
    head, _, tail = name.partition("-")
    return head if tail in ("K", "L", "M") else ""


def _families(names: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for j, name in enumerate(names):
        if _element(name):
            found.setdefault(_element(name), []).append(j)
    return found


def _prior(name: str, likely: Sequence[str]) -> float:
    element, family = name.split("-")
    if element in likely:
        return _LIKELY
    return _UNUSUAL if element in RARE or family != "K" else 1.0


def _errors(fitted: np.ndarray, gain: float) -> np.ndarray:
    """Uncertainty of every channel of a fitted spectrum, counts."""
    near = maximum_filter1d(fitted, 2 * round(_NEAR / gain) + 1)
    return np.asarray(np.sqrt(np.maximum(fitted, 1.0) + (_MODEL * near) ** 2))


def _evidence(columns: np.ndarray, basis: np.ndarray, rest: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Signal over uncertainty of each column in what is left, with the basis projected out."""
    unit, _ = np.linalg.qr(basis / error[:, None])
    scaled = columns / error[:, None]
    new = scaled - unit @ (unit.T @ scaled)
    size = np.linalg.norm(new, axis=0)
    own = size > 0.05 * np.linalg.norm(scaled, axis=0)
    return np.where(own, new.T @ (rest / error) / np.where(own, size, 1.0), 0.0) / _misfit(rest, error)


def _misfit(rest: np.ndarray, error: np.ndarray) -> float:
    """√(χ²/n), at least one; no channel counts for more than five standard deviations."""
    return max(1.0, float(np.mean(np.clip((rest / error) ** 2, 0, 25))) ** 0.5)
