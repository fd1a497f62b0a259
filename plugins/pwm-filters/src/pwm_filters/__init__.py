"""Wiener, non-local means and temporal filters for pwm."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        _card("wiener", "wiener:Wiener", "Local adaptive Wiener filter", "10.1109/TPAMI.1980.4766994"),
        _card(
            "spectral-wiener",
            "spectral:SpectralWiener",
            "Wiener filter with the image's own smoothed periodogram, for lattices",
            "10.1046/j.1365-2818.1998.3070861.x",
            variant="a smoothed periodogram in two dimensions stands for the paper's radial average",
        ),
        _card(
            "nlm", "nlm:NonLocalMeans", "Non-local means, in images or over frames", "10.1109/CVPR.2005.38"
        ),
        _card(
            "recursive-average",
            "temporal:RecursiveAverage",
            "First-order recursive temporal average (IIR)",
            "10.1109/5.406412",
            traits=frozenset({"video"}),
            prior=False,  # it keeps what stands still exactly, static noise that a data step sharpens too
        ),
        _card(
            "motion-compensated",
            "motion:MotionCompensated",
            "Temporal average along block-matched motion",
            "10.1109/5.406412",
            traits=frozenset({"video"}),
            variant="blocks matched on smoothed frames, weighted by how well they fit",
        ),
    ]


def _card(
    name: str,
    target: str,
    summary: str,
    cite: str,
    *,
    traits: frozenset[str] = frozenset(),
    variant: str = "",
    prior: bool = True,
) -> Card:
    licence = "BSD-3-Clause"
    return Card(
        name, f"pwm_filters.{target}", "denoiser", summary, traits, False, licence, cite, variant, prior=prior
    )
