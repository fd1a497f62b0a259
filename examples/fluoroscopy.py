"""Simulate a fluoroscopic sequence and look at it; then a measured one, if a file is given.

python fluoroscopy.py [cine.dcm]
"""

import sys
from pathlib import Path

from pwm_core import run, score
from pwm_core.reader import find_reader
from pwm_core.registry import installed

plugins = installed()
modality = plugins.find("fluoroscopy", "modality").load()(size=96, frames=12)
method = plugins.find("tv", "reconstructor").load()(iterations=12)

theta = {"pulse.blur": 4.0, "detector.lag": 3.0, "detector.gain_drift": 0.5}  # ms, ms, % a frame
problem, truth = modality.simulate("vessels", seed=1, theta=theta)
print(problem.operator)  # Π(proj) → Σ_t → D(g, η₁)
print(f"{modality.quanta:.0f} quanta per pixel and frame, {modality.rate:.0f} frames per second")

result = run(method, problem, seed=1, device="cpu")
quality = score(result.x, problem, truth, modality, result.theta)
print(f"PSNR {quality.psnr:.1f} dB, SSIM {quality.ssim:.3f}, chi2 {quality.residuals['reduced chi2']:.2f}")
modality.figure(problem, result, truth, quality, "filling vessels").savefig("vessels.png", dpi=150)

if len(sys.argv) > 1:
    path = Path(sys.argv[1])
    reader = find_reader(plugins, path, "fluoroscopy").load()(frames=":24", bin=2)  # pixel=0.2, where known
    problem = reader.read(path)
    result = run(method, problem, seed=1, device="cpu")
    fit = modality.residuals(problem.operator(result.x), problem)
    chi2, residual = fit["reduced chi2"], fit["residual"]
    print(f"{path.name}: {len(problem.y)} frames, chi2 {chi2:.2f}, residual {residual:.3f}")
    modality.figure(problem, result, None, None, path.name).savefig(f"{path.stem}.png", dpi=150)
