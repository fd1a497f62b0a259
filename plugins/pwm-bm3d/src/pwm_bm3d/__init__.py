"""BM3D for pwm: denoising by block matching and three-dimensional filtering, and plug-and-play with it."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "bm3d",
            "pwm_bm3d.denoiser:BM3D",
            "denoiser",
            "Block matching and 3-D filtering",
            licence="BSD-3-Clause; the optional backend bm3d: non-commercial use only",
            cite="10.1109/TIP.2007.901238",
            variant="own implementation; the mean of a group is never shrunk, and the Wiener stage groups "
            "patches by their distance in units of the noise",
        )
    ]
