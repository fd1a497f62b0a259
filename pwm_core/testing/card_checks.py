"""Checks of what a plugin says about itself before its code is imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires

from .. import __version__
from ..card import TRAITS
from ..executors import ExecutorFactory
from ..method import Calibrator, Denoiser, Reconstructor
from ..modality import Modality
from ..reader import Reader
from ..registry import METHODS, installed
from ..requirement import capped_requirement, next_breaking, requirements_on_core
from .report import require
from .subject import Subject

HEAVY = ("numpy", "torch", "scipy", "skimage", "h5py", "matplotlib", "numba")
BASES = {
    "reconstructor": Reconstructor,
    "denoiser": Denoiser,
    "calibrator": Calibrator,
    "modality": Modality,
    "reader": Reader,
    "executor": ExecutorFactory,
}

_LISTING = """
import json, sys
before = set(sys.modules)
from pwm_core.registry import installed
names = [e.qualname for e in installed().entries]
print(json.dumps([names, sorted(set(sys.modules) - before)]))
"""


def check_card_is_light(subject: Subject) -> None:
    """Listing the plugin imports none of numpy, torch, scipy, skimage, h5py, matplotlib, numba."""
    package = subject.entry.package
    paths = [p or os.getcwd() for p in sys.path]
    environment = {**os.environ, "PWM_PLUGINS": package, "PYTHONPATH": os.pathsep.join(paths)}
    listing = subprocess.run(
        [sys.executable, "-c", _LISTING], env=environment, capture_output=True, text=True, check=False
    )
    require(listing.returncode == 0, f"a fresh interpreter cannot list it: {listing.stderr.strip()[-300:]}")
    names, modules = json.loads(listing.stdout.splitlines()[-1])
    require(subject.entry.qualname in names, f"a fresh interpreter does not find {subject.entry.qualname}")
    heavy = [name for name in HEAVY if name in modules]
    require(
        not heavy,
        f"listing {package} imports {', '.join(heavy)}; import them in the method's own module instead",
    )


def check_card_is_complete(subject: Subject) -> None:
    """The card has a summary, a licence, known traits, for a method a DOI, and the role of its class."""
    card = subject.entry.card
    require(card.summary.strip(), "the card has no summary")
    require(card.licence.strip(), "the card has no licence")
    if card.role in ("reconstructor", "denoiser", "calibrator"):
        require(
            card.cite, "the card has no citation; give the DOI of the paper that it implements, cite='10.…'"
        )
        require(
            re.fullmatch(r"10\.\d{4,9}/\S+", card.cite), f"the citation {card.cite!r} is not a DOI, 10.…/…"
        )
    known = {*TRAITS, *(e.card.name for e in installed().of("modality"))}
    for trait in sorted(card.traits - known):
        require(False, f"the trait {trait!r} is neither one of {', '.join(TRAITS)} nor an installed modality")
    require(not card.modalities or card.role in METHODS, f"a {card.role} does not choose among modalities")
    base = BASES.get(card.role)
    if base is None:
        require(callable(subject.cls), f"{card.target} is not callable; a command's card names a function")
    else:
        is_one = isinstance(subject.cls, type) and issubclass(subject.cls, base)
        require(is_one, f"the card's role is {card.role}, but {card.target} is no {base.__name__}")


def check_requirement_is_capped(subject: Subject) -> None:
    """The package requires pwm-core, and no version whose interface may differ."""
    package = subject.entry.package
    if package == "pwm-core":
        return
    advice = f"write {capped_requirement(__version__)!r} among the dependencies in its pyproject.toml"
    ours = requirements_on_core(requires(package) or ())
    require(ours, f"{package} does not require pwm-core; {advice}")
    breaking = next_breaking(__version__)
    capped = any(not r.specifier.contains(breaking, prereleases=True) for r in ours)
    require(capped, f"{package} requires {ours[0]}, which would accept pwm-core {breaking}; {advice}")
