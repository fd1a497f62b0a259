"""Measured micrographs: read, and explained by the operator."""

from pathlib import Path

import numpy as np
import pytest
from pwm_stem.lattice import lattice_vectors
from pwm_stem.objects.crystal import lattice
from pwm_stem.objects.paint import paint
from pwm_stem.objects.structures import Column, Structure
from pwm_stem.reader import Micrograph
from scipy.optimize import least_squares

from pwm_core.errors import BadFile, BadValue

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "stem"
TITANATE = 3.905  # Å


def measured(name, **settings):
    pytest.importorskip("rsciio", reason="RosettaSciIO is not installed")
    if not (DATA / name).exists():
        pytest.skip(f"measured data {name} are not here")
    return Micrograph(**settings).read(DATA / name)


@pytest.mark.parametrize(
    ("name", "pixel", "electrons"),
    [
        ("16_STOimage_1.ser", 0.10013e-10, (150, 600)),
        ("Acquisition_18.emd", 0.122465e-10, (15, 60)),
        ("L2083-K-4-1_After_HAADF_130mm_1.ser", 32.704e-10, (500, 2000)),
    ],
)
def test_measured_files_become_electrons_on_a_metric_grid(name, pixel, electrons):
    problem = measured(name)
    assert problem.y.shape == problem.shape == (1024, 1024)
    assert problem.pixel_size == pytest.approx((pixel, pixel), rel=1e-4)
    assert electrons[0] < problem.y.mean() < electrons[1]
    assert str(problem.operator) == "P(e⁻) → C(probe) → D(g, η₁)"


def test_optics_come_from_the_file_and_scan_lines_from_its_axes():
    problem = measured("Acquisition_18.emd", crop=256)
    probe = problem.operator.node("probe")
    assert (probe.voltage, round(probe.convergence, 2)) == (200.0, 24.98)
    along = np.abs(np.fft.fft(problem.y, axis=1)[:, 108:148]).mean()
    across = np.abs(np.fft.fft(problem.y, axis=0)[108:148]).mean()
    assert along < across  # the detector's afterglow smooths along the lines


@pytest.mark.parametrize(("name", "off"), [("16_STOimage_1.ser", 0.045), ("Acquisition_18.emd", 0.06)])
def test_lattice_constant_of_strontium_titanate_within_the_microscopes_calibration(name, off):
    problem = measured(name)
    vectors = lattice_vectors(problem.y, problem.pixel_size[0] * 1e10, TITANATE)
    constant = np.sqrt(abs(np.linalg.det(vectors)))
    print(f"\n{name}: a = {constant:.3f} Å, {100 * (constant / TITANATE - 1):+.1f} % from {TITANATE} Å")
    assert constant == pytest.approx(TITANATE, rel=off)
    angle = np.degrees(np.arccos(vectors[0] @ vectors[1] / np.prod(np.linalg.norm(vectors, axis=1))))
    assert angle == pytest.approx(90, abs=2)


def test_columns_of_strontium_titanate_seen_by_the_operator_explain_the_measured_image():
    problem = measured("16_STOimage_1.ser", voltage=80.0, crop=256)
    pixel, y = problem.pixel_size[0] * 1e10, problem.y.astype(float)
    cells = [
        lattice(Structure("site", 1.0, 1.0, (Column(*p, (1,)),), 1.0), (20, 20)) for p in ((0, 0), (0.5, 0.5))
    ]

    def specimens(unknown):
        """A uniform ground and the columns of either site, on lattice vectors and an origin."""
        for site in cells:
            y_, x_ = (np.stack([site.y - 10, site.x - 10], 1) @ unknown[:4].reshape(2, 2) + unknown[4:6]).T
            yield paint(site._replace(y=y_, x=x_), y.shape, pixel)

    def fitted(unknown):
        blurred = (problem.operator(x, {"probe.size": unknown[6]}) for x in specimens(unknown))
        design = np.stack([np.ones(y.size), *(b.ravel() for b in blurred)], 1)
        amounts = np.linalg.lstsq(design, y.ravel(), rcond=None)[0]
        return (design @ amounts).reshape(y.shape), amounts

    def misfit(unknown):
        return ((fitted(unknown)[0] - y) / np.sqrt(y.mean())).ravel()

    cell = lattice_vectors(y, pixel, TITANATE)
    middle = (np.array(y.shape) - 1) / 2 * pixel
    starts = [
        np.concatenate([cell.ravel(), middle + np.array(s) / 3 @ cell, [0.5]]) for s in np.ndindex(3, 3)
    ]
    best = min(starts, key=lambda s: np.sum(misfit(s) ** 2))
    unknown = least_squares(misfit, best, x_scale=[0.01] * 4 + [0.05] * 2 + [0.1], max_nfev=8).x
    model, amounts = fitted(unknown)
    chi2 = np.sum((y - model) ** 2 / model) / (y.size - len(unknown) - len(amounts))
    residual = np.linalg.norm(y - model) / np.linalg.norm(y)
    (tio, sr), constant = sorted(amounts[1:]), np.mean((y - y.mean()) ** 2) / y.mean()
    print(
        f"\nSrTiO3 columns through the operator: residual {residual:.4f}, reduced chi2 {chi2:.2f} "
        f"({constant:.1f} without columns), source {0.6 + unknown[6]:.2f} Å, TiO : Sr = {tio / sr:.2f}"
    )
    assert chi2 < 3.5  # displaced lines and strain, which ten numbers do not describe, are above the noise
    assert chi2 < constant / 4
    assert residual < 0.12
    assert 0.2 < tio / sr < 0.8


def test_a_truncated_file_is_refused(tmp_path):
    measured("16_STOimage_1.ser", crop=64)
    broken = tmp_path / "broken.ser"
    broken.write_bytes((DATA / "16_STOimage_1.ser").read_bytes()[:5000])
    with pytest.raises(BadFile, match=r"broken\.ser"):
        Micrograph().read(broken)


def test_the_wrong_lattice_is_refused():
    problem = measured("16_STOimage_1.ser", crop=512)
    with pytest.raises(BadValue):
        lattice_vectors(problem.y, problem.pixel_size[0] * 1e10, 3.4)
