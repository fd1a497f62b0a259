"""Time of a sweep on CUDA and its agreement with the CPU; a script to run where there is a GPU."""

from __future__ import annotations

import time
from importlib.util import find_spec

import numpy as np
import torch
from pwm_epie.pie import EPIE, RPIE
from pwm_ptychography.engine import TorchEngine
from pwm_ptychography.engine.groups import GroupSweep
from pwm_ptychography.modality import Ptychography

from pwm_core import run, score


def sweep_time(engine: TorchEngine, alpha: float) -> float:
    """Best time (s) of one sweep out of several runs of twenty."""
    order = torch.randperm(engine.frames, device=engine.object.device)
    options = {"alpha": alpha, "beta": 1.0, "object_step": 0.9, "probe_step": 0.3}
    best = np.inf
    for _ in range(6):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(20):
            engine.pie_sweep(order, **options)
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / 20)
    return best


def fft_time(engine: TorchEngine) -> float:
    """Best time (s) of one forward and one inverse transform of all frames, in one batch."""
    shape = (engine.frames * len(engine.probe), *engine.window)
    waves = torch.randn(shape, dtype=torch.complex64, device=engine.object.device)
    best = np.inf
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        torch.fft.ifft2(torch.fft.fft2(waves))
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


@torch.no_grad()
def main() -> None:
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    for window, pixel, defocus in ((64, 150.0, 130.0), (128, 75.0, 260.0)):
        for modes in (1, 3):
            modality = Ptychography(window=window, detector_pixel=pixel, defocus=defocus, photons=1e5)
            problem, truth = modality.simulate("circuit")
            engine = TorchEngine(problem.replace(device="cuda"), modes)
            sweep, floor = sweep_time(engine, 0.85), fft_time(engine)
            print(
                f"{engine.frames} frames {window}x{window}, {modes} modes: sweep {sweep * 1e3:.2f} ms, "
                f"transforms alone {floor * 1e3:.2f} ms, ratio {sweep / floor:.1f}"
            )
    modality = Ptychography(photons=1e6)
    problem, truth = modality.simulate("chart")
    for method in (EPIE(iterations=60), RPIE(iterations=60)):
        for device in ("cuda", "cpu") if find_spec("numba") else ("cuda",):
            result = run(method, problem, device=device, seed=1)
            found = score(result.x, problem, truth, modality, result.theta)
            print(
                f"{type(method).__name__} on {device}: {result.seconds:.2f} s, phase {found.psnr:.2f} dB, "
                f"residual {found.residuals['residual']:.3e}, peak {result.peak_memory / 2**20:.0f} MiB"
            )
    agreement(problem)


def agreement(problem) -> None:  # type: ignore[no-untyped-def]
    """The same groups on both devices, and groups of one frame against the sequential sweep."""
    engines = [TorchEngine(problem.replace(device=d)) for d in ("cpu", "cuda")]
    for groups in (10, engines[0].frames):
        for engine in engines:
            engine.object.copy_(0.9 * problem.start.to(engine.object.device))
            order = torch.arange(engine.frames, device=engine.object.device)
            GroupSweep(engine, engine.frames, 0.85, 1.0, groups)(order, 0.9, 0.3)
        a, b = (e.object.cpu() for e in engines)
        print(f"{groups} groups: CUDA against CPU, relative {float((a - b).norm() / a.norm()):.1e}")
        for engine in engines:
            engine.probe.copy_(TorchEngine(problem).probe)


if __name__ == "__main__":
    main()
