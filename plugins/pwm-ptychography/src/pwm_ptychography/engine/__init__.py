"""The engine that ptychographic methods share: exit waves, modulus constraint, overlap updates, positions."""

from __future__ import annotations

from pwm_core.errors import BadValue
from pwm_core.problem import Problem

from ..operator import diffraction_of
from .interface import ALTERNATING, Engine, Projection, Reflection, Sums
from .modes import orthogonalise
from .torch_engine import TorchEngine

__all__ = [
    "ALTERNATING",
    "Engine",
    "Projection",
    "Reflection",
    "Sums",
    "TorchEngine",
    "make_engine",
    "orthogonalise",
]


def make_engine(
    problem: Problem,
    modes: int | None = None,
    *,
    components: int = 0,
    stabilised: bool = False,
) -> Engine:
    """The fastest engine for the problem's window, precision and device.

    Compiled kernels serve square windows of the native sizes (64, 128, 256 and their like) in single
    precision on a CPU; torch serves the rest. ``modes`` is the number of incoherent modes of the probe,
    by default as many as the assumed illumination has. With ``components`` the probe varies from frame to
    frame: so many coherent ones are added, with weights of each frame (orthogonal probe relaxation).
    ``stabilised`` amplitudes are unbiased where a detector element holds less than a few quanta.
    """
    if components and modes is not None and modes > 1:
        raise BadValue(f"a probe that varies from frame to frame has one incoherent mode, got modes={modes}")
    height, width = diffraction_of(problem).scan.window
    if problem.device == "cpu" and problem.dtype == "complex64" and height == width:
        from ..kernels.plan import plan

        if plan(height) is not None:
            from .planar import PlanarEngine

            return PlanarEngine(problem, modes, components, stabilised)
    return TorchEngine(problem, modes, components, stabilised)
