"""pwm: every image-reconstruction method on every measurement, the same way.

Importing this package costs the standard library and pluggy, nothing else: plugins import it
while ``pwm list-methods`` runs. The names below load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .card import Card, hookimpl

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .driver import Result as Result
    from .driver import run as run
    from .errors import PwmError as PwmError
    from .lift import DenoiseThenInvert as DenoiseThenInvert
    from .method import Calibrator as Calibrator
    from .method import Denoiser as Denoiser
    from .method import Iterate as Iterate
    from .method import Reconstructor as Reconstructor
    from .modality import Axis as Axis
    from .modality import Modality as Modality
    from .modality import Spec as Spec
    from .noise import Gaussian as Gaussian
    from .noise import Noise as Noise
    from .noise import Poisson as Poisson
    from .operator import Operator as Operator
    from .operator import Parameter as Parameter
    from .plug_and_play import PlugAndPlay as PlugAndPlay
    from .problem import Problem as Problem
    from .problem import Truth as Truth
    from .reader import Reader as Reader
    from .registry import installed as installed
    from .scoring import score as score
    from .settings import Settings as Settings
    from .settings import param as param

_HOME = {
    "Result": "driver",
    "run": "driver",
    "PwmError": "errors",
    "DenoiseThenInvert": "lift",
    "PlugAndPlay": "plug_and_play",
    "Calibrator": "method",
    "Denoiser": "method",
    "Iterate": "method",
    "Reconstructor": "method",
    "Axis": "modality",
    "Modality": "modality",
    "Spec": "modality",
    "Gaussian": "noise",
    "Noise": "noise",
    "Poisson": "noise",
    "Operator": "operator",
    "Parameter": "operator",
    "Problem": "problem",
    "Truth": "problem",
    "Reader": "reader",
    "installed": "registry",
    "score": "scoring",
    "Settings": "settings",
    "param": "settings",
}
__all__ = ["Card", "__version__", "hookimpl", *sorted(_HOME)]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module 'pwm_core' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
