"""From a recorded spectrum image to a problem: elements, calibration, and what a count is worth."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np

from pwm_core.errors import BadFile
from pwm_core.problem import Problem
from pwm_core.stored import StoredArray

from .calibration import USUAL, Calibration, calibrate, columns_at, fitted_amounts
from .identify import CANDIDATES, identify
from .instruments import EDXInstrument, Instrument
from .lines import CONTINUUM, Line
from .operator import SpectrumImage
from .recording import Recording
from .remodel import Merge, by_shell, merged, with_component
from .spectrum_model import SCATTER, SUMS, instrument_of, oxides, spectrum_model, sum_peaks

log = logging.getLogger("pwm.spectroscopy")

_SHIFT, _STRETCH, _BROADER = 0.03, 0.005, 0.3  # keV of the zero; parts of gain and resolution
_SHARPEST = 121.0  # eV at Mn Kα: hardly more than silicon's own width
_STRONG = 0.01  # of all counts: elements whose families and subshells show


def problem_from(recording: Recording, modality: str, refine: bool = True) -> Problem:
    """The recorded spectrum image as a problem for maps (component, y, x).

    The components are the elements, in XRF the scatter peaks, and one continuum whose shape is that of
    the sum spectrum. With ``refine`` energy axis, resolution and line shape are fitted to the sum
    spectrum first. Elements have the unit µg/cm²; where dose or solid angle are not known these are
    relative densities, right up to one common factor. BadFile if nothing is found in the spectrum.
    """
    model = fitted_model(recording, modality, refine)
    operator = _scaled(model.operator, recording, model.amounts)
    shape = (len(operator.components), *recording.counts.shape[1:])
    pixel = recording.pixel_size
    steps = (1.0, 1.0) if pixel is None else tuple(1e-6 * p for p in pixel)
    log.info("components: %s", ", ".join(operator.components))
    counts = recording.counts
    return Problem(
        y=counts.astype(np.float32) if isinstance(counts, StoredArray) else np.asarray(counts, np.float32),
        operator=operator,
        modality=modality,
        shape=shape,
        axes=("component", "y", "x"),
        pixel_size=(1.0, *steps),
        units=("", *(("m", "m") if pixel else ("px", "px"))),
        mask=recording.mask,
        name=recording.name,
        ranges=_ranges(operator),
    )


def fitted_model(recording: Recording, modality: str, refine: bool = True) -> Calibration:
    """The operator brought to the sum spectrum of a recording; amounts are totals over the map.

    Of elements with strong lines the families (K, L, M), and the subshells of strong L and M families, are
    fitted apart, for what absorbs soft lines is seldom known and cross-sections of subshells are not well
    known; then they are joined in the ratio found, and the element's density is that of its hardest family.
    All else keeps the ratios of theory. The continuum, free splines in the fit, becomes one component of
    the fitted shape.
    """
    spectrum = recording.spectrum
    instrument = instrument_of(recording, modality)
    search = _search(instrument, recording) if refine else ()
    rough = _rough(spectrum, recording, instrument, search)
    if recording.anode and recording.host is None:
        recording = replace(recording, host=oxides(rough))
        log.info("host taken as %s", recording.host)
        instrument = instrument_of(recording, modality)
        search = (*search, "thickness") if refine and recording.mass_thickness is None else search
    sums = sum_peaks(rough)
    elements = recording.elements or _found(spectrum, recording, instrument, rough, sums)
    if not elements:
        raise BadFile(f"{recording.name}: no element is found in its spectrum; name some, as elements=Ca,Fe")
    apart = with_component(spectrum_model(recording, elements, instrument), SUMS, sums, "counts")
    strong = _strong(apart, rough, spectrum)
    weak = [e for e in elements if not any(n.startswith(f"{e}-") for n in strong)]
    operator = with_component(spectrum_model(recording, elements, instrument, weak), SUMS, sums, "counts")
    operator = by_shell(operator, [n for n in strong if not n.endswith("-K")])
    model = calibrate(operator, spectrum, search, start=rough.state)
    log.info("%s", model)
    return _simplified(model, elements, named=bool(recording.elements))


def _search(instrument: Instrument, recording: Recording) -> tuple[str, ...]:
    """What the sum spectrum can tell; the energy of a beam only if it scatters into the fitted range."""
    if isinstance(instrument, EDXInstrument):
        return USUAL
    thick = ("thickness",) if recording.host and recording.mass_thickness is None else ()
    mono = recording.anode is None and recording.energies[-1] > recording.beam_energy
    return (*USUAL, *thick, "doppler", *(("drift",) if mono else ()))


def _rough(
    spectrum: np.ndarray, recording: Recording, instrument: Instrument, search: tuple[str, ...]
) -> Calibration:
    """A first fit with the obvious elements."""
    elements = recording.elements
    if not elements:
        everything = spectrum_model(recording, _candidates(recording), instrument)
        names, columns = everything.components, everything.columns()
        elements = tuple(identify(columns, names, spectrum, recording.gain, recording.likely, limit=6))
    return calibrate(spectrum_model(recording, elements, instrument), spectrum, search, rounds=10)


def _found(
    spectrum: np.ndarray, recording: Recording, instrument: Instrument, rough: Calibration, sums: list[Line]
) -> tuple[str, ...]:
    """All elements in the spectrum, with the instrument as the obvious ones have calibrated it."""
    everything = with_component(
        spectrum_model(recording, _candidates(recording), instrument), SUMS, sums, "counts"
    )
    columns = columns_at(everything, rough.state)
    found = identify(columns, everything.components, spectrum, recording.gain, recording.likely)
    log.info("elements in the spectrum: %s", ", ".join(found) or "none")
    return tuple(found)


def _candidates(recording: Recording) -> list[str]:
    """Elements that may be looked for: the lines of a tube's own anode are taken for scatter."""
    return [e for e in CANDIDATES if e != recording.anode]


def _strong(operator: SpectrumImage, rough: Calibration, spectrum: np.ndarray) -> list[str]:
    """Families of lines with so many counts that ratios of families and subshells show.

    Only of elements whose hardest family, which comes first, does: a soft one may stand under another's.
    """
    columns = columns_at(operator, rough.state)
    amounts, _ = fitted_amounts(columns, spectrum)
    counts = dict(zip(operator.components, columns.sum(0) * amounts, strict=True))
    hardest: dict[str, str] = {}
    for name in operator.elements:
        hardest.setdefault(name.partition("-")[0], name)
    floor = _STRONG * spectrum.sum()
    return [n for n in operator.elements if counts[hardest[n.partition("-")[0]]] > floor]


def _simplified(model: Calibration, elements: tuple[str, ...], named: bool) -> Calibration:
    """With one component for each element that is there or was ``named``, and one continuum."""
    names = model.operator.components
    amounts = dict(zip(names, model.amounts, strict=True))
    merges = []
    for element in elements:
        own = [n for n in names if n.partition("-")[0] == element]
        parts = tuple(n for n in own if amounts[n] > 0) or tuple(own[:1] if named else ())
        if parts:
            merges.append(Merge(element, parts))
        if not any(amounts[n] for n in own):
            log.info("%s is not seen in the sum spectrum", element)
    for name in (*SCATTER, SUMS):
        parts = tuple(n for n in names if n.startswith(name) and amounts[n] > 0)
        merges += [Merge(name, parts, counts=True)] if parts else []
    merges.append(Merge(CONTINUUM, tuple(n for n in names if n.startswith(CONTINUUM)), counts=True))
    operator, totals = merged(model.operator, amounts, merges)
    return replace(model, operator=operator, amounts=np.array(list(totals.values())))


def _ranges(operator: SpectrumImage) -> dict[str, tuple[float, float]]:
    """Where a calibrator may look for energy axis and resolution: about as far off as files are."""
    zero, gain, resolution = (operator.theta[f"detector.{n}"] for n in ("zero", "gain", "resolution"))
    return {
        "detector.zero": (zero - _SHIFT, zero + _SHIFT),
        "detector.gain": (gain * (1 - _STRETCH), gain * (1 + _STRETCH)),
        "detector.resolution": (max(resolution * (1 - _BROADER), _SHARPEST), resolution * (1 + _BROADER)),
    }


def _scaled(operator: SpectrumImage, recording: Recording, totals: np.ndarray) -> SpectrumImage:
    """The operator at the dose that a certificate demands; its scale are the mean amounts on a pixel."""
    pixels = math.prod(recording.counts.shape[1:]) if recording.mask is None else int(recording.mask.sum())
    means = totals / pixels
    emission, factor = operator.emission, _certified_dose(operator, recording, means)
    counted = np.array([u == "counts" for u in emission.units])
    yields = np.where(counted, emission.yields / factor, emission.yields)  # a count stays a count
    means = np.where(counted, means, means / factor)
    emission = emission.replace(yields=yields, scale=np.where(means > 0, means, 1.0))
    beam = operator.beam.replace(dose=operator.beam.values()["dose"] * factor)
    return SpectrumImage(outer=operator.detector, inner=emission @ beam, label=operator.label)


def _certified_dose(operator: SpectrumImage, recording: Recording, means: np.ndarray) -> float:
    """The factor on the dose with which a reference material comes out as certified, by geometric mean."""
    measured = dict(zip(operator.components, means, strict=True))
    ratios = {e: measured[e] / d for e, d in recording.certified.items() if measured.get(e, 0) > 0}
    if not ratios:
        if recording.dose is None or recording.solid_angle is None:
            log.warning("dose or solid angle unknown: densities are relative, right up to one common factor")
        return 1.0
    factor = math.exp(float(np.mean(np.log(list(ratios.values())))))
    apart = ", ".join(f"{e} {100 * (r / factor - 1):+.1f} %" for e, r in ratios.items())
    log.info("scale from the reference material; against its certificate %s", apart)
    return factor
