"""Incoherent modes of a probe, and coherent components: orthogonal, sorted by power, as few as needed."""

from __future__ import annotations

import torch


def orthogonalise(modes: torch.Tensor, keep: float = 0.0) -> torch.Tensor:
    """Orthogonal modes (mode, y, x) of the same mutual intensity, the strongest first.

    Modes whose part of the power is below ``keep`` are left out. The modes are the eigenvectors of
    the Gram matrix ⟨P_a, P_b⟩ (Thibault & Menzel 2013, doi:10.1038/nature11806).
    """
    flat = modes.flatten(1)
    gram = flat.conj() @ flat.T  # ⟨P_a, P_b⟩
    power, mixing = torch.linalg.eigh(gram.to(torch.complex128))
    power, mixing = power.flip(0).clamp(min=0), mixing.flip(1)
    count = max(1, int((power >= keep * power.sum()).sum()))
    rotated = (mixing.T.to(flat.dtype) @ flat)[:count]
    return rotated.reshape(count, *modes.shape[1:])


def principal(components: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Orthogonal components (component, y, x), the strongest first, and their weights (frame, component).

    They are the singular value decomposition of the frames' probes, with weights of mean square 1.
    """
    basis, small = torch.linalg.qr(components.flatten(1).T)
    own, power, mixing = torch.linalg.svd(weights @ small.T, full_matrices=False)
    size = len(weights) ** 0.5
    return ((power[:, None] * mixing) @ basis.T / size).view_as(components), own * size
