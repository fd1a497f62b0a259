"""``pwm train``: a network for a modality, from its own generated scenes."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .method import Learned
    from .training.loop import Plan


def train(words: Sequence[str]) -> int:
    """Run the command with the words that follow ``pwm train``; the exit status."""
    arguments = _parser().parse_args(words)
    from .training.session import Session

    plan = _plan(arguments)
    folder = Path(arguments.output or Path("pwm-train") / f"{arguments.method}-{arguments.modality}")
    return Session(plan, folder, arguments.reference).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pwm train",
        description="Train a learned method on endless generated scenes of a modality; the standard scenes, "
        "which are scored, are never among them. The same command continues a training that was interrupted.",
        epilog="The folder gets weights and model card (use them with --set weights=FILE), a checkpoint, "
        "history.jsonl and curve.png.",
    )
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("--modality", required=True, metavar="M")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=30.0, help="training time (default 30)")
    length.add_argument("--steps", type=int, help="a number of steps instead: reproducible to the last bit")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that make examples")
    parser.add_argument(
        "--precision", choices=["auto", "float32", "bfloat16"], default="auto", help="auto takes the faster"
    )
    parser.add_argument("--from", dest="start", metavar="FILE", help="weights to go on from")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=NUMBER", help="size of the network"
    )
    parser.add_argument(
        "--simulate", action="append", default=[], metavar="NAME=VALUE", help="of the instrument, not drawn"
    )
    parser.add_argument("--reference", action="append", metavar="NAME", help="method to compare with (bm3d)")
    parser.add_argument("--output", metavar="FOLDER", help="default: pwm-train/METHOD-MODALITY")
    return parser


def _plan(arguments: argparse.Namespace) -> Plan:
    import torch

    from pwm_core.commands.run import pairs
    from pwm_core.driver import choose_device
    from pwm_core.errors import BadValue, Unsuitable
    from pwm_core.methods import find_method, require_suitable
    from pwm_core.registry import installed

    from .method import Learned
    from .training.examples import Source
    from .training.loop import Plan
    from .weights import read_model

    found = installed()
    entry = found.find(arguments.modality, "modality")
    method_entry = find_method(found, arguments.method)
    require_suitable(found, method_entry, entry)
    method, modality = method_entry.load(), entry.load()
    if not (isinstance(method, type) and issubclass(method, Learned)):
        raise Unsuitable(f"{arguments.method} is not trained beforehand; it has no weights")
    if not arguments.minutes > 0 or (arguments.steps is not None and arguments.steps < 1):
        raise BadValue("--minutes and --steps must be positive")
    if arguments.workers < 0 or (arguments.threads is not None and arguments.threads < 1):
        raise BadValue("--workers must not be negative, and --threads must be positive")
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    simulate = pairs(arguments.simulate, "--simulate")
    given = modality.from_strings(simulate)
    plan = Plan(
        method,
        Source(modality, arguments.seed, {name: getattr(given, name) for name in simulate}),
        minutes=arguments.minutes,
        steps=arguments.steps,
        seed=arguments.seed,
        device=choose_device(arguments.device),
        precision=arguments.precision,
        workers=arguments.workers,
        size=_sizes(method, pairs(arguments.set, "--set")),
        start=read_model(Path(arguments.start), method.assemble) if arguments.start else None,
    )
    if plan.start and plan.start[1].network != plan.numbers:
        raise BadValue(
            f"--from {arguments.start} holds a network of {plan.start[1].network}, and this training is of "
            f"{plan.numbers}; weights of the same method, kind of object and size can be trained on"
        )
    return plan


def _sizes(method: type[Learned], pairs: Mapping[str, str]) -> dict[str, int]:
    """The numbers of the network that --set asks for; BadValue if it has none of that name."""
    from pwm_core.errors import BadValue

    known = sorted({*inspect.signature(method.network).parameters, "exchange"} - {"channels", "frames"})
    for name, text in pairs.items():
        if name not in known:
            raise BadValue(f"--set {name}: {method.method} takes {', '.join(known)}")
        if not text.isdigit() or int(text) < 1:
            raise BadValue(f"--set {name} takes a whole number from 1 on, got {text!r}")
    return {name: int(text) for name, text in pairs.items()}
