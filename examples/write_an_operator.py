"""Write a forward model: one torch expression gives adjoint, derivatives, composition and noise."""

import numpy as np
import torch

from pwm_core import Operator, param
from pwm_core.primitives import Detect


class Defocus(Operator):
    """Convolve an image (y, x) with a Gaussian whose width grows with the distance from focus."""

    symbol = "C"
    distance: float = param(2.0, low=0.0, high=10.0, unit="um", symbol="z", doc="from focus")
    blur: float = 0.8  # pixels of width for each micrometre

    def apply(self, x, distance):
        f = torch.fft.fftfreq(x.shape[-1], dtype=x.dtype, device=x.device)
        width = self.blur * distance
        transfer = torch.exp(-2 * (torch.pi * width) ** 2 * (f[:, None] ** 2 + f**2))
        return torch.fft.ifft2(torch.fft.fft2(x) * transfer).real


camera = Detect(name="camera", mode="linear", gain=2.0, readout=3.0)
H = camera @ Defocus(name="stage")
print(H, list(H.parameters))

rng = np.random.default_rng(0)
x = 100 * rng.random((64, 64))
y = H.sample(x, rng)  # with photon and readout noise; H(x) is its mean

# every parameter can be fitted: the gradient of the negative log-likelihood to the distance
z = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
optimiser = torch.optim.LBFGS([z], max_iter=30, line_search_fn="strong_wolfe")


def misfit():
    optimiser.zero_grad()
    loss = H.noise().nll(torch.as_tensor(y), H(torch.as_tensor(x), {"stage.distance": z}))
    loss.backward()
    return loss


optimiser.step(misfit)
print(f"distance {float(z.detach()):.3f} um, true 2.000")
assert abs(float(z.detach()) - 2) < 0.05
