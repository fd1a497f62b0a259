"""Image files of electron microscopes, opened through RosettaSciIO.

RosettaSciIO is GPL-3. It is an optional extra that is imported only when such a file is opened.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pwm_core.errors import BadFile
from pwm_core.problem import Problem
from pwm_core.reader import Reader
from pwm_core.settings import param

if TYPE_CHECKING:
    from .measured import Recording

log = logging.getLogger("pwm.stem")

_MODULES = {  # RosettaSciIO's module, and how files of the kind begin
    ".ser": ("tia", (b"II\x97\x01",)),
    ".emi": ("tia", (b"JJ",)),
    ".emd": ("emd", (b"\x89HDF\r\n\x1a\n",)),
    ".hspy": ("hspy", (b"\x89HDF\r\n\x1a\n",)),
    ".dm3": ("digitalmicrograph", (b"\x00\x00\x00\x03",)),
    ".dm4": ("digitalmicrograph", (b"\x00\x00\x00\x04",)),
}
_LENGTHS = {"m": 1e10, "mm": 1e7, "um": 1e4, "µm": 1e4, "μm": 1e4, "nm": 10.0, "å": 1.0, "a": 1.0,
            "angstrom": 1.0, "pm": 0.01}  # fmt: skip  # in Å
_TEM = "metadata.Acquisition_instrument.TEM."
_BERKELEY, _VELOX = "original_metadata.microscope.", "original_metadata."
_FACTS: dict[str, list[tuple[str, float]]] = {  # where a fact may be, and the factor to our unit
    "voltage": [(_TEM + "beam_energy", 1.0), (_BERKELEY + "high tension", 1e-3)],
    "convergence": [
        (_TEM + "convergence_angle", 1.0),
        (_BERKELEY + "convergence angle", 1e3),
        (_VELOX + "Optics.BeamConvergence", 1e3),
    ],
    "current": [(_TEM + "beam_current", 1e3)],
    "dwell": [(_BERKELEY + "dwell time", 1e6), (_VELOX + "Scan.DwellTime", 1e6)],
}


class Micrograph(Reader):
    """Images of electron microscopes: FEI .ser and .emi, Velox and Berkeley .emd, Gatan .dm3 and .dm4, .hspy.

    Needs RosettaSciIO: pip install "pwm-stem[formats]". Pixel size, voltage, convergence angle, beam
    current and dwell time come from the file as far as it states them. Grey values become electrons by the
    detector's offset and gain, which are estimated from the image unless they are given.
    """

    pixel: float | None = param(None, low=1e-3, high=1e6, unit="Å", doc="distance of scan positions")
    voltage: float | None = param(None, low=20.0, high=1000.0, unit="kV", doc="acceleration voltage")
    convergence: float | None = param(None, low=6.0, high=80.0, unit="mrad", doc="convergence semi-angle")
    source_size: float | None = param(None, low=0.3, high=50.0, unit="Å", doc="FWHM of the effective source")
    current: float | None = param(None, low=1e-3, high=1e5, unit="pA", doc="of the beam")
    dwell: float | None = param(None, low=1e-3, high=1e6, unit="us", doc="time at each position")
    offset: float | None = param(None, unit="counts", doc="grey value without electrons")
    gain: float | None = param(None, low=1e-9, unit="counts/electron", doc="grey values per electron")
    image: int | None = param(
        None, low=0, doc="number of the image in the file; auto: the first dark-field one"
    )
    frame: int = param(0, low=0, doc="number of the frame in a series")
    crop: int | None = param(None, low=32, unit="px", doc="keep this many pixels a side, in the middle")
    bin: int = param(1, low=1, high=64, doc="add up this many pixels along each axis")

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return path.suffix.lower() in _MODULES

    def read(self, path: Path) -> Problem:
        from .measured import problem_from

        return problem_from(self.record(path), self.crop, self.bin)

    def record(self, path: Path) -> Recording:
        """The image and what the file states about it; BadFile says what is wrong or missing."""
        from .measured import Recording

        signal = self._chosen(_signals(path), path.name)
        image, axes = _image(signal, self.frame, path.name)
        facts = {name: getattr(self, name) or _fact(signal, name) for name in _FACTS}
        return Recording(
            image=image,
            pixel=self._pixel(axes, path.name),
            source_size=self.source_size,
            offset=self.offset,
            gain=self.gain,
            name=path.name,
            **facts,
        )

    def _chosen(self, signals: list[dict[str, Any]], name: str) -> dict[str, Any]:
        images = [s for s in signals if _is_image(s)]
        if not images:
            raise BadFile(f"{name} holds no image of 32 x 32 pixels or more")
        if self.image is not None:
            if self.image >= len(images):
                raise BadFile(
                    f"{name} holds {len(images)} images; --assume image={self.image} is beyond the last"
                )
            return images[self.image]
        dark = [s for s in images if "DF" in _title(s).upper()]
        chosen = (dark or images)[0]
        if len(images) > 1:
            titles = ", ".join(f"{k} {_title(s)!r}" for k, s in enumerate(images))
            log.info("image %r taken of: %s (--assume image=N)", _title(chosen), titles)
        return chosen

    def _pixel(self, axes: list[dict[str, Any]], name: str) -> float:
        if self.pixel is not None:
            return self.pixel
        steps = [abs(float(a.get("scale") or 0)) * _length(a.get("units")) for a in axes]
        if not all(np.isfinite(s) and 1e-3 <= s <= 1e6 for s in steps):
            raise BadFile(
                f"{name} does not state the size of its pixels; give it as --assume pixel=0.15angstrom"
            )
        if abs(steps[0] - steps[1]) > 0.01 * steps[1]:
            raise BadFile(
                f"{name}: pixels of {steps[0]:.4g} by {steps[1]:.4g} Å are not square, and only square ones "
                "are read; if that is wrong give their size as --assume pixel=0.15angstrom"
            )
        return steps[1]


def _signals(path: Path) -> list[dict[str, Any]]:
    """All that RosettaSciIO finds in the file; BadFile for what is none of its kind."""
    module, starts = _MODULES[path.suffix.lower()]
    with path.open("rb") as stream:
        if not stream.read(8).startswith(starts):
            raise BadFile(
                f"{path.name} does not begin as a {path.suffix.lower()} file does; "
                "it is damaged or of another kind"
            )
    try:
        reader = importlib.import_module(f"rsciio.{module}").file_reader
    except ImportError:
        raise BadFile(
            f"{path.name} is opened through RosettaSciIO, which is not installed: "
            'pip install "pwm-stem[formats]"'
        ) from None
    try:
        return list(reader(str(path)))
    except MemoryError:
        raise BadFile(f"{path.name} does not fit into this machine's memory") from None
    except Exception as error:  # a damaged file makes the reader fail in any way
        raise BadFile(f"{path.name} is damaged or holds no image: {type(error).__name__} {error}") from error


def _is_image(signal: dict[str, Any]) -> bool:
    data, axes = signal.get("data"), signal.get("axes") or []
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "biuf" or data.ndim not in (2, 3):
        return False
    spectral = any(
        "energy" in str(a.get("name", "")).lower() or str(a.get("units")) in ("eV", "keV") for a in axes
    )
    return not spectral and len(axes) == data.ndim and min(data.shape[-2:]) >= 32


def _image(signal: dict[str, Any], frame: int, name: str) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The image (y, x) and its axes; the file may keep it as (x, y)."""
    data, axes = signal["data"], list(signal["axes"])
    if data.ndim == 3:
        if frame >= len(data):
            raise BadFile(f"{name} holds {len(data)} frames; --assume frame={frame} is beyond the last")
        log.info("frame %d of %d taken", frame, len(data))
        data, axes = data[frame], axes[1:]
    first, second = (str(a.get("name", "")).lower() for a in axes)
    if first == "x" and second == "y":
        return data.T, axes[::-1]
    return data, axes


def _fact(signal: dict[str, Any], name: str) -> float | None:
    """A positive number that the file states, in our unit."""
    for path, factor in _FACTS[name]:
        value: Any = signal
        for word in path.split("."):
            value = value.get(word) if isinstance(value, dict) else None
        try:
            number = float(value) * factor
        except (TypeError, ValueError):
            continue
        if np.isfinite(number) and number > 0:
            log.info("%s %.5g, as the file states", name, number)
            return number
    return None


def _length(unit: Any) -> float:
    word = str(unit).strip("[]").replace("_", "").lower()
    return _LENGTHS.get(word, np.nan)


def _title(signal: dict[str, Any]) -> str:
    return str(signal.get("metadata", {}).get("General", {}).get("title", ""))
