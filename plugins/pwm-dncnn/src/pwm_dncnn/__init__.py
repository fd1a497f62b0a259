"""Convolutional denoisers for pwm: DnCNN, RED-CNN, U-Net with weights, and Noise2Void, which needs none."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"

_NEEDS = frozenset({"image", "real"})
_VARIANT = "it corrects a classical estimate made through the operator; its size differs, see the model card"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        _card(
            "dncnn",
            "denoiser",
            "dncnn:DnCNN",
            "Residual convolutional network, each image alone",
            "10.1109/TIP.2017.2662206",
            ("fluoroscopy", "stem", "stem-edx", "xrf"),
        ),
        _card(
            "noise2void",
            "reconstructor",
            "noise2void:Noise2Void",
            "U-Net trained on the measurement itself, by blind spots",
            "10.1109/CVPR.2019.00223",
            (),
            "stratified blind spots, no batch normalisation; it works on data of uniform noise",
        ),
        _card(
            "red-cnn",
            "reconstructor",
            "red_cnn:REDCNN",
            "Residual encoder-decoder network, each image alone",
            "10.1109/TMI.2017.2715284",
            ("fluoroscopy",),
        ),
        _card(
            "unet",
            "denoiser",
            "unet:UNet",
            "U-Net over images, all element maps or five frames",
            "10.1007/978-3-319-24574-4_28",
            ("fluoroscopy", "stem", "stem-edx", "xrf"),
        ),
    ]


def _card(
    name: str,
    role: str,
    target: str,
    summary: str,
    cite: str,
    modalities: tuple[str, ...],
    variant: str = _VARIANT,
) -> Card:
    return Card(
        name,
        f"pwm_dncnn.{target}",
        role,
        summary,
        _NEEDS,
        gpu=True,
        licence="BSD-3-Clause",
        cite=cite,
        variant=variant,
        modalities=frozenset(modalities),
    )
