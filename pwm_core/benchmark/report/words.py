"""The sentences of a report."""

from __future__ import annotations

from ..gallery import ERROR_PART
from ..results import Row, scored
from .html import Html, tag
from .standing import TITLES


def title(scenario: str) -> str:
    return f"Scenario {TITLES[scenario][0]}: {scenario}"


def lead(scenario: str, *, ranked: bool = True) -> Html:
    kind = "standard" if scenario == "ideal" else "blind"
    told = TITLES[scenario][1]
    order = f"Ranked by the {kind} score, methods that lack results last." if ranked else "Headings sort."
    score = "" if ranked else f", of the {kind} score"
    return tag("p", f"{told[0].upper()}{told[1:]}. Numbers are means over the scenes{score}. {order}")


def count(rows: list[Row]) -> str:
    """``48 cells, 2 without a result``."""
    text, bad = f"{len(rows)} cell{'s' if len(rows) != 1 else ''}", len(rows) - len(scored(rows))
    return f"{text}, {bad} without a result" if bad else f"{text}, all with a result"


def pictures() -> Html:
    return tag(
        "p",
        "Each scene with its measurement, and below it the reconstruction and its error in every scenario. "
        f"Errors are shown in ± {ERROR_PART:.0%} of the truth's range, the same for all methods: red is too "
        "high, blue too low. A picture opens enlarged; the arrow keys go on from there.",
    )


def calibration() -> Html:
    return tag(
        "p",
        "What calibration found, with one standard error, against the true state of the instrument. On the "
        "solid line the estimate is right, on the dotted one it stayed at the nominal value. Each mark leads "
        "to its record.",
    )


def recovery() -> Html:
    return tag(
        "p",
        "ρ = (III − II) / (I − II) of the PSNRs, mean over the scenes where I − II is above 0.5 dB; a dash "
        "where it is so in none.",
    )


def explanation() -> Html:
    pairs = {
        "Standard score": "0.5 · clip((PSNR − 15) / 30, 0, 1) + 0.5 · SSIM",
        "Blind score": "0.4 · clip((PSNR − 10) / 40, 0, 1) + 0.4 · SSIM + 0.2 · Fit",
        "PSNR and SSIM": "of the aligned reconstruction against the truth, in the truth's own range, SSIM "
        "with Gaussian weights of σ = 1.5 pixels. A run that diverged counts as score 0.",
        "Fit": "consistency with the data: clip(1 − ‖y − H(x)‖ / ‖y‖, 0, 1)",
        "Time and memory": "the method's own time, and the largest memory of the process that ran the cell",
    }
    return tag("dl", [[tag("dt", name), tag("dd", meaning)] for name, meaning in pairs.items()])
