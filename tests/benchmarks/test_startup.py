"""How long `pwm list-methods` takes with twenty plugins installed, in CPU time."""

import os
import resource
import subprocess
import sys

import pytest

CARD = """
from pwm_core import Card, hookimpl

@hookimpl
def pwm_cards():
    needs = frozenset(["linear"])
    return [Card("method-{n}", "pwm_m{n}.m:M", "reconstructor", "Number {n}", needs, licence="MIT")]
"""


@pytest.fixture
def twenty_plugins(tmp_path):
    for n in range(20):
        package = tmp_path / f"pwm_m{n}"
        package.mkdir()
        (package / "__init__.py").write_text(CARD.format(n=n))
        info = tmp_path / f"pwm_m{n}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: pwm-m{n}\nVersion: 1.0\nRequires-Dist: pwm-core>=0.1,<0.2\n"
        )
        (info / "entry_points.txt").write_text(f"[pwm]\nm{n} = pwm_m{n}\n")
    return tmp_path


def cpu_seconds(folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pwm_core.cli", "list-methods"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert "method-19" in out
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_listing_twenty_plugins_takes_a_quarter_of_a_second(twenty_plugins, record_property):
    cpu_seconds(twenty_plugins)  # writes the bytecode
    best = min(cpu_seconds(twenty_plugins) for _ in range(5))
    record_property("cpu_seconds", best)
    print(f"pwm list-methods with twenty plugins: {best:.3f} s of CPU time")
    assert best < 0.25
