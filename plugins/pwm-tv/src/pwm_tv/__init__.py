"""Variational methods for pwm: gradient descent, Landweber iteration, total variation."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "gradient-descent",
            "pwm_tv.gradient:GradientDescent",
            "reconstructor",
            "Scaled gradient projection on the likelihood of the data, on any modality",
            gpu=True,
            licence="BSD-3-Clause",
            cite="10.1088/0266-5611/25/1/015002",
            variant="scaled by the diagonal of the Fisher information; spectra are first reduced to maps",
        ),
        Card(
            "landweber",
            "pwm_tv.landweber:Landweber",
            "reconstructor",
            "Landweber iteration on weighted least squares, linear or nonlinear, on any modality",
            gpu=True,
            licence="BSD-3-Clause",
            cite="10.1007/s002110050158",
            variant="weights from the noise; spectra are first reduced to maps",
        ),
        Card(
            "tv",
            "pwm_tv.tv:TotalVariation",
            "reconstructor",
            "Total variation with the likelihood of the data, on images, video and maps",
            frozenset({"image", "real"}),
            gpu=True,
            licence="BSD-3-Clause",
            cite="10.1109/TIP.2009.2028250",
            variant="through any operator; spectra are first reduced to maps; strength by Poisson thinning",
        ),
    ]
