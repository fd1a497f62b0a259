"""A training from the command line: progress, validation, checkpoints, and what it leaves behind."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pwm_core.benchmark.cell import source_digest
from pwm_core.errors import PwmError
from pwm_core.formats.write import replacing
from pwm_core.record import hardware, packages
from pwm_core.registry import installed

from ..weights import ModelCard, write_model
from .curve import draw_curve
from .examples import FIRST_TRAINING, FIRST_VALIDATION, MISMATCHED, estimate_for
from .loop import Plan, Training
from .validation import Validation

_VALIDATIONS = 12  # in the course of a training, evenly spaced; the last at its end
REFERENCE = "bm3d"  # what networks are compared with where it is installed


class Session:
    """Trains by ``plan``; ``folder`` gets weights, model card, checkpoint, history and learning curve."""

    def __init__(self, plan: Plan, folder: Path, references: Sequence[str] | None = None) -> None:
        self.plan, self.folder = plan, folder
        self.name = f"{plan.method.method}-{plan.source.modality.name}"
        self.wanted = references
        self.console = Console(stderr=True)
        self.history: list[dict[str, Any]] = []

    def run(self) -> int:
        """0 when done, 130 after Ctrl-C, which loses nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / "checkpoint.safetensors"
        training = Training.new(self.plan, checkpoint)
        kept = _stage(training)
        self.history = self._read_history(training.step)
        self._say(f"{self.name}: validation scenes and references …")
        self.validation = Validation.of(self.plan.source)
        self.others = {"estimate": self.validation.of_estimate(), **self._references()}
        self._say("  ".join(f"{name} {value:.2f} dB" for name, value in self.others.items()))
        try:
            with self._bar() as bar:
                task = bar.add_task(self.name, total=1.0, note="")
                for now in training.run():
                    bar.update(task, completed=now.progress, note=f"step {now.step}, loss {now.loss:.3f}")
                    if _stage(now) > kept:
                        self._keep(now, checkpoint)
                        kept = _stage(now)
        except KeyboardInterrupt:
            if training.step > (self.history[-1]["step"] if self.history else 0):
                self._keep(training, checkpoint)
            self._say("interrupted; the same command goes on from here")
            return 130
        print(self.folder / f"{self.name}.safetensors")
        return 0

    def _keep(self, training: Training, checkpoint: Path) -> None:
        """Validate, and write everything there is; the checkpoint last, as it vouches for the rest."""
        psnr = self.validation.of_network(training.smooth, self.plan.frames)
        self.history.append(
            {"step": training.step, "seconds": training.seconds, "loss": training.loss, "psnr": psnr}
        )
        self._say(f"step {training.step}  {training.seconds:.0f} s  loss {training.loss:.3f}  {psnr:.2f} dB")
        with replacing(self.folder / "history.jsonl") as file:
            file.write("".join(json.dumps(p) + "\n" for p in self.history).encode())
        write_model(self.folder / f"{self.name}.safetensors", training.smooth, self._card(training, psnr))
        draw_curve(self.folder / "curve.png", self.history, self.others, self.name)
        training.save(checkpoint)

    def _card(self, training: Training, psnr: float) -> ModelCard:
        plan, source = self.plan, self.plan.source
        entry = installed().find(source.modality.name, "modality")
        method = installed().find(plan.method.method, "reconstructor", "denoiser")
        data = {
            "scenes": f"generated scenes of {source.modality.name}, numbers from {FIRST_TRAINING} on; "
            "standard scenes are drawn from other random streams",
            "mismatched": MISMATCHED,
            "fixed": dict(source.fixed or {}),
            "packages": packages(entry, method, installed().find("train", "command")),
            "generator": source_digest(entry.package),
        }
        validation = {
            "scenes": f"{FIRST_VALIDATION} to {FIRST_VALIDATION + len(self.validation.cases) - 1}",
            "psnr": round(psnr, 3),
            "others": {name: round(value, 3) for name, value in self.others.items()},
        }
        return ModelCard(
            method=plan.method.method,
            modality=source.modality.name,
            network=plan.numbers,
            frames=plan.frames,
            estimate=estimate_for(self.validation.cases[0].problem),
            training={**training.recipe(), "hardware": hardware(plan.device), "data": data},
            validation=validation,
        )

    def _references(self) -> dict[str, float]:
        """PSNR of the classical methods to compare with; the default one only where it is installed."""
        found = {}
        for name in self.wanted or [REFERENCE]:
            try:
                found[name] = self.validation.of_method(name)
            except PwmError:
                if self.wanted:
                    raise
        return found

    def _read_history(self, step: int) -> list[dict[str, Any]]:
        """What was noted before the checkpoint at ``step``."""
        path = self.folder / "history.jsonl"
        if step == 0 or not path.exists():
            return []
        points = [json.loads(line) for line in path.read_text().splitlines()]
        return [p for p in points if p["step"] <= step]

    def _bar(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        return Progress(
            *columns,
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False)


def _stage(training: Training) -> int:
    """How many validations are due by now."""
    return math.floor(training.progress * _VALIDATIONS + 1e-9)
