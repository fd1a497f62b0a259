"""Total variation of images, video and volumes, and its proximal point by the accelerated dual method."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from .scaling import inner


@dataclass
class Dual:
    """Where the dual iteration stands, so that the next proximal point starts from it."""

    p: torch.Tensor  # (axis, *object)
    q: torch.Tensor  # extrapolated
    momentum: float = 1.0


@dataclass
class Variation:
    """Σ_j √(Σ_a (c w_a ∂_a x)_j²) with forward differences and free edges.

    ``weight``    c, in the object's shape or broadcasting to it; it stands inside the root
    ``axes``      positions of the object's axes along which is differenced
    ``steps``     w, one for each of them
    ``together``  further axes whose differences share one root: vectorial total variation
    """

    weight: torch.Tensor
    axes: tuple[int, ...]
    steps: tuple[float, ...]
    together: tuple[int, ...] = field(default=())
    _kept: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def of(self, x: torch.Tensor) -> float:
        """The total variation of ``x``."""
        if self._compiles(x):
            from .compiled import total_variation

            layout = _Layout(tuple(x.shape), self.axes)
            return total_variation(layout.maps(x), layout.maps(self.weight), self.steps)
        return float(self._length(self.gradient(x)).sum(dtype=torch.float64))

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Weighted forward differences (axis, *object), zero at the far edge of each axis."""
        out = x.new_zeros((len(self.axes), *x.shape))
        for g, axis, step in zip(out, self.axes, self.steps, strict=True):
            n = x.shape[axis] - 1
            near, far = x.narrow(axis, 0, n), x.narrow(axis, 1, n)
            torch.sub(far, near, out=g.narrow(axis, 0, n))
            g *= self.weight if step == 1 else step * self.weight
        return out

    def adjoint(self, p: torch.Tensor) -> torch.Tensor:
        """The adjoint of :meth:`gradient`."""
        x = torch.zeros_like(p[0])
        for g, axis, step in zip(p * self.weight, self.axes, self.steps, strict=True):
            n = x.shape[axis] - 1
            inside = g.narrow(axis, 0, n)
            x.narrow(axis, 0, n).sub_(inside, alpha=step)
            x.narrow(axis, 1, n).add_(inside, alpha=step)
        return x

    def start(self, x: torch.Tensor) -> Dual:
        """The dual iteration at zero."""
        p = x.new_zeros((len(self.axes), *x.shape))
        return Dual(p, p)

    def project(self, p: torch.Tensor) -> torch.Tensor:
        """The nearest dual field with lengths of at most one."""
        return p / self._length(p).clamp_(min=1)

    def prox(
        self, v: torch.Tensor, metric: torch.Tensor, dual: Dual, steps: int, nonnegative: bool
    ) -> torch.Tensor:
        """argmin ½‖x − v‖²_metric + TV(x), over x ≥ 0 if ``nonnegative``; ``dual`` is carried on.

        Fast gradient projection on the dual (Beck & Teboulle 2009, doi:10.1109/TIP.2009.2028250) with
        the diagonal steps of Pock & Chambolle 2011 (doi:10.1109/ICCV.2011.6126441) and restarts where
        the momentum points uphill (O'Donoghue & Candès 2015, doi:10.1007/s10208-013-9150-3).
        """
        inverse, length = self._lengths(metric, v.shape)
        run = self._compiled if self._compiles(v) else self._in_torch
        return run(v, inverse, length, dual, steps, nonnegative)

    def _compiles(self, x: torch.Tensor) -> bool:
        return x.device.type == "cpu" and not self.together and len(self.axes) <= 3

    def _lengths(self, metric: torch.Tensor, shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
        """1/metric and the dual steps, kept as long as the metric is the same."""
        if self._kept is None or self._kept[0] is not metric:
            inverse = (1 / metric).expand(shape)
            self._kept = metric, inverse, self._dual_step(inverse)
        return self._kept[1:]

    def _in_torch(
        self,
        v: torch.Tensor,
        inverse: torch.Tensor,
        length: torch.Tensor,
        dual: Dual,
        steps: int,
        nonnegative: bool,
    ) -> torch.Tensor:
        """Whole arrays at a time: on any device, and where components share a root."""
        for _ in range(steps):
            x = self._primal(v, inverse, dual.q, nonnegative)
            p = self.project(torch.addcmul(dual.q, length, self.gradient(x)))
            moved = p - dual.p
            uphill = inner(dual.q - p, moved) > 0
            t = 1.0 if uphill else (1 + (1 + 4 * dual.momentum**2) ** 0.5) / 2
            ahead = 0.0 if uphill else (dual.momentum - 1) / t
            dual.p, dual.q, dual.momentum = p, torch.add(p, moved, alpha=ahead), t
        return self._primal(v, inverse, dual.p, nonnegative)

    def _compiled(
        self,
        v: torch.Tensor,
        inverse: torch.Tensor,
        length: torch.Tensor,
        dual: Dual,
        steps: int,
        nonnegative: bool,
    ) -> torch.Tensor:
        """By compiled loops over maps."""
        from .compiled import dual_steps

        layout = _Layout(tuple(v.shape), self.axes)
        x, (p, q, dual.momentum) = dual_steps(
            layout.maps(v),
            layout.maps(inverse),
            layout.maps(self.weight),
            layout.maps(length),
            (0.0,) * (layout.lead - len(self.axes)) + self.steps,
            (layout.fields(dual.p), layout.fields(dual.q), dual.momentum),
            steps,
            nonnegative,
            torch.get_num_threads(),
        )
        dual.p, dual.q = layout.fields_back(p), layout.fields_back(q)
        return layout.back(x)

    def gap(self, x: torch.Tensor, p: torch.Tensor) -> float:
        """The duality gap of a proximal point ``x`` that belongs to the dual field ``p``."""
        return self.of(x) - inner(self.gradient(x), p)

    def _primal(
        self, v: torch.Tensor, inverse: torch.Tensor, p: torch.Tensor, nonnegative: bool
    ) -> torch.Tensor:
        x = v - inverse * self.adjoint(p)
        return x.clamp_(min=0) if nonnegative else x

    def _dual_step(self, inverse: torch.Tensor) -> torch.Tensor:
        """1/(row sum of |K| M⁻¹ |K|ᵀ), the longest row of those that share a root."""
        weight = self.weight.expand(inverse.shape)
        columns = torch.zeros_like(inverse)  # of |K|
        for axis, step in zip(self.axes, self.steps, strict=True):
            n = inverse.shape[axis] - 1
            columns.narrow(axis, 0, n).add_(weight.narrow(axis, 0, n), alpha=step)
            columns.narrow(axis, 1, n).add_(weight.narrow(axis, 0, n), alpha=step)
        columns *= inverse
        rows = torch.zeros_like(inverse)
        for axis, step in zip(self.axes, self.steps, strict=True):
            n = inverse.shape[axis] - 1
            pair = columns.clone()
            pair.narrow(axis, 0, n).add_(columns.narrow(axis, 1, n))
            rows = torch.maximum(rows, step * weight * pair)
        if self.together:
            rows = rows.amax(self.together, keepdim=True)
        return 1 / rows.clamp(min=1e-30)

    def _length(self, p: torch.Tensor) -> torch.Tensor:
        square = p[0] * p[0]
        for q in p[1:]:
            square = torch.addcmul(square, q, q)
        if self.together:
            square = square.sum(self.together, keepdim=True)
        return square.sqrt_()


class _Layout:
    """How an object lies in memory as maps (map, t, y, x), contiguous, with the differenced axes last."""

    def __init__(self, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
        order = (*(a for a in range(len(shape)) if a not in axes), *axes)
        self.shape, self.order = shape, order
        self.turned = [shape[a] for a in order]
        self.sizes = [1] * (3 - len(axes)) + [shape[a] for a in axes]
        self.lead = max(len(axes), 2)  # one axis: differences in y are those of one row
        self.missing = self.lead - len(axes)

    def maps(self, x: torch.Tensor) -> np.ndarray:
        return x.expand(self.shape).permute(self.order).reshape(-1, *self.sizes).contiguous().numpy()

    def back(self, x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(x).view(self.turned).permute(tuple(np.argsort(self.order)))

    def fields(self, p: torch.Tensor) -> np.ndarray:
        """Dual fields (axis, map, t, y, x) of those in the object's shape."""
        order = (0, *(a + 1 for a in self.order))
        turned = p.permute(order).reshape(len(p), -1, *self.sizes).contiguous().numpy()
        if not self.missing:
            return turned
        return np.concatenate([np.zeros((self.missing, *turned.shape[1:]), turned.dtype), turned])

    def fields_back(self, p: np.ndarray) -> torch.Tensor:
        turned = torch.from_numpy(p[self.missing :]).view(-1, *self.turned)
        return turned.permute((0, *(int(a) + 1 for a in np.argsort(self.order))))
