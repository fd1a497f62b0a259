"""The reconstructor around a trained network: estimate, features, correction."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from pwm_core.channels import CHANNELS
from pwm_core.errors import BadValue, Unsuitable
from pwm_core.inverse import invert
from pwm_core.lift import denoised
from pwm_core.method import Denoiser, Iterate, Reconstructor
from pwm_core.methods import build, find_method
from pwm_core.problem import Problem
from pwm_core.registry import installed
from pwm_core.settings import param

from .exchange import Exchange
from .features import FRAME, channels_for, features, gain_of, plain, works_on_data
from .network import Network
from .predict import corrections
from .weights import ModelCard, read_card, read_model

ERROR = 0.002  # mean square error of a network's images, in units of the noise (on validation scenes of stem)
_LARGEST = 3.0  # noise levels by which denoising may change a pixel
START = "start"  # the name of the estimate that a problem comes with


class Learned(Reconstructor, Denoiser):
    """A network that corrects a classical estimate, with weights for each modality that it was trained for.

    Spectra are first reduced to maps on the object's grid (``Operator.reduce``). The classical estimate,
    what the data still ask of it through the operator, and the noise level are what the network sees
    (:mod:`pwm_learned.features`), so a known blur, distortion or absorption enters by the operator and not
    by the weights. As a denoiser, in plug-and-play, it sees the noisy image and the noise level alone; those
    with a part of ``bare`` examples were trained for both.

    Subclasses set ``method`` (its name on the card), ``network``, and how it is trained; shipped weights lie
    in the package's folder ``weights`` as METHOD-MODALITY.safetensors.
    """

    method: ClassVar[str]
    network: ClassVar[type[Network]]
    size: ClassVar[dict[str, int]] = {}  # the network's numbers
    frames: ClassVar[int] = 1  # neighbouring frames that it sees of a video
    exchange: ClassVar[int] = 0  # channels in which the maps of one object inform each other
    images: ClassVar[str] = ""  # the modality whose weights denoise images of unknown origin
    bare: ClassVar[float] = 0.0  # part of the examples that are bare images with noise; more for denoisers
    batch: ClassVar[int] = 8  # patches a step, in training
    patch: ClassVar[int] = 64  # px
    rate: ClassVar[float] = 1e-3  # the highest learning rate

    weights: str = param("auto", doc="a .safetensors file that pwm train wrote, or auto: those that ship")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        network, card = self.model(problem.modality)
        problem = problem.reduced()
        if card.network["channels"] != channels_for(problem, card.frames):
            raise Unsuitable(
                f"the weights were trained for {card.modality}, whose objects are of another kind than of "
                f"{problem.modality}; `pwm train {self.method} --modality {problem.modality}` makes others"
            )
        network.to(problem.device)
        seen = features(problem, estimate(card.estimate, problem, rng))
        images = seen.object(corrections(network, seen, card.frames)).reshape(problem.shape)
        yield Iterate(inverted(problem, images) if works_on_data(problem) else images)

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        network, card = self.model(self.images)
        return _denoised(network, card, image, sigma)

    def suited(self, problem: Problem) -> Denoiser:
        network, card = self.model(problem.modality)
        return _Suited(network=network, card=card)

    def model(self, modality: str) -> tuple[Network, ModelCard]:
        """The network for this modality and its card; Unsuitable if none ships, BadFile or BadValue if the
        given file does not fit."""
        if self.weights == "auto":
            path = self.shipped(modality)
        else:
            path = Path(self.weights)
            made_by = read_card(path.with_suffix(".json")).method
            if made_by != self.method:
                raise BadValue(f"{path} holds weights of {made_by}, not of {self.method}")
        return _loaded(type(self), path, _stamp(path))  # type: ignore[arg-type]  # mypy: a class is hashable

    @classmethod
    def shipped(cls, modality: str) -> Path:
        """The file of the weights that come with the package; Unsuitable if there are none."""
        folder = cls.folder()
        path = folder / f"{cls.method}-{modality}.safetensors"
        if not path.is_file():
            there = sorted(p.stem.removeprefix(f"{cls.method}-") for p in folder.glob(f"{cls.method}-*.json"))
            raise Unsuitable(
                f"{cls.method} has no weights for {modality} (it has for {', '.join(there) or 'nothing'}); "
                f"`pwm train {cls.method} --modality {modality}` makes some, to be given as weights=FILE"
            )
        return path

    @classmethod
    def folder(cls) -> Path:
        return Path(str(files(cls.__module__.partition(".")[0]))) / "weights"

    @classmethod
    def numbers(cls, problem: Problem) -> tuple[dict[str, Any], int]:
        """The network's constructor arguments for problems of this kind, and the frames it sees."""
        frames = cls.frames if problem.axes[0] == FRAME else 1
        exchange = cls.exchange if problem.axes[0] == CHANNELS else 0
        channels = channels_for(problem, frames)
        return {"channels": channels, **cls.size, **({"exchange": exchange} if exchange else {})}, frames

    @classmethod
    def assemble(cls, *, channels: int, exchange: int = 0, **size: Any) -> Network:
        """A new network; it answers zero."""
        inner = cls.network(channels=channels + exchange, **size)
        return Informed(Exchange(channels, exchange), inner) if exchange else inner


class Informed(Network):
    """A network whose images first exchange what they show."""

    def __init__(self, exchange: Exchange, inner: Network) -> None:
        super().__init__()
        self.exchange, self.inner = exchange, inner
        self.multiple = inner.multiple  # type: ignore[misc]

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        return self.inner(self.exchange(features, groups), groups)


class _Suited(Denoiser):
    """The denoiser with the weights of one modality at hand."""

    network: nn.Module
    card: ModelCard

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        assert isinstance(self.network, Network)
        return _denoised(self.network, self.card, image, sigma)


def estimate(name: str, problem: Problem, rng: np.random.Generator) -> Tensor:
    """What the denoiser called ``name`` makes of a (reduced) problem, as :func:`features` expects it, or
    where the problem says to start."""
    if name == START:
        return problem.start
    entry = find_method(installed(), name)
    if not works_on_data(problem):
        *_, last = build(entry, {}).solve(problem, rng)
        return problem.tensor(last.x)
    return problem.tensor(denoised(entry.load()(), problem)) / gain_of(problem)


def inverted(problem: Problem, images: Tensor) -> Tensor:
    """The object whose clean data over the gain are ``images``."""
    operator, noise, gain = problem.operator, problem.operator.noise(), gain_of(problem)
    assert noise is not None  # features() asked
    clean = gain * images
    weight = 1 / noise.variance(clean.clamp(min=0)).clamp(min=1e-12)
    if problem.mask is not None:
        weight = weight * problem.tensor(problem.mask)
    return invert(operator, clean, weight, images, error=ERROR)


def _denoised(network: Network, card: ModelCard, image: np.ndarray, sigma: float) -> np.ndarray:
    if sigma == 0:
        return image.copy()
    single = 1 + (card.network["channels"] - 1) // card.frames
    seen = plain(image, sigma, card.frames > 1 and image.ndim == 3, single)
    most = _LARGEST * seen.noise  # what a network says far from what it was trained for is held to that
    clean = seen.object(corrections(network.to("cpu"), seen, card.frames).clamp(-most, most))
    return clean.numpy().reshape(image.shape).astype(image.dtype)


@functools.lru_cache(maxsize=8)
def _loaded(method: type[Learned], path: Path, stamp: tuple[int, int]) -> tuple[Network, ModelCard]:
    return read_model(path, method.assemble)


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does, so that weights in training are read anew."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
