"""Fluoroscopy for pwm: the modality and the reader of DICOM X-ray video."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "fluoroscopy",
            "pwm_fluoroscopy.modality:Fluoroscopy",
            "modality",
            "Low-dose X-ray video of moving anatomy and devices",
            frozenset({"image", "video", "nonnegative"}),
            licence="BSD-3-Clause",
            cite="10.1118/1.598657",
        ),
        Card(
            "dicom-xa",
            "pwm_fluoroscopy.dicom.reader:DicomVideo",
            "reader",
            "DICOM multi-frame X-ray angiography and radiofluoroscopy, classic and enhanced",
            frozenset({"fluoroscopy"}),
            licence="BSD-3-Clause",
            suffixes=(".dcm", ".dicom", ".ima"),
        ),
    ]
