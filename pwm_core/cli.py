"""The ``pwm`` command. What a command needs is imported when it runs, so that listing stays instant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from . import __version__
from .errors import PwmError

if TYPE_CHECKING:
    from .registry import Entry


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 (it ran and failed), 2 (it was called wrongly) or 130."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        parser, own = _parser()
        if words and not words[0].startswith("-") and words[0] not in own:
            for entry in _commands_of_plugins():
                if entry.card.name == words[0]:
                    return entry.load()(words[1:])
        if words[:1] in (["-h"], ["--help"]):
            more = [f"  {e.card.name:<18}  {e.card.summary}" for e in _commands_of_plugins()]
            parser.epilog = "\n".join(["from plugins:", *more]) if more else None
        arguments = parser.parse_args(words)
        return arguments.go(arguments)
    except PwmError as error:
        print(f"pwm: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `pwm list-methods | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("pwm: interrupted", file=sys.stderr)
        return 130


def _commands_of_plugins() -> list[Entry]:
    from .registry import installed

    return installed().of("command")


def _parser() -> tuple[argparse.ArgumentParser, Collection[str]]:
    """The parser, and the names of the core's own commands."""
    parser = argparse.ArgumentParser(
        prog="pwm",
        description="Every image-reconstruction method on every measurement, the same way.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pwm-core {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    c = commands.add_parser("list-methods", help="the methods that are installed")
    c.add_argument("--modality", metavar="M", help="only those that can work on this modality")
    c.add_argument("--json", action="store_true", help="as JSON")
    c.set_defaults(go=_list_methods)

    c = commands.add_parser("list-modalities", help="the modalities that are installed")
    c.add_argument("--json", action="store_true", help="as JSON")
    c.set_defaults(go=_list_modalities)

    c = commands.add_parser("list-calibrators", help="the calibrators that are installed")
    c.add_argument("--json", action="store_true", help="as JSON")
    c.set_defaults(go=_list_calibrators)

    c = commands.add_parser("info", help="all about one method, modality or calibrator")
    c.add_argument("name")
    c.set_defaults(go=_info)

    c = commands.add_parser("plugins", help="the installed plugins, and those that could not be used")
    c.add_argument("--json", action="store_true", help="as JSON")
    c.set_defaults(go=_plugins)

    _add_run(commands)

    _add_benchmark(commands)

    _add_compare(commands)

    c = commands.add_parser("new-plugin", help="write a working plugin package to start from")
    c.add_argument("folder", metavar="NAME", help="name of the package and of its new folder: pwm-mymethod")
    c.set_defaults(go=_new_plugin)

    c = commands.add_parser("check", help="test a method or modality against the plugin contract")
    c.add_argument("name")
    c.set_defaults(go=_check)
    return parser, commands.choices


def _add_run(commands: argparse._SubParsersAction) -> None:
    c = commands.add_parser(
        "run",
        help="reconstruct a built-in scene or a measured file",
        epilog="Units may be given: --assume focus_to_sample=3.65mm.",
    )
    c.add_argument("--method", required=True, metavar="NAME")
    c.add_argument("--modality", required=True, metavar="NAME")
    c.add_argument("--input", metavar="FILE", help="measured data; without it a built-in scene is simulated")
    c.add_argument("--scene", metavar="NAME", help="a standard scene, or a number for a generated one")
    c.add_argument(
        "--scenario",
        choices=["ideal", "mismatch", "calibrated"],
        help="method knows the true parameters (default), only nominal ones, or calibrates them",
    )
    c.add_argument("--calibrate", metavar="NAME", help="estimate the parameters with this calibrator")
    c.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the method")
    c.add_argument("--simulate", action="append", default=[], metavar="NAME=VALUE", help="of the instrument")
    c.add_argument("--theta", action="append", default=[], metavar="NAME=VALUE", help="a true parameter")
    c.add_argument("--assume", action="append", default=[], metavar="NAME=VALUE", help="what a file lacks")
    c.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    c.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    c.add_argument("--dtype", choices=["float32", "float64"], help="precision of the computation")
    c.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    c.add_argument("--max-seconds", type=float, default=float("inf"), metavar="S", help="time limit")
    c.add_argument(
        "--tolerance", type=float, metavar="T", help="stop when ten steps gain less than this part"
    )
    c.add_argument(
        "--output", metavar="FOLDER", help="where the result goes (default: a new one in pwm-runs)"
    )
    c.set_defaults(go=_run)


def _add_benchmark(commands: argparse._SubParsersAction) -> None:
    c = commands.add_parser(
        "benchmark",
        help="every method on every modality, scene and scenario, or a selection",
        epilog="Options that select may be repeated. Cells that are done already are not run again.",
    )
    c.add_argument("--modality", action="append", default=[], metavar="NAME")
    c.add_argument("--method", action="append", default=[], metavar="NAME")
    c.add_argument("--scene", action="append", default=[], metavar="NAME", help="default: the standard ones")
    c.add_argument(
        "--scenario", action="append", default=[], choices=["ideal", "mismatch", "calibrated"], metavar="NAME"
    )
    c.add_argument("--calibrate", action="append", default=[], metavar="NAME", help="a calibrator")
    c.add_argument(
        "--set", action="append", default=[], metavar="METHOD.NAME=VALUE", help="a setting of a method"
    )
    c.add_argument(
        "--simulate", action="append", default=[], metavar="MODALITY.NAME=VALUE", help="of an instrument"
    )
    c.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    c.add_argument("--executor", default="local", metavar="NAME", help="where cells run (default local)")
    c.add_argument(
        "--executor-set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the executor"
    )
    c.add_argument("--workers", type=int, metavar="N", help="cells at a time (default: what the cores allow)")
    c.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads of a cell (default 1)")
    c.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    c.add_argument("--max-seconds", type=float, default=600.0, metavar="S", help="of a cell (default 600)")
    c.add_argument("--max-memory", type=float, default=float("inf"), metavar="GIB", help="of a cell")
    c.add_argument("--no-figures", action="store_true", help="leave out figure.png")
    c.add_argument("--output", default="pwm-benchmark", metavar="FOLDER", help="default: pwm-benchmark")
    c.set_defaults(go=_benchmark)


def _add_compare(commands: argparse._SubParsersAction) -> None:
    c = commands.add_parser(
        "compare",
        help="what got better or worse between two benchmarks",
        epilog="Where both have several seeds, a change must also exceed their spread. The exit status is 1 "
        "if anything got worse. Times are reported only.",
    )
    c.add_argument("first", metavar="A", help="folder of a benchmark, or its results.jsonl")
    c.add_argument("second", metavar="B", help="the one compared with it")
    c.add_argument("--psnr", type=float, default=0.1, metavar="DB", help="change that means nothing (0.1)")
    c.add_argument("--score", type=float, default=0.005, metavar="S", help="the same of the score (0.005)")
    c.add_argument("--time", type=float, default=0.2, metavar="PART", help="part of the time (0.2)")
    c.set_defaults(go=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from .benchmark.compare import Tolerance
    from .commands.compare import compare_command

    tolerance = Tolerance(arguments.psnr, arguments.score, arguments.time)
    return compare_command(arguments.first, arguments.second, tolerance)


def _benchmark(arguments: argparse.Namespace) -> int:
    from .commands.benchmark import benchmark

    return benchmark(arguments)


def _list_methods(arguments: argparse.Namespace) -> int:
    from .commands.listing import list_methods

    return list_methods(arguments.modality, arguments.json)


def _list_modalities(arguments: argparse.Namespace) -> int:
    from .commands.listing import list_modalities

    return list_modalities(arguments.json)


def _list_calibrators(arguments: argparse.Namespace) -> int:
    from .commands.listing import list_calibrators

    return list_calibrators(arguments.json)


def _plugins(arguments: argparse.Namespace) -> int:
    from .commands.listing import list_plugins

    return list_plugins(arguments.json)


def _info(arguments: argparse.Namespace) -> int:
    from .commands.info import info

    return info(arguments.name)


def _run(arguments: argparse.Namespace) -> int:
    from .commands.run import run_command

    return run_command(arguments)


def _new_plugin(arguments: argparse.Namespace) -> int:
    from .commands.new_plugin import write_plugin

    name = arguments.folder
    for path in write_plugin(name):
        print(path)
    print(f"next: pip install -e {name} && pwm check {name.rstrip('/').split('/')[-1].removeprefix('pwm-')}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from .commands.check import check

    return check(arguments.name)


if __name__ == "__main__":
    sys.exit(main())
