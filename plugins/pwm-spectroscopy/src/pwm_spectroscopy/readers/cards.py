"""Cards of the readers; nothing else is imported here."""

from __future__ import annotations

from pwm_core import Card

_READERS = "pwm_spectroscopy.readers"
_XRF, _EDX = frozenset({"xrf"}), frozenset({"stem-edx"})


def cards() -> list[Card]:
    """One card a file format."""
    return [
        _card("pixlise", "pixlise:Pixlise", "PIXLISE datasets of PIXL-like instruments", _XRF, (".bin",)),
        _card("mda", "mda:MDA", "EPICS MDA step scans, as the APS microprobes write them", _XRF, (".mda",)),
        _card("maps", "maps:MAPS", "MAPS and XRF-Maps, versions 9 and 10", _XRF, (".h5", ".hdf5")),
        _card("pyxrf", "pyxrf:PyXRF", "PyXRF maps", _XRF, (".h5", ".hdf5")),
        _card("nexus-xrf", "nexus:NeXusXRF", "NeXus and PyMca maps", _XRF, (".h5", ".hdf5", ".nxs")),
        _card("hspy", "hspy:Hspy", "HyperSpy files", _EDX, (".hspy", ".h5", ".hdf5")),
        _card(
            "rosettasciio",
            "rosetta:Rosetta",
            'Microscope makers\' formats (pip install "pwm-spectroscopy[formats]", GPL-3)',
            _EDX,
            (".bcf", ".emd", ".dm3", ".dm4", ".pts", ".spd", ".rpl", ".h5oina"),
        ),
    ]


def _card(name: str, target: str, summary: str, modality: frozenset[str], suffixes: tuple[str, ...]) -> Card:
    return Card(
        name, f"{_READERS}.{target}", "reader", summary, modality, licence="BSD-3-Clause", suffixes=suffixes
    )
