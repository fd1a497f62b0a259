"""Measured spectrum images: the operator explains them, and finds the certified densities of a standard."""

from pathlib import Path

import numpy as np
import pytest
from pwm_spectroscopy.calibration import quality
from pwm_spectroscopy.measured import fitted_model, problem_from
from pwm_spectroscopy.readers.mda import MDA
from pwm_spectroscopy.readers.pixlise import Pixlise
from pwm_spectroscopy.readers.rosetta import Rosetta

DATA = Path(__file__).parents[4] / "shared" / "data"


def measured(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the measured file {name} is not here")
    return path


def fit(recording, modality):
    """The fitted model, printed; its merged columns must give the same spectrum as the fit itself."""
    model = fitted_model(recording, modality)
    spectrum, columns = recording.spectrum, model.operator.columns()
    again = quality(spectrum, columns @ model.amounts, len(model.amounts))
    assert again.residual == pytest.approx(model.after.residual, rel=0.02)
    counts = columns.sum(0) * model.amounts
    print(f"\n{recording.name}: {spectrum.sum():.4g} counts, {model}")
    shown = [f"{n} {c:.3g}" for n, c in zip(model.operator.components, counts, strict=True)]
    print("counts:", ", ".join(shown))
    return model


def least_squares_maps(problem):
    """Maps (component, y, x) by least squares with the weights of the mean spectrum."""
    columns, y = problem.operator.columns(), problem.y.reshape(len(problem.y), -1)
    weights = 1 / np.maximum(columns @ problem.operator.emission.scale, 1e-3 * y.mean())
    left = (columns * weights[:, None]).T
    maps = np.linalg.solve(left @ columns, left.astype(np.float32) @ y)
    return maps.reshape(-1, *problem.y.shape[1:])


def test_axo_standard_is_explained_and_its_densities_predicted():
    recording = MDA().record(measured("xrf/axo_std.mda"))
    model = fit(recording, "xrf")
    assert model.after.residual < 0.03
    assert model.after.reduced_chi2 < 10
    assert {"Si", "Ar", "Ca", "La", "Fe", "Cu", "Pb"} <= set(model.operator.elements)
    found = dict(zip(model.operator.components, model.amounts, strict=True))
    deviations = {}
    for reference, certified in recording.certified.items():
        scale = certified / found[reference]
        for element, density in recording.certified.items():
            if element != reference:
                deviations[reference, element] = found[element] * scale / density - 1
                print(
                    f"scaled by {reference}: {element} {found[element] * scale:.3f}, "
                    f"certified {density:.3f} ug/cm^2, {100 * deviations[reference, element]:+.1f} %"
                )
    assert abs(deviations["Fe", "Cu"]) < 0.15
    assert max(abs(d) for d in deviations.values()) < 0.4


@pytest.mark.slow
def test_axo_standard_is_uniform():
    problem = problem_from(MDA().record(measured("xrf/axo_std.mda")), "xrf")
    maps = dict(zip(problem.operator.components, least_squares_maps(problem), strict=True))
    for element, density in (("Fe", 0.504), ("Cu", 0.284)):
        assert np.median(maps[element]) == pytest.approx(density, rel=0.2)
        assert maps[element].std() < 0.05 * maps[element].mean()


@pytest.mark.slow
def test_laguna_salinas_rock_is_explained():
    model = fit(Pixlise().record(measured("xrf/LagunaSalinas_dataset.bin")), "xrf")
    assert model.after.residual < 0.015
    assert model.after.reduced_chi2 < 80  # of 10⁸ counts: line shapes are wrong by about one per cent
    assert {"Si", "S", "Cl", "K", "Ca", "Ti", "Mn", "Fe", "Sr"} <= set(model.operator.elements)


@pytest.mark.slow
def test_dust_particle_is_explained_and_its_maps_show_structure():
    pytest.importorskip("rsciio")
    recording = Rosetta(bin=4).record(measured("stem_edx/L2083-K-4-1_tilt+00.bcf"))
    model = fit(recording, "stem-edx")
    assert model.after.residual < 0.08
    assert model.after.reduced_chi2 < 4
    problem = problem_from(recording, "stem-edx")
    maps = dict(zip(problem.operator.components, least_squares_maps(problem), strict=True))
    structure = {e: smoothness(maps[e]) for e in ("O", "Mg", "Si", "Fe", "Ca", "Pt")}
    print("correlation of neighbouring pixels:", {e: round(c, 2) for e, c in structure.items()})
    assert min(structure[e] for e in ("O", "Mg", "Si", "Fe", "Pt")) > 0.5
    assert structure["Ca"] > 0.15
    assert np.corrcoef(maps["Si"].ravel(), maps["O"].ravel())[0, 1] > 0.5  # silicates
    assert np.corrcoef(maps["Si"].ravel(), maps["Pt"].ravel())[0, 1] < 0  # platinum around the particle


def smoothness(image):
    """Correlation of each pixel with its right neighbour: 0 for noise, 1 for a smooth map."""
    return float(np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1])
