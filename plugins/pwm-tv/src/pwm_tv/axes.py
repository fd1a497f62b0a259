"""What the axes of an object are: image, time, and components that have units of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

_IMAGE = ("z", "y", "x")
_TIME = ("frame", "time", "t")


@dataclass(frozen=True)
class Axes:
    """The positions of an object's axes, by what they are."""

    image: tuple[int, ...]
    time: tuple[int, ...]
    components: tuple[int, ...]  # elements, energies, ...: maps that have units of their own

    @property
    def across(self) -> tuple[int, ...]:
        """Image and time axes in their order: those of one map."""
        return tuple(sorted(self.image + self.time))

    @classmethod
    def of(cls, names: tuple[str, ...]) -> Axes:
        """The axes with these names; what is neither image nor time counts as components."""
        image = tuple(i for i, name in enumerate(names) if name in _IMAGE)
        time = tuple(i for i, name in enumerate(names) if name in _TIME)
        return cls(image, time, tuple(i for i in range(len(names)) if i not in image + time))


def unit_maps(like: torch.Tensor, components: tuple[int, ...]) -> Iterator[torch.Tensor]:
    """One where a component is, zero elsewhere; a single map of ones if there are no components."""
    shape = [like.shape[a] if a in components else 1 for a in range(like.ndim)]
    for unit in torch.eye(int(torch.tensor(shape).prod()), dtype=like.dtype, device=like.device):
        yield unit.reshape(shape).expand(like.shape)
