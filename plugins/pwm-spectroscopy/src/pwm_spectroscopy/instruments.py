"""The two instruments as settings with units: a scanning X-ray microprobe and a STEM with an EDX detector."""

from __future__ import annotations

import math

from pwm_core.settings import Settings, param


class SiliconDetector(Settings):
    """A silicon drift detector: what lets photons through to it, and what it makes of them."""

    resolution: float = param(130.0, low=120.0, high=1000.0, unit="eV", doc="FWHM at Mn Kα (5.895 keV)")
    solid_angle: float = param(0.7, low=1e-6, high=4 * math.pi, unit="sr", doc="of the detector")
    window: str = "Be"  # material of the entrance window, a chemical formula
    window_thickness: float = param(8.0, low=0.0, high=1000.0, unit="um", doc="entrance window")
    window_density: float = param(1.848, low=0.01, high=25.0, unit="g/cm^3", doc="entrance window")
    dead_layer: float = param(0.05, low=0.0, high=10.0, unit="um", doc="insensitive silicon")
    thickness: float = param(450.0, low=1.0, high=1e4, unit="um", doc="sensitive silicon")
    escape: bool = param(True, doc="whether the spectrum shows the silicon escape peaks")


class XRFInstrument(Settings):
    """A scanning X-ray fluorescence microscope at a synchrotron, and what it knows about the sample.

    The beam meets the sample at ``incidence``, the detector sees it at ``takeoff``, both measured from
    its surface; ``scattering_angle`` lies between beam and detector. ``host`` and ``mass_thickness`` are
    the mean composition and areal density in which X-rays are absorbed on their way in and out; component
    ``matrix`` is the same host where it scatters the beam.
    """

    energy: float = param(17.44, low=1.0, high=150.0, unit="keV", doc="photon energy of the beam")
    photons: float = param(2e8, low=1.0, unit="photons", doc="photons on a pixel: flux times live time")
    spot_size: float = param(1.0, low=0.0, high=1e5, unit="um", doc="FWHM of the beam on the sample")
    pixel: float = param(0.5, low=1e-3, high=1e6, unit="um", doc="step of the scan")
    polarisation: float = param(
        0.95, low=0.0, high=1.0, doc="linear, in the plane of the detector: 0 tube, 1 ideal undulator"
    )
    incidence: float = param(45.0, low=0.1, high=90.0, unit="deg", doc="beam to the surface")
    takeoff: float = param(45.0, low=0.1, high=90.0, unit="deg", doc="detector to the surface")
    scattering_angle: float = param(90.0, low=0.0, high=180.0, unit="deg", doc="beam to detector")
    host: str = "C6H10O5"
    mass_thickness: float = param(3.0, low=0.0, high=1e6, unit="mg/cm^2", doc="of the host")
    doppler: float = param(0.14, low=0.0, high=10.0, unit="keV", doc="FWHM added to the Compton line")
    shelf: float = param(
        0.05, low=0.0, high=0.9, doc="part of the scattered photons counted at too low an energy"
    )
    detector: SiliconDetector = SiliconDetector()


class EDXInstrument(Settings):
    """A STEM with an energy-dispersive X-ray detector, and what it knows about the sample.

    ``electrons`` is the dose on a pixel over all frames. ``elevation`` and ``azimuth`` say where the
    detector stands about the untilted sample, ``tilt`` how far that is tilted about the y axis towards
    azimuth 0. X-rays are absorbed in ``host`` of ``mass_thickness`` (both means over the field).
    """

    energy: float = param(200.0, low=20.0, high=400.0, unit="keV", doc="accelerating voltage")
    electrons: float = param(3e7, low=1.0, unit="electrons", doc="electrons on a pixel")
    probe_size: float = param(0.5, low=0.0, high=1e5, unit="nm", doc="FWHM of the probe in the sample")
    pixel: float = param(1.0, low=1e-3, high=1e6, unit="nm", doc="step of the scan")
    elevation: float = param(18.0, low=0.1, high=90.0, unit="deg", doc="of the detector above the sample")
    azimuth: float = param(0.0, low=-360.0, high=360.0, unit="deg", doc="of the detector")
    tilt: float = param(0.0, low=-80.0, high=80.0, unit="deg", doc="of the sample")
    host: str = "SrTiO3"
    mass_thickness: float = param(16.5, low=0.0, high=1e6, unit="ug/cm^2", doc="of the sample")
    bremsstrahlung: float = param(
        9.0, low=0.0, high=100.0, unit="mb", doc="κ of the continuum: E β²/Z² dσ/dE at low photon energy"
    )
    detector: SiliconDetector = SiliconDetector(
        window="C10H8O4", window_thickness=0.1, window_density=1.4, resolution=130.0
    )


Instrument = XRFInstrument | EDXInstrument


def take_off_angle(instrument: EDXInstrument) -> float:
    """The angle (rad) between the way to the detector and the surface of the tilted sample."""
    elevation, azimuth, tilt = (
        math.radians(a) for a in (instrument.elevation, instrument.azimuth, instrument.tilt)
    )
    up = math.sin(elevation) * math.cos(tilt) + math.cos(elevation) * math.sin(tilt) * math.cos(azimuth)
    return math.asin(up)
