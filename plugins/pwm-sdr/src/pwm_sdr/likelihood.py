"""The likelihood of object, probe and positions, in variables in which it is well conditioned."""

from __future__ import annotations

import torch
from pwm_ptychography.engine import Engine
from scipy.fft import next_fast_len

_OBJECT_FLOOR = 0.5  # of the largest illumination: weakly lit pixels move less, and fit less noise
_PROBE_FLOOR = 0.05
_SLOW_PHASE = 0.01  # least curvature of a slow phase, in parts of a fast one's
_FURTHEST = 0.3  # pixels that a position may move in one step


class Likelihood:
    """An :class:`~pwm_sdr.lbfgs.Objective`: half the misfit, as a function of what is to be found.

    The vector holds real and imaginary parts of object and probe, and the positions, each times the
    square root of its curvature at the start: √Σ|P|² for the object, √Σ|O|² for the probe, √Σ|∂ψ|² for
    a position.

    Slow phases of the object are weakly determined, because a phase that is constant over the
    illumination changes no frame: with ĝ the transform of the normalised illumination, a phase of
    frequency k has the curvature ½(1 − |ĝ(k)|²) and an attenuation ½(1 + |ĝ(k)|²). Their inverse is the
    guess of the inverse Hessian.

    Positions have the prior of independent errors; its variance is estimated from the corrections.
    """

    def __init__(
        self, engine: Engine, poisson: bool, update_probe: bool, positions: Positions | None = None
    ) -> None:
        self.engine, self.poisson, self.update_probe, self.positions = (
            engine,
            poisson,
            update_probe,
            positions,
        )
        sums = engine.gather(poisson=poisson, weights=True, track=positions is not None)
        assert sums.object_weight is not None
        assert sums.probe_weight is not None
        self.scales = [
            _root(sums.object_weight, _OBJECT_FLOOR),
            _root(sums.probe_weight, _PROBE_FLOOR),
        ]
        if positions is not None:
            assert sums.moves is not None
            positions.begin(sums.moves, 2.0 if poisson else 1.0)
        self._curvatures()
        self.settle()

    def evaluate(self) -> tuple[float, torch.Tensor]:
        """Half the misfit (with the prior), and its gradient in the scaled variables."""
        sums = self.engine.gather(poisson=self.poisson, track=self.positions is not None)
        value = sums.misfit / 2
        probe = sums.probe if self.update_probe else torch.zeros_like(sums.probe)
        parts = [_real(-sums.object / self.scales[0]), _real(-probe / self.scales[1])]
        if self.positions is not None:
            penalty, slope = self.positions.prior()
            assert sums.moves is not None
            value += penalty
            parts.append(((slope - sums.moves[:, :2].double()) / self.positions.scale).flatten().to(parts[0]))
        return value, torch.cat(parts)

    def move(self, direction: torch.Tensor, step: float) -> None:
        obj, probe, moves = self._parts(direction)
        self.engine.set_object(self.base[0] + step * obj)
        if self.update_probe:
            self.engine.set_probe(self.base[1] + step * probe)
        if self.positions is not None and moves is not None:
            self.positions.place(step * moves)

    def settle(self) -> None:
        self.base = self.engine.object.clone(), self.engine.probe.clone()
        if self.positions is not None:
            self.positions.settle()

    def longest(self, direction: torch.Tensor) -> float:
        moves = self._parts(direction)[2]
        return 1.0 if moves is None else _FURTHEST / max(float(moves.abs().max()), 1e-9)

    def inverse_hessian(self, gradient: torch.Tensor) -> torch.Tensor:
        obj = torch.view_as_complex(gradient[: self.size].view(*self.shape, 2)) * self.turn.conj()
        attenuation, phase = (
            self._filtered(part, inverse)
            for part, inverse in zip((obj.real, obj.imag), self.inverses, strict=True)
        )
        return torch.cat([_real(torch.complex(attenuation, phase) * self.turn), gradient[self.size :]])

    def _filtered(self, part: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
        """Padded with zeros to a size that transforms fast, and cut again, which keeps it symmetric."""
        height, width = self.shape
        return torch.fft.irfft2(torch.fft.rfft2(part, s=self.padded) * inverse, s=self.padded)[
            :height, :width
        ]

    def _curvatures(self) -> None:
        """What the guess of the inverse Hessian is made of."""
        obj, probe = self.engine.object, self.engine.probe
        self.shape, self.size = obj.shape, 2 * obj.numel()
        self.padded = [next_fast_len(n, real=True) for n in self.shape]
        self.turn = obj / obj.abs().clamp(min=1e-6)
        light = (probe.abs() ** 2).sum(0)
        seen = torch.fft.rfft2(light / light.sum(), s=self.padded).abs() ** 2
        self.inverses = 2 / (1 + seen), 2 / (1 - seen + 2 * _SLOW_PHASE)

    def _parts(self, vector: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """A vector as changes of object, probe and positions."""
        probe = self.engine.probe
        end = self.size + 2 * probe.numel()
        obj = torch.view_as_complex(vector[: self.size].view(*self.shape, 2)) / self.scales[0]
        probe = torch.view_as_complex(vector[self.size : end].view(*probe.shape, 2)) / self.scales[1]
        if self.positions is None:
            return obj, probe, None
        return obj, probe, vector[end:].view(-1, 2).double() / self.positions.scale


class Positions:
    """Scan positions as unknowns: corrections (frame, 2) in pixels of those that were given."""

    smallest = 0.05  # pixels, of the prior's standard deviation

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        device = engine.object.device
        self.correction = torch.zeros(engine.frames, 2, dtype=torch.float64, device=device)
        self.base = self.correction.clone()

    def begin(self, moves: torch.Tensor, unit: float) -> None:
        """Scales from the curvatures in ``moves``, and the prior's weight from the corrections so far.

        ``unit`` is the weight of −log likelihood in what is minimised, in quarters: half the misfit is a
        quarter of it for amplitudes, whose variance is ¼, and a half for Poisson's.
        """
        curvature = moves[:, 2:4].double()
        self.scale = (curvature + 0.05 * curvature.mean(0) + 1e-30).sqrt()
        centred = self.correction - self.correction.median(0).values
        sigma = max(self.smallest, 1.4826 * float(centred.abs().median()))
        self.weight = unit / (4 * sigma**2)

    def shift(self, pixels: torch.Tensor) -> None:
        """Move the frames by (frame, 2) pixels."""
        self.engine.move(pixels.to(self.correction.device))
        self.correction = self.correction + pixels.to(self.correction.device)

    def place(self, pixels: torch.Tensor) -> None:
        """Put the frames at the base plus (frame, 2) pixels."""
        self.shift(self.base + pixels - self.correction)

    def settle(self) -> None:
        self.base = self.correction.clone()

    def prior(self) -> tuple[float, torch.Tensor]:
        """Value and slope of the prior; the common shift is free."""
        centred = self.correction - self.correction.mean(0)
        return self.weight / 2 * float((centred**2).sum()), self.weight * centred

    def theta(self) -> dict[str, object]:
        """The refined positions as parameters of the operator, in which drift and jitter are contained."""
        return {
            "scan.positions": self.engine.positions(),
            "scan.drift": 0.0,
            "scan.jitter": torch.zeros(self.engine.frames, 2),
        }


def _root(weight: torch.Tensor, floor: float) -> torch.Tensor:
    return (weight + floor * weight.max()).sqrt()


def _real(values: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(values.contiguous()).flatten()
