"""What a network sees of a problem: a classical estimate, what the data still ask of it, and the noise.

For a problem y = H(x) + noise and an estimate x₀, with J the derivative of H at x₀ and W the inverse
variance of the data, the features on the object's own grid are

    e = x₀,    g = JᵀW (y − H(x₀)) / (JᵀW J 1),    s = (JᵀW J 1)^(−1/2).

For a linear operator e and g together hold all that the data say of x (JᵀW y is a sufficient statistic), and
g is in the object's unit whatever the instrument; s is its noise.

A single image that is linear in its object, of the same shape, is a special case: its object may hold what
no network could resolve, so the network works on the image itself, the clean data over the gain H(1),
e = H(x₀)/H(1), g = (y − H(x₀))/H(1), s = W^(−1/2)/H(1), and the operator is inverted afterwards. It also
sees Hᵀ applied to g, scaled to the same noise: what of the misfit an object can have caused.

Each image is centred and scaled by its own contrast and noise, so that networks need not know units or doses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pwm_core.channels import CHANNELS, response
from pwm_core.errors import Unsuitable
from pwm_core.inverse import derivative
from pwm_core.lift import refuse_complex
from pwm_core.problem import Problem

FRAME = "frame"  # the object axis of videos
EVERYWHERE = (slice(None), slice(None))
_FAINT = 1e-3  # of the mean variance: an empty pixel is not infinitely sure
_BLIND = 30.0  # times the median noise level that stands for knowing nothing


@dataclass(frozen=True)
class Features:
    """The images of one object, on the way into a network and back.

    ``estimate, noise``          (K, H, W): e and s, scaled; K maps, frames, or one image
    ``gradients``                g, scaled, and what else there is of that kind: (K, H, W) each
    ``offset, scale``            (K, 1, 1): x = offset + scale · e
    ``frames``                   True if the K images follow each other in time
    """

    estimate: Tensor
    gradients: tuple[Tensor, ...]
    noise: Tensor
    offset: Tensor
    scale: Tensor
    frames: bool

    def channels(self, k: int, neighbours: int, window: tuple[slice, slice] = EVERYWHERE) -> Tensor:
        """The network's channels (C, h, w) of image ``k``: e of the frames about it, g (each kind) of the
        same, s of its own. At the ends of a video its last frame stands for those beyond.
        """
        half = neighbours // 2
        which = [min(max(k + d, 0), len(self.estimate) - 1) for d in range(-half, half + 1)]
        parts = [self.estimate[which], *(g[which] for g in self.gradients), self.noise[k : k + 1]]
        return torch.cat([p[(slice(None), *window)] for p in parts])

    def object(self, correction: Tensor) -> Tensor:
        """x (K, H, W) of the estimate with the network's correction (K, H, W)."""
        return self.offset + self.scale * (self.estimate + correction)


def works_on_data(problem: Problem) -> bool:
    """Whether the network sees and corrects the data themselves, before the operator is inverted."""
    return problem.operator.linear and problem.axes == ("y", "x") and np.shape(problem.y) == problem.shape


def features(problem: Problem, estimate: Tensor) -> Features:
    """The features of a (reduced) problem at ``estimate``, its object (H, W) or (K, H, W); where
    :func:`works_on_data`, at that estimate of H(x)/H(1)."""
    refuse_complex(problem)
    if problem.axes[-2:] != ("y", "x") or len(problem.axes) > 3:
        raise Unsuitable(
            f"a network takes images or stacks of them; {problem.modality} has axes {problem.axes}"
        )
    operator, noise, y = problem.operator, problem.operator.noise(), problem.data
    if noise is None:
        raise Unsuitable(f"the operator {operator} does not state its noise; a network needs it")
    on_data = works_on_data(problem)
    gain = gain_of(problem) if on_data else torch.ones((), device=problem.device)
    mean = gain * estimate if on_data else operator(estimate)
    variance = noise.variance(mean.clamp(min=0))
    weight = 1 / variance.clamp(min=max(float(variance.mean()) * _FAINT, 1e-30))
    if problem.mask is not None:
        valid = problem.tensor(problem.mask).expand(y.shape)
        y, weight = torch.where(valid > 0, y, mean), weight * valid
    if on_data:
        misfit, level = (y - mean) / gain, _level(weight * gain**2)
        gradients = [misfit, _back(problem, misfit)]
        return scaled(_stack(estimate), [_stack(g) for g in gradients], _stack(level), frames=False)
    if problem.axes[0] == CHANNELS:
        gradient, level = _of_maps(problem, estimate, weight * (y - mean), weight)
    else:
        forward, backward = derivative(operator, estimate)
        level = _level(backward(weight * forward(torch.ones_like(estimate))))
        gradient = level**2 * backward(weight * (y - mean))
    video = problem.axes[0] == FRAME
    return scaled(_stack(estimate), [_stack(gradient)], _stack(level), video)


def gain_of(problem: Problem) -> Tensor:
    """The data of an object that is one everywhere, kept from zero."""
    gain = problem.operator(torch.ones_like(problem.like))
    return gain.clamp(min=1e-6 * float(gain.max()))


def channels_for(problem: Problem, neighbours: int) -> int:
    """How many channels the features of such a problem have."""
    return (3 if works_on_data(problem) else 2) * neighbours + 1


def plain(images: np.ndarray, sigma: float, frames: bool, channels: int) -> Features:
    """The features of images (…, H, W) with white noise of standard deviation ``sigma`` and no physics, for a
    network that takes so many channels of a single image or frame."""
    stack = torch.tensor(np.asarray(images, np.float32))  # a copy: images may be read-only
    stack = stack.reshape(-1, *stack.shape[-2:])
    nothing = [torch.zeros_like(stack)] * (channels - 2)
    return scaled(stack, nothing, torch.full_like(stack, max(sigma, 1e-12)), frames)


def scaled(estimate: Tensor, gradients: Sequence[Tensor], level: Tensor, frames: bool) -> Features:
    """Centre each image and divide it by its contrast and noise; frames share one scale."""
    over = (0, 1, 2) if frames else (1, 2)
    offset = estimate.mean(over, keepdim=True).expand(len(estimate), 1, 1)
    contrast = estimate.std(over, keepdim=True, correction=0)
    typical = level.flatten(0 if frames else 1).median(-1).values.reshape(-1, 1, 1)
    scale = (contrast + typical).clamp(min=1e-30).expand(len(estimate), 1, 1)
    gradients = tuple(g / scale for g in gradients)
    return Features((estimate - offset) / scale, gradients, level / scale, offset, scale, frames)


def _back(problem: Problem, misfit: Tensor) -> Tensor:
    """Hᵀ on the misfit, scaled so that white noise keeps its level."""
    operator, like = problem.operator, problem.like
    seed = torch.Generator().manual_seed(0)
    white = torch.randn(like.shape, generator=seed).to(like)
    loss = operator.adjoint(white, like).std() / white.std()
    return operator.adjoint(misfit, like) / loss.clamp(min=1e-30)


def _of_maps(problem: Problem, x: Tensor, misfit: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """g and s where the data of one map answer to several maps of the object: the mixing is undone."""
    operator = problem.operator
    forward, backward = derivative(operator, x)
    own = torch.empty_like(x)
    for k in range(len(x)):  # what the data know of map k if all others are known
        only = torch.zeros_like(x)
        only[k] = 1
        own[k] = backward(weight * forward(only))[k]
    mixing = response(operator, problem.like).double()
    covariance = torch.linalg.inv(mixing.mT @ mixing)
    share = own / own.mean((-2, -1), keepdim=True).clamp(min=1e-30)
    level = _level(share) * covariance.diagonal().sqrt().to(x)[:, None, None]
    gradient = torch.tensordot(covariance.to(x), backward(weight * misfit), 1) / share.clamp(
        min=1 / _BLIND**2
    )
    return gradient, level


def _level(known: Tensor) -> Tensor:
    """The noise level that belongs to information; finite where nothing is known."""
    level = known.clamp(min=1e-30) ** -0.5
    return level.minimum(_BLIND * level.flatten(-2).median(-1).values[..., None, None])


def _stack(a: Tensor) -> Tensor:
    return a.reshape(-1, *a.shape[-2:])
