"""The centred transform that operators share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pwm_core.primitives.fourier import centred_fft2


@pytest.mark.parametrize("shape", [(6, 8), (8, 8), (6, 6), (2, 64), (5, 8), (7, 5)])
@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64, torch.complex64])
def test_position_and_frequency_zero_are_in_the_middle(shape, dtype):
    x = torch.randn(3, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    axes = (-2, -1)
    y = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(x.numpy(), axes=axes), norm="ortho"), axes=axes)
    found = centred_fft2(x)
    assert found.dtype == (torch.complex64 if dtype == torch.complex64 else torch.complex128)
    np.testing.assert_allclose(found, y, rtol=0, atol=1e-5 if dtype == torch.complex64 else 1e-12)
    point = torch.zeros(shape, dtype=dtype)
    point[shape[0] // 2, shape[1] // 2] = 1
    flat = torch.full(shape, 1 / np.sqrt(np.prod(shape))).to(found.dtype)
    torch.testing.assert_close(centred_fft2(point), flat)
