"""Objects with several maps, such as one for each element, and how the data answer to each of them."""

from __future__ import annotations

import torch

from .operator import Operator

CHANNELS = "component"  # the object axis along which maps of different kind and scale are stacked


def response(operator: Operator, like: torch.Tensor) -> torch.Tensor:
    """Mean change of each map of the data with a uniform change of each map of the object, (out, in).

    For a linear operator whose data have a leading axis and images behind it, as reduced data have.
    """
    columns = []
    for k in range(like.shape[0]):
        x = torch.zeros_like(like)
        x[k] = 1
        columns.append(operator(x).flatten(1).mean(1))
    return torch.stack(columns, 1)
