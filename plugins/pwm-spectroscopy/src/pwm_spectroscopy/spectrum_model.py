"""What a recording is taken to be: instrument, lines, scatter, sum peaks and continuum, before any fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from .assembly import operator_for
from .calibration import Calibration
from .instruments import EDXInstrument, Instrument, SiliconDetector, XRFInstrument
from .lines import CONTINUUM, FAMILIES, Line, element_lines, scatter_lines
from .operator import SpectrumImage
from .recording import Recording
from .remodel import behind_air, with_component
from .tube import TubeSpectrum, excited_by, tube_spectrum
from .xraydata import atomic_number, atomic_weight

SCATTER, SUMS = ("Rayleigh", "Compton"), "sum peaks"
_ANGLES = (70, 100, 140)  # degrees between beam and detector
_SUMMED = 6  # lines among which sum peaks are looked for
_OXYGEN = {
    "Na": 0.5,
    "Mg": 1,
    "Al": 1.5,
    "Si": 2,
    "P": 2.5,
    "S": 3,
    "K": 0.5,
    "Ca": 1,
    "Ti": 2,
    "Mn": 1,
    "Fe": 1.5,
}
_BUMP = 1.2  # keV: spacing of the splines that a continuum is made of, wider than any peak
_PHOTONS, _ELECTRONS, _SOLID_ANGLE = (
    1e9,
    1e9,
    0.1,
)  # taken where nothing is known: densities are then relative


def instrument_of(recording: Recording, modality: str) -> Instrument:
    """The instrument as far as the recording knows it, focused to a point and free of sample absorption."""
    known = recording.solid_angle or _SOLID_ANGLE
    pixel = 1.0 if recording.pixel_size is None else recording.pixel_size[1]
    if modality == "xrf":
        tube = recording.anode is not None
        return XRFInstrument(
            energy=recording.beam_energy,
            photons=recording.dose or _PHOTONS,
            spot_size=0.0,
            pixel=pixel,
            polarisation=0.0 if tube else 0.95,
            takeoff=recording.take_off or 45.0,
            host=recording.host or "SiO2",
            mass_thickness=recording.mass_thickness or 0.0,
            doppler=0.1,
            detector=SiliconDetector(resolution=150.0, solid_angle=known),
        )
    return EDXInstrument(
        energy=recording.beam_energy,
        electrons=recording.dose or _ELECTRONS,
        probe_size=0.0,
        pixel=1e3 * pixel,
        elevation=recording.take_off or 20.0,
        tilt=recording.tilt,
        host=recording.host or "SiO2",
        mass_thickness=1e3 * (recording.mass_thickness or 0.0),
        bremsstrahlung=0.0,
        detector=SiliconDetector(
            window="C10H8O4", window_thickness=0.1, window_density=1.4, resolution=135.0, solid_angle=known
        ),
    )


def families(
    names: Sequence[str], instrument: Instrument, recording: Recording, joint: Collection[str] = ()
) -> list[str]:
    """The families of lines of these elements that the spectrum can show, each element's hardest first.

    Elements in ``joint`` stay whole.
    """
    hardest = recording.beam_energy * (
        1.0 if recording.anode is None else 0.9
    )  # a tube has few photons above
    low, high = recording.energies[0] + 0.05, min(recording.energies[-1], hardest) - 0.05
    found = []
    for name in names:
        if name in joint:
            found.append(name)
            continue
        for family in FAMILIES:
            lines = element_lines(name, instrument, (family,))
            seen = sum(x.strength * x.efficiency for x in lines if low < x.energy < high)
            if seen > 0.02 * sum(x.strength for x in lines):
                found.append(f"{name}-{family}")
    return found


def spectrum_model(
    recording: Recording, elements: Sequence[str], instrument: Instrument, joint: Collection[str] = ()
) -> SpectrumImage:
    """The uncalibrated operator: families of lines, scatter peaks, and a continuum of free bumps.

    Elements in ``joint`` are one component each, their families in the ratio of theory.
    """
    span = recording.gain * len(recording.counts)
    bumps = max(4, round(span / _BUMP))
    operator = operator_for(
        [
            *families(elements, instrument, recording, joint),
            *(f"{CONTINUUM}-{k}" for k in range(1, bumps + 1)),
        ],
        instrument,
        channels=len(recording.counts),
        zero=recording.zero,
        gain=recording.gain,
    )
    if not isinstance(instrument, XRFInstrument):
        return operator
    if recording.anode is None:
        for name, line in _elastic_and_compton(instrument):
            operator = with_component(operator, name, [line], "counts")
    else:
        tube = tube_spectrum(recording.anode, recording.beam_energy)
        operator = excited_by(operator, tube)
        for name, lines in _scattered(tube, instrument, recording).items():
            operator = with_component(operator, name, lines, "counts")
    return behind_air(operator, recording.air) if recording.air else operator


def _elastic_and_compton(instrument: XRFInstrument) -> list[tuple[str, Line]]:
    """The Rayleigh line, and Compton lines for the angles of several elements and of a second scatter."""
    found = [("Rayleigh", scatter_lines(instrument)[0])]
    for angle in _ANGLES:
        found.append(
            (f"Compton {angle}°", scatter_lines(instrument.replace(scattering_angle=float(angle)))[1])
        )
    return found


def _scattered(tube: TubeSpectrum, instrument: XRFInstrument, recording: Recording) -> dict[str, list[Line]]:
    """Rayleigh and Compton peaks of the anode's soft and hard lines, whose ratio the sample changes."""
    found: dict[str, list[Line]] = {}
    own = slice(-tube.lines, None)
    for energy, photons in zip(tube.energies[own], tube.photons[own], strict=True):
        if recording.energies[0] < energy < recording.energies[-1]:
            hard = energy > 0.5 * tube.energies[own].max()
            for line in scatter_lines(instrument.replace(energy=float(energy)))[:2]:
                moved = line._replace(strength=line.strength * float(photons), follow=0.0)
                found.setdefault(f"{line.name} {'hard' if hard else 'soft'}", []).append(moved)
    return found


def sum_peaks(model: Calibration) -> list[Line]:
    """Lines where two photons of the strongest lines are counted as one; their strengths are relative."""
    emission = model.operator.emission
    peaks = np.flatnonzero(np.array(emission.continuum) == 0)
    counts = (emission.yields @ model.amounts * model.operator.detector.efficiency)[peaks]
    top = peaks[np.argsort(counts)[-_SUMMED:]]
    strength = (emission.yields @ model.amounts * model.operator.detector.efficiency)[top]
    strength = strength / strength.max()
    energies = np.array(emission.energies)[top]
    return [
        Line("", float(energies[i] + energies[j]), float(strength[i] * strength[j]) * (1 + (i != j)))
        for i in range(len(top))
        for j in range(i + 1)
    ]


def oxides(model: Calibration) -> str:
    """A host of the oxides of the elements that a fit has found, as a chemical formula."""
    amounts = dict(zip(model.operator.components, model.amounts, strict=True))
    moles = {e: amounts.get(f"{e}-K", 0.0) / atomic_weight(atomic_number(e)) for e in _OXYGEN}
    total = sum(moles.values()) or 1.0
    parts = {e: m / total for e, m in moles.items() if m > 0.01 * total}
    oxygen = sum(_OXYGEN[e] * m for e, m in parts.items())
    return "".join(f"{e}{m:.3f}" for e, m in parts.items()) + f"O{oxygen:.3f}" if parts else "SiO2"
