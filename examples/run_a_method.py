"""Simulate a scan, reconstruct it, score it, look at it."""

from pwm_core import run, score
from pwm_core.registry import installed

plugins = installed()
modality = plugins.find("ptychography", "modality").load().small()
method = plugins.find("epie", "reconstructor").load()(iterations=30)

problem, truth = modality.simulate("chart", seed=1)  # the truth is a separate object: methods never see it
print(problem.operator)  # P(probe) → D(g, η₁)

result = run(method, problem, seed=1, device="cpu")
print(result)

quality = score(result.x, problem, truth, modality, result.theta)
print(
    f"phase PSNR {quality.psnr:.1f} dB, SSIM {quality.ssim:.3f}, residual {quality.residuals['residual']:.2g}"
)

figure = modality.figure(problem, result, truth, quality, "ePIE on a resolution chart")
figure.savefig("chart.png", dpi=150)
