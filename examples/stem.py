"""Simulate an atomic-resolution micrograph and look at it; then a measured one, if a file is given.

python stem.py [image.ser, .emi, .emd, .dm3, .dm4 or .hspy]      (pip install "pwm-stem[formats]")
"""

import sys
from pathlib import Path

from pwm_core import run, score
from pwm_core.reader import find_reader
from pwm_core.registry import installed

plugins = installed()
modality = plugins.find("stem", "modality").load()(size=128)
method = plugins.find("landweber", "reconstructor").load()(iterations=20)

theta = {"probe.size": 0.1, "probe.angle": 0.5, "scan.distortion": 0.5}  # Å, mrad, %
problem, truth = modality.simulate("particles", seed=1, theta=theta)
print(problem.operator)  # P(e⁻) → C(probe) → D(g, η₁)
print(f"{modality.dose:.0f} electrons per pixel, of which {problem.y.mean():.1f} are counted")

result = run(method, problem, seed=1, device="cpu")
quality = score(result.x, problem, truth, modality, result.theta)
print(f"PSNR {quality.psnr:.1f} dB, SSIM {quality.ssim:.3f}, chi2 {quality.residuals['chi2']:.2f}")
modality.figure(problem, result, truth, quality, "particles on carbon").savefig("particles.png", dpi=150)

if len(sys.argv) > 1:
    path = Path(sys.argv[1])
    reader = find_reader(plugins, path, "stem").load()(crop=256)  # voltage=80.0 and more, where it is known
    problem = reader.read(path)
    result = run(method, problem, seed=1, device="cpu")
    fit = modality.residuals(problem.operator(result.x), problem)
    print(f"{path.name}: {problem.y.mean():.1f} electrons per pixel, chi2 {fit['chi2']:.2f}")
    modality.figure(problem, result, None, None, path.name).savefig(f"{path.stem}.png", dpi=150)
