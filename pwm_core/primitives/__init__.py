"""The eleven primitives that every forward model is composed of.

P propagate, M modulate, Π project, F sample in Fourier space, C convolve, Σ accumulate, D detect,
S illuminate, W disperse, R rotate, Λ select.
"""

from .accumulate import Accumulate, Expose
from .convolve import Convolve
from .detect import Detect
from .disperse import Disperse
from .fourier_sample import FourierSample
from .illuminate import Illuminate
from .modulate import Absorb, BeerLambert, Modulate
from .project import ConeProject, FanProject, Project
from .propagate import Propagate
from .rotate import Rotate, Shift
from .select import Passband, Select
from .video import VideoDetect

__all__ = [
    "Absorb",
    "Accumulate",
    "BeerLambert",
    "ConeProject",
    "Convolve",
    "Detect",
    "Disperse",
    "Expose",
    "FanProject",
    "FourierSample",
    "Illuminate",
    "Modulate",
    "Passband",
    "Project",
    "Propagate",
    "Rotate",
    "Select",
    "Shift",
    "VideoDetect",
]
