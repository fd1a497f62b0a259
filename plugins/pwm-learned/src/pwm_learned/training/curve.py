"""The learning curve as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pwm_core.formats.write import replacing


def draw_curve(
    path: Path, history: Sequence[Mapping[str, Any]], others: Mapping[str, float], heading: str
) -> None:
    """Validation PSNR and training loss over minutes; ``others`` are PSNRs (dB) of classical methods."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    figure.suptitle(heading)
    left, right = figure.subplots(1, 2)
    minutes = [point["seconds"] / 60 for point in history]
    left.plot(minutes, [point["psnr"] for point in history], "o-", ms=3, label="network")
    for style, (name, value) in zip(("--", ":", "-.", "--"), others.items(), strict=False):
        left.axhline(value, color="0.4", ls=style, lw=1, label=name)
    left.set(xlabel="minutes", ylabel="PSNR of validation scenes (dB)")
    left.legend(frameon=False)
    right.plot(minutes, [point["loss"] for point in history], "o-", ms=3, color="C1")
    right.set(xlabel="minutes", ylabel="rms error ÷ that of the estimate", ylim=(0, None))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as file:
        FigureCanvasAgg(figure).print_figure(file, dpi=120, format="png")
