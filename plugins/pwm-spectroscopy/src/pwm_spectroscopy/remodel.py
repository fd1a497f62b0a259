"""A spectrum image's operator changed column by column: components added, merged, left out or rescaled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .lines import Line
from .operator import SpectrumImage
from .xraydata import tabulated, transitions


def with_component(operator: SpectrumImage, name: str, lines: Sequence[Line], unit: str) -> SpectrumImage:
    """The operator with one component more, behind the others, that sends these lines."""
    emission, detector = operator.emission, operator.detector
    rows, columns = emission.yields.shape
    yields = np.zeros((rows + len(lines), columns + 1))
    yields[:rows, :columns] = emission.yields
    yields[rows:, columns] = [x.strength for x in lines]
    added = {
        "energies": [x.energy for x in lines],
        "depths": [x.depth for x in lines],
        "slopes": [x.slope for x in lines],
        "follow": [x.follow for x in lines],
        "continuum": [float(x.continuum) for x in lines],
        "absorbed": [float(x.depth > 0) for x in lines],
    }
    seen = {
        "energies": added["energies"],
        "efficiency": [x.efficiency for x in lines],
        "escapes": [x.escape for x in lines],
        "doppler": [x.doppler for x in lines],
    }
    emission = emission.replace(
        yields=yields,
        components=(*emission.components, name),
        units=(*emission.units, unit),
        scale=np.r_[emission.scale, 1.0],
        line_names=(*emission.line_names, *(x.name for x in lines)),
        **{k: np.r_[getattr(emission, k), v] for k, v in added.items()},
    )
    detector = detector.replace(**{k: np.r_[getattr(detector, k), v] for k, v in seen.items()})
    return SpectrumImage(outer=detector, inner=emission @ operator.beam, label=operator.label)


class Merge(NamedTuple):
    """Several components as one: ``parts`` in the proportions of their amounts, in units of the first one.

    With ``counts`` one unit of the new component is one count instead.
    """

    name: str
    parts: tuple[str, ...]
    counts: bool = False


def merged(
    operator: SpectrumImage, amounts: Mapping[str, float], merges: Sequence[Merge]
) -> tuple[SpectrumImage, dict[str, float]]:
    """The operator whose components are the ``merges``, and their amounts.

    What no merge names is left out, and so are lines that no component sends any more.
    """
    emission, columns = operator.emission, operator.columns()
    names = emission.components
    yields, units, totals = [], [], {}
    for merge in merges:
        index = [names.index(p) for p in merge.parts]
        own = np.array([amounts[p] for p in merge.parts])
        unit = float((columns[:, index] @ own).sum()) if merge.counts else float(own[0])
        yields.append(emission.yields[:, index] @ (own / unit if unit else np.eye(len(own))[0]))
        units.append("counts" if merge.counts else emission.units[index[0]])
        totals[merge.name] = unit
    made = emission.replace(
        components=tuple(m.name for m in merges),
        units=tuple(units),
        scale=np.ones(len(merges)),
        yields=np.column_stack(yields),
    )
    return _pruned(
        SpectrumImage(outer=operator.detector, inner=made @ operator.beam, label=operator.label)
    ), totals


def by_shell(operator: SpectrumImage, names: Sequence[str]) -> SpectrumImage:
    """The operator with these families of lines taken apart by the subshell of the vacancy: Pt-M5, Pt-M4 ...

    The outermost subshell, whose lines are the strongest, comes first.
    """
    emission = operator.emission
    shells = {t.name: t.shell for t in transitions()}
    of_row = np.array([shells.get(n.partition(" ")[2], "") for n in emission.line_names])
    components, units, yields = [], [], []
    for j, name in enumerate(emission.components):
        column = emission.yields[:, j]
        found = sorted({s for s, y in zip(of_row, column, strict=True) if y and s}, reverse=True)
        for shell in found if name in names else [""]:
            components.append(f"{name.partition('-')[0]}-{shell}" if shell else name)
            units.append(emission.units[j])
            yields.append(np.where(of_row == shell, column, 0.0) if shell else column)
    made = emission.replace(
        components=tuple(components),
        units=tuple(units),
        scale=np.ones(len(units)),
        yields=np.column_stack(yields),
    )
    return SpectrumImage(outer=operator.detector, inner=made @ operator.beam, label=operator.label)


def behind_air(operator: SpectrumImage, path: float) -> SpectrumImage:
    """With ``path`` mm of air at room conditions between sample and detector."""
    air = ((7, 0.755), (8, 0.232), (18, 0.013))  # mass fractions; 1.2 mg/cm³
    detector = operator.detector
    through = [
        math.exp(-0.12e-3 * path * sum(w * tabulated("CS_Total", z, max(float(e), 0.1)) for z, w in air))
        for e in detector.energies
    ]
    passed = np.where(operator.emission.absorbed > 0, through, 1.0)
    return SpectrumImage(
        outer=detector.replace(efficiency=np.array(detector.efficiency) * passed),
        inner=operator.emission @ operator.beam,
        label=operator.label,
    )


def _pruned(operator: SpectrumImage) -> SpectrumImage:
    """Without the lines that no component sends any more."""
    emission, detector = operator.emission, operator.detector
    used: np.ndarray = np.count_nonzero(emission.yields, axis=1) > 0
    keys = ("energies", "depths", "slopes", "follow", "continuum", "absorbed", "yields")
    emission = emission.replace(
        line_names=tuple(n for n, u in zip(emission.line_names, used.tolist(), strict=True) if u),
        **{k: np.array(getattr(emission, k))[used] for k in keys},
    )
    detector = detector.replace(
        **{k: np.array(getattr(detector, k))[used] for k in ("energies", "efficiency", "escapes", "doppler")}
    )
    return SpectrumImage(outer=detector, inner=emission @ operator.beam, label=operator.label)
