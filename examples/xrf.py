"""Simulate an X-ray fluorescence map and look at it; then a measured one, if a file is given.

python xrf.py [map.bin, .mda, .h5 or .nxs]
"""

import sys
from pathlib import Path

from pwm_core import run, score
from pwm_core.reader import find_reader
from pwm_core.registry import installed

plugins = installed()
modality = plugins.find("xrf", "modality").load()(size=48, channels=512)
method = plugins.find("tv", "reconstructor").load()(iterations=30)

theta = {"beam.spot_size": 1.2, "detector.resolution": 134.0}  # µm, eV
problem, truth = modality.simulate("soil", seed=1, theta=theta)
operator = problem.operator
print(operator, operator.components)  # M → R → D, and what the maps are of
print(f"{problem.y.sum(0).mean():.0f} counts per pixel in {len(operator.energies)} channels")

result = run(method, problem, seed=1, device="cpu")
quality = score(result.x, problem, truth, modality, result.theta)
print(f"PSNR {quality.psnr:.1f} dB, SSIM {quality.ssim:.3f}")
print({name: f"{view['psnr']:.1f} dB" for name, view in quality.views.items()})
modality.figure(problem, result, truth, quality, "soil grains").savefig("soil.png", dpi=150)

if len(sys.argv) > 1:
    path = Path(sys.argv[1])
    reader = find_reader(plugins, path, "xrf").load()()  # what a file lacks is given here: energy=17.44
    problem = reader.read(path)
    result = run(method, problem, seed=1, device="cpu")
    fit = modality.residuals(problem.operator(result.x), problem)
    print(f"{path.name}: {', '.join(problem.operator.elements)}; {fit}")
    modality.figure(problem, result, None, None, path.name).savefig(f"{path.stem}.png", dpi=150)
