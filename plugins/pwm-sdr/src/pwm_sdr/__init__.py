"""Projection and maximum-likelihood methods of ptychography for pwm."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    ptychography = frozenset({"ptychography"})

    def card(name: str, target: str, title: str, cite: str, variant: str) -> Card:
        return Card(
            name,
            f"pwm_sdr.{target}",
            "reconstructor",
            title,
            ptychography,
            gpu=True,
            licence="BSD-3-Clause",
            cite=cite,
            variant=variant,
        )

    return [
        card(
            "sdr",
            "sdr:SDR",
            "Semi-implicit relaxed Douglas–Rachford",
            "10.1364/OE.27.031246",
            "momentum, larger probe steps in the first sweeps, and sigma and steps that fall so that noise "
            "averages out (momentum=0, warmup=0, sigma_end=sigma, anneal=none: plain sDR)",
        ),
        card(
            "difference-map",
            "projections:DifferenceMap",
            "Difference map",
            "10.1016/j.ultramic.2008.12.011",
            "the last sweeps are alternating projections, since the map does not settle on noisy data "
            "(settle=0: none)",
        ),
        card(
            "raar",
            "projections:RAAR",
            "Relaxed averaged alternating reflections",
            "10.1088/0266-5611/21/1/004",
            "the last sweeps are alternating projections (settle=0: none)",
        ),
        card(
            "lsq-ml",
            "lsqml:LSQML",
            "Least-squares maximum likelihood",
            "10.1364/OE.26.003108",
            "mean steps over a group of frames, momentum once a sweep (momentum=0: none), falling steps "
            "(anneal=none: constant); without the paper's variable probe",
        ),
        card(
            "poisson-ml",
            "maximum:PoissonML",
            "Maximum likelihood under Poisson noise",
            "10.1088/1367-2630/14/6/063004",
            "L-BFGS in the place of conjugate gradients, after some sweeps of rPIE (warmup=0: none)",
        ),
        card(
            "ptycho-auto",
            "maximum:PtychoAuto",
            "rPIE, then preconditioned maximum likelihood until the noise level",
            "10.1088/1367-2630/14/6/063004",
            "likelihood of the amplitudes; L-BFGS, preconditioned by the illumination and by how well "
            "overlaps determine slow phases",
        ),
    ]
