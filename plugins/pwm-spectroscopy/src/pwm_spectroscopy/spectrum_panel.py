"""The spectrum of a whole field with the fitted model, its components, and the names of the lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from pwm_core.driver import Result
from pwm_core.problem import Problem
from pwm_core.stored import blocks

from .operator import SpectrumImage, spectrum_image_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CLEAR = 0.02  # of a component's strongest line: fainter families stay without a label
_LABELS = 30  # as many as there is room for
_NAMED = ("α", "β", "γ")  # the series that are worth a label; the others crowd


class Summed(NamedTuple):
    """Spectra of all valid pixels together, in counts. ``parts`` is (channel, component)."""

    energies: np.ndarray
    counts: np.ndarray
    model: np.ndarray
    parts: np.ndarray


def summed(problem: Problem, result: Result) -> Summed:
    """The measured spectrum, the model's, and that of each component; channels that are masked are NaN."""
    operator = spectrum_image_of(problem)
    theta = {k: v for k, v in result.theta.items() if k in operator.parameters}
    shape = problem.y.shape
    mask = np.broadcast_to(True if problem.mask is None else np.asarray(problem.mask, bool), shape)
    pixels, channels = np.any(mask, axis=0), np.any(mask, axis=(1, 2))
    tuned = operator.at(theta)
    with torch.no_grad():
        x = torch.from_numpy(np.array(result.x, dtype=np.float64))
        blurred = tuned.beam.blur(x, tuned.beam.width(tuned.beam.values())).numpy()
    parts = tuned.columns() * blurred[:, pixels].sum(axis=1)
    counts = np.zeros(shape[0])
    for (part, *where), block in blocks(problem.y):
        counts[part] += block[:, pixels[tuple(where)]].sum(axis=1, dtype=np.float64)
    valid = np.where(channels, 1.0, np.nan)
    return Summed(tuned.energies, counts * valid, parts.sum(axis=1) * valid, parts)


def show_spectrum(axes: Axes, problem: Problem, result: Result, colours: dict[str, str]) -> None:
    """Counts, model and components of the whole field on a logarithmic axis, with named lines."""
    operator, s = spectrum_image_of(problem), summed(problem, result)
    top = float(np.nanmax(s.counts, initial=1.0))
    floor = max(0.5, 1e-5 * top)
    axes.set_yscale("log")
    axes.set_ylim(floor, 2.5 * top)
    axes.set_xlim(*_span(s, floor))
    background = np.zeros(len(s.energies))
    for j, name in enumerate(operator.components):
        if name in colours:
            part = np.maximum(s.parts[:, j], 1e-3 * floor)
            axes.fill_between(s.energies, 1e-3 * floor, part, color=colours[name], alpha=0.25, lw=0)
            axes.plot(s.energies, part, color=colours[name], lw=0.7)
        else:
            background += s.parts[:, j]
    if background.any():
        axes.plot(s.energies, background, color="0.55", lw=0.9, ls="--", label="scatter and background")
    axes.step(s.energies, np.maximum(s.counts, 1e-3 * floor), where="mid", color="0.35", lw=0.8, label="data")
    axes.plot(s.energies, np.maximum(s.model, 1e-3 * floor), color="black", lw=0.9, label="model")
    axes.set_ylabel("counts in a channel, whole field")
    axes.legend(frameon=False, fontsize=7, loc="upper right", handlelength=1.6)
    axes.tick_params(labelbottom=False)
    _name_lines(axes, operator, s, colours)


def show_residual(axes: Axes, problem: Problem, result: Result) -> None:
    """(data − model)/√model, in standard deviations of the counts."""
    s = summed(problem, result)
    apart = (s.counts - s.model) / np.sqrt(np.maximum(s.model, 1.0))
    size = max(4.0, float(np.nanpercentile(np.abs(apart), 99)))
    axes.axhspan(-2, 2, color="0.9", lw=0)
    axes.step(s.energies, apart, where="mid", color="0.3", lw=0.6)
    axes.set_ylim(-1.15 * size, 1.15 * size)
    axes.set_xlabel("energy (keV)")
    axes.set_ylabel("misfit (σ)")


def _span(s: Summed, floor: float) -> tuple[float, float]:
    """The energies between which anything is seen."""
    seen = np.flatnonzero((np.nan_to_num(s.counts) > 3 * floor) & (s.energies > 0))
    if not len(seen):
        return float(s.energies[0]), float(s.energies[-1])
    margin = 0.015 * (s.energies[-1] - s.energies[0])
    return float(s.energies[seen[0]] - margin), float(s.energies[seen[-1]] + margin)


def _name_lines(axes: Axes, operator: SpectrumImage, s: Summed, colours: dict[str, str]) -> None:
    """The strongest lines of each family above the frame, with a leader to their energy."""
    low, high = axes.get_xlim()
    found = [row for row in _labels(operator, s) if low < row[0] < high]
    places = _spread([e for e, _, _ in found], 0.0145 * (high - low), low, high)
    for (energy, text, element), place in zip(found, places, strict=True):
        colour = colours.get(element, "0.4")
        axes.annotate(
            text,
            (energy, 1.0),
            (place, 1.06),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=6.5,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 1, "shrinkB": 0},
        )
        axes.axvline(energy, color=colour, lw=0.4, alpha=0.35, zorder=0)


def _labels(operator: SpectrumImage, s: Summed) -> list[tuple[float, str, str]]:
    """(energy, label, component) of the strongest line of each visible series such as Fe Kβ, by energy."""
    emission, detector = operator.emission, operator.detector
    floor = max(0.5, 1e-5 * float(np.nanmax(s.counts, initial=1.0)))
    best: dict[tuple[str, int], tuple[float, float]] = {}
    seen = emission.yields * detector.efficiency[:, None]
    for i, name in enumerate(emission.line_names):
        family = name.rstrip("0123456789")
        if family.endswith(_NAMED) or name in ("Rayleigh", "Compton"):
            j = int(np.argmax(seen[i]))
            best[family, j] = max(
                best.get((family, j), (0.0, 0.0)), (seen[i, j], float(emission.energies[i]))
            )
    strongest = seen.max(axis=0)
    found = []
    for (family, j), (strength, energy) in best.items():
        height = np.interp(energy, s.energies, s.parts[:, j])
        if strength > _CLEAR * strongest[j] and height > 2 * floor:
            found.append((height, energy, family, operator.components[j]))
    return sorted(row[1:] for row in sorted(found, reverse=True)[:_LABELS])


def _spread(at: list[float], gap: float, low: float, high: float) -> list[float]:
    """Places close to ``at`` (ascending) that are at least ``gap`` apart."""
    places = np.array(at, dtype=float)
    for _ in range(3000):
        short = gap - np.diff(places)
        if len(places) < 2 or short.max() <= 1e-9:
            break
        push = np.maximum(short, 0) / 2
        places[:-1] -= push
        places[1:] += push
        places = np.clip(places, low + gap / 2, high - gap / 2)
    return places.tolist()
