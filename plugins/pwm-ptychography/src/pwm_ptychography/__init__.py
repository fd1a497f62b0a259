"""Ptychography for pwm: the modality, its file readers, and the engine that its methods share."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"

_HERE = frozenset({"ptychography"})


@hookimpl
def pwm_cards() -> list[Card]:
    readers = "pwm_ptychography.readers"
    return [
        Card(
            "ptychography",
            "pwm_ptychography.modality:Ptychography",
            "modality",
            "Scanning coherent diffraction, far and near field",
            frozenset({"image", "complex"}),
            licence="BSD-3-Clause",
            cite="10.1126/science.1158573",
        ),
        Card(
            "cxi",
            f"{readers}.cxi:CXI",
            "reader",
            "Coherent X-ray Imaging files",
            _HERE,
            licence="BSD-3-Clause",
            cite="10.1107/S1600576715004070",
            suffixes=(".cxi", ".h5", ".hdf5"),
        ),
        Card(
            "ptyd",
            f"{readers}.ptyd:Ptyd",
            "reader",
            "PtyPy's prepared data",
            _HERE,
            licence="BSD-3-Clause",
            cite="10.1098/rspa.2016.0640",
            suffixes=(".ptyd", ".h5", ".hdf5"),
        ),
        Card(
            "nxcxi",
            f"{readers}.nexus:NXcxiPtycho",
            "reader",
            "NeXus application definition NXcxi_ptycho",
            _HERE,
            licence="BSD-3-Clause",
            cite="10.1107/S1600576714027575",
            suffixes=(".nxs", ".h5", ".hdf5", ".cxi"),
        ),
        Card(
            "npz",
            f"{readers}.archive:NumpyArchive",
            "reader",
            "NumPy archives with data, scan and probe",
            _HERE,
            licence="BSD-3-Clause",
            cite="10.1038/s41586-020-2649-2",
            suffixes=(".npz", ".npz.bz2", ".npz.gz"),
        ),
    ]
