"""Noise2Void: a network that learns from the measurement alone to predict pixels that it is not shown."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from pwm_learned.features import FRAME
from torch import Tensor
from torch.nn.functional import pad

from pwm_core import Denoiser, Iterate, Problem, Reconstructor, param
from pwm_core.errors import Unsuitable
from pwm_core.lift import DenoiseThenInvert

from .blind_spot import Shape, cell_size, hidden_by, replaced, stratified
from .small_unet import MULTIPLE, REACH, SmallUNet

_WIDTH = 24  # channels of the network at full resolution
_NEIGHBOURS = 2  # frames of a video that it sees on either side
_TILE = 512  # px; larger images are predicted in tiles
_INVERSIONS = (1 / 16, 1 / 4, 1 / 2, 1)  # of the steps, after which the operator is inverted
_MEMORY = 0.99  # of the running averages of weights and loss, from step to step
_WARM_UP = 20  # steps over which the learning rate rises


class Noise2Void(Reconstructor):
    """A U-Net that is trained on the data at hand, and on nothing else (Krull et al. 2019).

    Single pixels of random patches are replaced by random neighbours, and the network learns to predict what
    was measured there. Noise that is independent from pixel to pixel cannot be predicted, so that what it
    learns is the image without it. As for every denoiser, counts are first given uniform noise and spectra
    reduced to maps, and the operator is undone afterwards. Of a video it sees two frames to either side.

    Inverting the operator takes longer than a step, so that x changes after 1/16, 1/4, 1/2 and all of the
    steps; at first it is the object of the noisy data. The loss is that of the blind spots in units of the
    noise variance: 1, plus the mean square error of the prediction.
    """

    iterations: int = param(600, low=1, doc="training steps")
    mask: Shape = param(
        "pixel",
        doc="what a blind spot hides: its pixel alone or, if noise is correlated along the lines of a scan, "
        "a piece of its row or column",
    )
    rate: float = param(1e-3, low=1e-6, high=0.1, doc="highest learning rate of Adam")
    batch: int = param(8, low=1, doc="patches a step")
    patch: int = param(64, low=16, unit="px", doc="width of a patch")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        problem = problem.reduced()
        handed: list[tuple[np.ndarray, float]] = []

        def listen(image: np.ndarray, sigma: float) -> np.ndarray:
            handed.append((image, sigma))
            return image

        def inverted(denoise: Callable[[np.ndarray, float], np.ndarray]) -> Tensor:
            return next(DenoiseThenInvert(denoiser=_Function(function=denoise)).solve(problem, rng)).x

        x = inverted(listen)
        seed = int(rng.integers(2**62))
        training = _Training(self, *handed[0], problem.axes[0] == FRAME, problem.device, seed)
        inversions = {math.ceil(self.iterations * part) for part in _INVERSIONS}
        for step in range(1, self.iterations + 1):
            loss = training.step()
            if step in inversions:
                x = inverted(lambda image, sigma: training.prediction())
            yield Iterate(x, loss)


class _Function(Denoiser):
    """A function in a denoiser's place."""

    function: Callable[[np.ndarray, float], np.ndarray]

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        return self.function(image, sigma)


class _Training:
    """A network in training on ``image`` (..., y, x) with white noise of standard deviation ``sigma``.

    Images are centred and scaled by their own contrast. Of a video the network sees neighbouring frames too;
    a blind spot is blind in all of them, since a detector's lag correlates their noise.
    """

    def __init__(
        self, method: Noise2Void, image: np.ndarray, sigma: float, video: bool, device: str, seed: int
    ) -> None:
        self.method, self.shape, self.device = method, image.shape, device
        self.generator = torch.Generator().manual_seed(seed)
        images = torch.tensor(image, dtype=torch.float32, device=device).reshape(-1, *image.shape[-2:])
        if min(images.shape[-2:]) < MULTIPLE:
            raise Unsuitable(f"noise2void needs images of at least {MULTIPLE} px, got {image.shape[-2:]}")
        self.mean = images.mean((1, 2), keepdim=True)
        contrast = images.std((1, 2), keepdim=True)
        self.contrast = torch.where(contrast > 1e-6 * self.mean.abs(), contrast, 1)
        self.images = (images - self.mean) / self.contrast
        self.weight = (self.contrast / (sigma or 1.0)) ** 2  # the loss in units of the noise variance
        self.seen = _neighbours(len(images), _NEIGHBOURS if video else 0)

        channels = self.seen.shape[1]
        network = SmallUNet(channels, 1, _WIDTH, self.generator).to(device)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.network.parameters(), method.rate, betas=(0.9, 0.99))
        self.steps, self.loss = 0, 0.0

    @torch.enable_grad()
    def step(self) -> float:
        """Learn from one batch; the running average of the loss."""
        inputs, targets, weights = self._examples()
        loss = (weights * (self.network(inputs) - targets) ** 2).sum() / (weights > 0).sum().clamp(min=1)
        self.optimiser.param_groups[0]["lr"] = self.method.rate * self._schedule()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.steps += 1
        forget = max(1 - _MEMORY, 1 / self.steps)  # a plain mean at first
        with torch.no_grad():
            for mine, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mine.lerp_(current, forget)
        self.loss += forget * (loss.item() - self.loss)
        return self.loss

    def _schedule(self) -> float:
        """Linear warm-up, then half a cosine."""
        fall = 0.5 * (1 + math.cos(math.pi * self.steps / self.method.iterations))
        return fall * min(1.0, (self.steps + 1) / _WARM_UP)

    def _examples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Patches with blind spots (n, c, p, p), what was measured, and the weights of the blind spots."""
        method, generator = self.method, self.generator
        which = torch.randint(len(self.images), (method.batch,), generator=generator)
        patches = self._patches(which)
        size = patches.shape[-2:]
        spots = stratified(method.batch, (size[0], size[1]), cell_size(method.mask), generator)
        spots = spots.to(self.device)
        inputs = replaced(patches, hidden_by(spots, method.mask), method.mask, generator)
        middle = patches.shape[1] // 2
        weights = spots * self.weight[which][:, None]
        turn = int(torch.randint(8, (), generator=generator))
        turned = [_turned(t, turn) for t in (inputs, patches[:, middle : middle + 1], weights)]
        return turned[0].contiguous(memory_format=torch.channels_last), turned[1], turned[2]

    def _patches(self, which: Tensor) -> Tensor:
        """A random patch of each of these images, with its neighbours as channels."""
        height, width = self.images.shape[-2:]
        size = min(self.method.patch, height, width) // MULTIPLE * MULTIPLE
        top = torch.randint(height - size + 1, which.shape, generator=self.generator).tolist()
        left = torch.randint(width - size + 1, which.shape, generator=self.generator).tolist()
        corners = zip(which.tolist(), top, left, strict=True)
        return torch.stack([self.images[self.seen[k], y : y + size, x : x + size] for k, y, x in corners])

    @torch.no_grad()
    def prediction(self) -> np.ndarray:
        """The images as the averaged network predicts them, in the shape and unit of the data."""
        scaled = torch.cat([_predicted(self.average, self.images[seen][None])[0] for seen in self.seen])
        return (self.mean + self.contrast * scaled).double().cpu().numpy().reshape(self.shape)


def _neighbours(count: int, reach: int) -> Tensor:
    """For each of ``count`` images those that the network sees (count, 2·reach + 1); at the ends the last one
    stands for those beyond."""
    window = torch.arange(-reach, reach + 1)
    return (torch.arange(count)[:, None] + window).clamp(0, count - 1)


def _turned(patches: Tensor, turn: int) -> Tensor:
    """One of the eight turned and mirrored versions of square patches."""
    patches = torch.rot90(patches, turn % 4, (2, 3))
    return patches.flip(3) if turn >= 4 else patches


def _predicted(network: SmallUNet, images: Tensor) -> Tensor:
    """The network's answer (n, 1, y, x) to ``images`` (n, c, y, x) of any size, tile by tile.

    Tiles are seen with a margin so wide that the answer is the same as in one piece.
    """
    height, width = images.shape[-2:]
    images = pad(images, (0, -width % MULTIPLE, 0, -height % MULTIPLE), "replicate")
    images = images.contiguous(memory_format=torch.channels_last)
    out = images.new_empty(len(images), 1, *images.shape[-2:])
    for rows in _tiles(images.shape[-2]):
        for columns in _tiles(images.shape[-1]):
            (y, top), (x, left) = _with_margin(rows), _with_margin(columns)
            answer = network(images[:, :, y, x])
            tile = answer[
                :, :, top : top + rows.stop - rows.start, left : left + columns.stop - columns.start
            ]
            out[:, :, rows, columns] = tile
    return out[..., :height, :width]


def _tiles(size: int) -> Iterator[slice]:
    return (slice(start, min(start + _TILE, size)) for start in range(0, size, _TILE))


def _with_margin(span: slice) -> tuple[slice, int]:
    """The span with a margin on both sides, and where the span begins within it."""
    start = max(span.start - REACH, 0)
    return slice(start, span.stop + REACH), span.start - start
