"""SwinIR, Restormer, SpectraFormer and a video Swin transformer for pwm, with weights."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"

_VARIANT = "it corrects a classical estimate made through the operator; {}, see its model card"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        _card(
            "restormer",
            "methods:RestormerMethod",
            "Transformer that attends across channels, at three scales",
            "10.1109/CVPR52688.2022.00564",
            "smaller than in the paper and from half the resolution on",
            ("fluoroscopy", "stem-edx", "xrf"),
        ),
        _card(
            "spectraformer",
            "methods:SpectraFormerMethod",
            "Transformer along the energy axis of spectrum images",
            "10.48550/arXiv.1706.03762",
            "the energy axis is reduced to the components' maps, which attend to each other at each pixel",
            ("stem-edx", "xrf"),
            "spectral",
        ),
        _card(
            "swin-video",
            "methods:SwinVideoMethod",
            "Shifted-window transformer over five frames",
            "10.1109/CVPR52688.2022.00320",
            "small, at several scales, and only the middle frame is corrected",
            ("fluoroscopy",),
            "video",
        ),
        _card(
            "swinir",
            "methods:SwinIRMethod",
            "Shifted-window transformer for images",
            "10.1109/ICCVW54120.2021.00210",
            "smaller than in the paper and at half the resolution",
            ("stem",),
        ),
    ]


def _card(
    name: str, target: str, summary: str, cite: str, variant: str, modalities: tuple[str, ...], *traits: str
) -> Card:
    return Card(
        name,
        f"pwm_transformer.{target}",
        "reconstructor",
        summary,
        frozenset({"image", "real", *traits}),
        gpu=True,
        licence="BSD-3-Clause",
        cite=cite,
        variant=_VARIANT.format(variant),
        modalities=frozenset(modalities),
    )
