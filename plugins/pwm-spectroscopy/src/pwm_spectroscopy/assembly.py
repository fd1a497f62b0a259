"""Put the operator of a spectrum image together from its components and the instrument."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pwm_core.errors import BadValue

from .beam import Beam, ElectronBeam, XRayBeam
from .detector import EDXDetector, EnergyDetector
from .emission import Emission, Fluorescence, Ionisation
from .instruments import EDXInstrument, Instrument, XRFInstrument, take_off_angle
from .lines import (
    CONTINUUM,
    HOST,
    Component,
    Line,
    bremsstrahlung_lines,
    bremsstrahlung_share,
    element_lines,
    free_continuum,
    parse,
    scatter_lines,
)
from .operator import SpectrumImage
from .xraydata import attenuation

_Rows = list[tuple[Line, dict[int, float]]]  # a line and the components that send it, as factors


def operator_for(
    components: Sequence[str],
    instrument: Instrument,
    *,
    channels: int = 1024,
    zero: float = 0.0,
    gain: float | None = None,
    scale: Mapping[str, float] | None = None,
) -> SpectrumImage:
    """The operator from maps (component, y, x) to spectra (channel, y, x); it prints as ``M → R → D``.

    ``components`` are element symbols (µg/cm²), optionally with a family of lines such as ``Pb-M``; then
    ``matrix`` (mg/cm² of the instrument's host, XRF only: its scatter), and free smooth backgrounds
    ``continuum`` or ``continuum-1 ... continuum-n`` (counts on a pixel at the nominal dose). ``zero`` and
    ``gain`` (keV; default 20 eV for XRF, 10 eV for EDX) calibrate the channels. ``scale`` names amounts
    that count as one when maps are compared (default 1). BadValue for an unknown component, one given
    twice, an element after a background, or one without any line in the range of the channels.
    """
    parsed = _checked(components)
    step = gain if gain is not None else (0.02 if isinstance(instrument, XRFInstrument) else 0.01)
    span = (zero, zero + step * channels)
    rows = _rows(parsed, instrument, span)
    beam, emission = _beam(instrument), _emission(parsed, instrument, rows, scale or {})
    detector = _detector(instrument, [line for line, _ in rows], channels, zero, step)
    _require_visible(parsed, emission, span)
    return SpectrumImage(outer=detector, inner=emission @ beam, label="M → R → D")


def line_table(component: str, instrument: Instrument, faint: float = 1e-3) -> list[tuple[str, float, float]]:
    """(name, energy in keV, intensity relative to the strongest) of an element's lines, as detected.

    Absorption in the host and the detector's efficiency included, escape peaks left out; strongest first.
    """
    part = parse(component)
    if not part.element:
        raise BadValue(f"{component!r} is no element and has no characteristic lines")
    lines = element_lines(part.element, instrument, part.families)
    emission = _emission([part], instrument, [(x, {0: 1.0}) for x in lines], {})
    emitted = emission.weights(torch.empty(0), 0.0)[:, 0].numpy() * [x.efficiency for x in lines]
    top = float(emitted.max()) if len(lines) else 0.0
    found = [
        (x.name, x.energy, float(e) / top) for x, e in zip(lines, emitted, strict=True) if e > faint * top
    ]
    return sorted(found, key=lambda row: -row[2])


def _checked(components: Sequence[str]) -> list[Component]:
    if isinstance(components, str) or not components:
        raise BadValue(f"components must be a sequence of names such as ('Ca', 'Fe'), got {components!r}")
    parsed = [parse(c) for c in components]
    twice = [c for c in components if list(components).count(c) > 1]
    if twice:
        raise BadValue(f"component {twice[0]!r} is given twice")
    kinds = [not c.element for c in parsed]
    if kinds != sorted(kinds):
        raise BadValue(f"elements come before backgrounds, got {', '.join(components)}")
    return parsed


def _rows(parsed: list[Component], instrument: Instrument, span: tuple[float, float]) -> _Rows:
    rows: _Rows = []
    for j, part in enumerate(parsed):
        rows += [(line, {j: 1.0}) for line in _lines(part, parsed, instrument, span)]
    if isinstance(instrument, EDXInstrument) and instrument.bremsstrahlung:
        shares = {j: bremsstrahlung_share(c.element) for j, c in enumerate(parsed) if c.element}
        rows += [(line, shares) for line in bremsstrahlung_lines(instrument, span[1])]
    return rows


def _lines(
    part: Component, parsed: list[Component], instrument: Instrument, span: tuple[float, float]
) -> list[Line]:
    if part.element:
        return element_lines(part.element, instrument, part.families)
    if part.name == HOST:
        if not isinstance(instrument, XRFInstrument):
            raise BadValue(
                f"{HOST!r} scatters X-rays; under electrons the bremsstrahlung comes with the elements"
            )
        return scatter_lines(instrument)
    count = sum(c.number > 0 for c in parsed)
    if part.number > count:
        raise BadValue(f"{part.name!r} without {CONTINUUM}-1 to {CONTINUUM}-{part.number - 1}")
    counted = _dose(instrument) * instrument.detector.solid_angle / (4 * math.pi)
    return [
        x._replace(strength=x.strength / counted)
        for x in free_continuum(part.number, count, (max(span[0], 0.0), span[1]), instrument)
    ]


def _emission(
    parsed: list[Component], instrument: Instrument, rows: _Rows, scale: Mapping[str, float]
) -> Emission:
    yields = np.zeros((len(rows), len(parsed)))
    for i, (line, shares) in enumerate(rows):
        for j, share in shares.items():
            yields[i, j] = line.strength * share
    lines = [line for line, _ in rows]
    common: dict[str, Any] = {
        "name": "emission",
        "components": tuple(c.name for c in parsed),
        "units": tuple(c.unit for c in parsed),
        "scale": np.array([float(scale.get(c.name, 1.0)) for c in parsed]),
        "line_names": tuple(x.name for x in lines),
        "energies": np.array([x.energy for x in lines]),
        "yields": yields,
        "depths": np.array([x.depth for x in lines]),
        "slopes": np.array([x.slope for x in lines]),
        "follow": np.array([x.follow for x in lines]),
        "continuum": np.array([float(x.continuum) for x in lines]),
        "absorbed": np.array([float(x.depth > 0) for x in lines]),
        "energy": instrument.energy,
        "host": instrument.host,
    }
    if isinstance(instrument, XRFInstrument):
        return Fluorescence(**common, **_xrf_geometry(instrument))
    return Ionisation(
        **common,
        mass_thickness=1e-6 * instrument.mass_thickness,
        path_in=1 / math.cos(math.radians(instrument.tilt)),
        path_out=1 / math.sin(_seen(instrument)),
    )


def _seen(instrument: EDXInstrument) -> float:
    angle = take_off_angle(instrument)
    if angle < math.radians(0.5):
        raise BadValue(
            f"at a tilt of {instrument.tilt:g}° the sample hides itself from the detector; tilt it back"
        )
    return angle


def _xrf_geometry(instrument: XRFInstrument) -> dict[str, Any]:
    here = attenuation(instrument.host, instrument.energy)
    beyond = attenuation(instrument.host, 1.002 * instrument.energy)
    return {
        "mass_thickness": 1e-3 * instrument.mass_thickness,
        "path_in": 1 / math.sin(math.radians(instrument.incidence)),
        "path_out": 1 / math.sin(math.radians(instrument.takeoff)),
        "depth_in": here,
        "slope_in": math.log(beyond / here) / math.log(1.002),
    }


def _dose(instrument: Instrument) -> float:
    return instrument.photons if isinstance(instrument, XRFInstrument) else instrument.electrons


def _beam(instrument: Instrument) -> Beam:
    if isinstance(instrument, XRFInstrument):
        return XRayBeam(
            name="beam",
            pixel=instrument.pixel,
            energy=instrument.energy,
            dose=instrument.photons,
            spot_size=instrument.spot_size,
        )
    return ElectronBeam(
        name="beam",
        pixel=instrument.pixel,
        energy=instrument.energy,
        dose=instrument.electrons,
        probe_size=instrument.probe_size,
    )


def _detector(
    instrument: Instrument, lines: list[Line], channels: int, zero: float, gain: float
) -> EnergyDetector:
    kind = EnergyDetector if isinstance(instrument, XRFInstrument) else EDXDetector
    return kind(
        name="detector",
        energies=np.array([x.energy for x in lines]),
        efficiency=np.array([x.efficiency for x in lines]),
        escapes=np.array([x.escape for x in lines]),
        doppler=np.array([x.doppler for x in lines]),
        channels=channels,
        base_solid_angle=instrument.detector.solid_angle,
        zero=zero,
        gain=gain,
        resolution=instrument.detector.resolution,
    )


def _require_visible(parsed: list[Component], emission: Emission, span: tuple[float, float]) -> None:
    inside = (emission.energies > span[0]) & (emission.energies < span[1]) & (emission.continuum == 0)
    for j, part in enumerate(parsed):
        if part.element and not emission.yields[inside, j].any():
            raise BadValue(
                f"{part.name} emits no line between {span[0]:.3g} and {span[1]:.3g} keV when excited by "
                f"{emission.energy:g} keV; leave it out"
            )
