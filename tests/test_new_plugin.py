"""``pwm new-plugin``: what it writes works, is short and tidy, and installs beside the core anywhere."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pwm_core.commands.new_plugin import write_plugin
from pwm_core.driver import run as run_method
from pwm_core.errors import BadValue
from pwm_core.registry import installed
from pwm_core.requirement import capped_requirement
from pwm_core.testing import check_method
from pwm_core.testing.problems import DitheredWidefield

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("folder", "method", "module"),
    [
        ("pwm-mymethod", "mymethod", "pwm_mymethod"),
        ("mymethod", "mymethod", "pwm_mymethod"),
        ("pwm-my-method-2", "my-method-2", "pwm_my_method_2"),
        ("none", "none", "pwm_none"),
    ],
)
def test_the_names_follow_from_the_folder(tmp_path: Path, folder: str, method: str, module: str) -> None:
    written = write_plugin(tmp_path / folder)
    assert {str(p.relative_to(tmp_path / folder)) for p in written} == {
        "README.md",
        "pyproject.toml",
        f"src/{module}/__init__.py",
        f"src/{module}/method.py",
        "tests/test_plugin.py",
    }
    project = tomllib.loads((tmp_path / folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"pwm-{method}"
    assert list(project["entry-points"]["pwm"].values()) == [module]
    for path in written:
        assert "$" not in path.read_text(), path
        if path.suffix == ".py":
            compile(path.read_text(), str(path), "exec")


@pytest.mark.parametrize("folder", ["pwm-mymethod", "pwm-a-rather-long-name-for-a-method"])
def test_the_scaffold_is_short_and_tidy(tmp_path: Path, folder: str) -> None:
    code = [p for p in write_plugin(tmp_path / folder) if p.suffix == ".py"]
    assert sum(len(p.read_text().splitlines()) for p in code) < 60
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    everything = "--select=E,F,W,I,B,UP,C4,SIM,PT,NPY"
    for command in (["check", "--isolated", everything], ["format", "--isolated", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", str(tmp_path)], capture_output=True
        )
        assert done.returncode == 0, done.stdout.decode()


@pytest.mark.parametrize("version", ["0.1.0", "0.1.7", "0.12.3.dev1", "1.4.2", "2.0.0rc1"])
def test_the_requirement_admits_this_version_and_none_that_may_differ(version: str) -> None:
    from packaging.requirements import Requirement
    from packaging.version import Version

    requirement, now = Requirement(capped_requirement(version)), Version(version)
    assert requirement.specifier.contains(now.base_version)
    assert requirement.specifier.contains(f"{now.major}.{now.minor}.99")
    breaking = f"{now.major + 1}.0" if now.major else f"0.{now.minor + 1}"
    assert not requirement.specifier.contains(breaking)
    assert requirement.specifier.contains(f"{now.major}.{now.minor + 1}") == (now.major > 0)


@pytest.mark.parametrize(
    "folder", ["pwm-My", "my_method", "pwm-", "-x", "pwm-x-", "pwm-a--b", "3d", "my method", "pwm-ü"]
)
def test_a_name_that_no_method_can_have_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(BadValue, match="lower-case letters, digits and single hyphens, such as pwm-mymethod"):
        write_plugin(tmp_path / folder)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pwm-mymethod").mkdir()
    with pytest.raises(BadValue, match="exists already"):
        write_plugin(tmp_path / "pwm-mymethod")
    assert not list((tmp_path / "pwm-mymethod").iterdir())


@pytest.fixture
def scaffold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of a scaffolded method, as if its package were installed."""
    write_plugin(tmp_path / "pwm-mymethod")
    source = tmp_path / "pwm-mymethod" / "src"
    project = tomllib.loads((tmp_path / "pwm-mymethod" / "pyproject.toml").read_text())["project"]
    info = source / "pwm_mymethod-0.1.0.dist-info"
    info.mkdir()
    requires = "".join(f"Requires-Dist: {r}\n" for r in project["dependencies"])
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pwm-mymethod\nVersion: 0.1.0\n{requires}")
    entry_points = project["entry-points"]["pwm"].items()
    (info / "entry_points.txt").write_text("[pwm]\n" + "".join(f"{k} = {v}\n" for k, v in entry_points))
    monkeypatch.syspath_prepend(str(source))
    monkeypatch.setenv("PWM_PLUGINS", "pwm-mymethod")
    installed.cache_clear()
    yield importlib.import_module("pwm_mymethod.method")
    installed.cache_clear()
    for name in [n for n in sys.modules if n.partition(".")[0] == "pwm_mymethod"]:
        del sys.modules[name]


def test_the_scaffold_passes_the_kit(scaffold: ModuleType) -> None:
    report = check_method("mymethod")
    assert report.ok, str(report)


def test_the_scaffolded_step_is_that_of_the_operators_norm(scaffold: ModuleType) -> None:
    problem, _ = DitheredWidefield(size=16).simulate("disks")
    units = np.eye(16 * 16).reshape(-1, 16, 16)
    matrix = np.stack([problem.operator(u).ravel() for u in units])
    largest = np.linalg.svd(matrix, compute_uv=False)[0] ** 2
    norm = scaffold.squared_norm(problem.operator, problem.like, np.random.default_rng(0))
    assert 0.95 * largest < float(norm) <= 1.0001 * largest  # power iteration comes from below


def test_the_scaffolded_method_computes_on_the_problems_device(scaffold: ModuleType) -> None:
    problem, _ = DitheredWidefield().simulate("disks")
    mask = np.ones(problem.y.shape, bool)
    elsewhere = problem.replace(device="meta", mask=mask)  # like a GPU: mixing it with CPU arrays is an error
    steps = list(scaffold.Landweber(iterations=2).solve(elsewhere, np.random.default_rng(0)))
    assert [s.x.device.type for s in steps] == ["meta", "meta"]


def test_the_scaffolded_method_leaves_invalid_data_out(scaffold: ModuleType) -> None:
    problem, _ = DitheredWidefield().simulate("disks")
    mask = np.ones(problem.y.shape, bool)
    mask[0, 5:9, 5:9] = False
    broken = np.where(mask, problem.y, 1e6).astype(np.float32)
    good, bad = (
        run_method(scaffold.Landweber(iterations=5), problem.replace(y=y, mask=mask))
        for y in (problem.y, broken)
    )
    assert np.array_equal(good.x, bad.x)


# -- in a clean environment ----------------------------------------------------------------------

MODALITY = {
    "pyproject.toml": """
        [project]
        name = "pwm-microscope"
        version = "0.1.0"
        description = "A modality from somebody else, for the method to run on"
        dependencies = ["pwm-core"]
        [project.entry-points.pwm]
        microscope = "pwm_microscope"
        [build-system]
        requires = ["flit_core>=3.11,<5"]
        build-backend = "flit_core.buildapi"
        """,
    "src/pwm_microscope/__init__.py": """
        from pwm_core import Card, hookimpl

        @hookimpl
        def pwm_cards():
            offers = {"linear", "image", "nonnegative"}
            target = "pwm_core.testing.problems:Widefield"
            return [Card("widefield", target, "modality", "A microscope", offers)]
        """,
}


@pytest.mark.slow
def test_a_plugin_built_as_a_wheel_works_in_a_clean_environment(tmp_path: Path) -> None:
    """Two packages by third parties and the core, each from its wheel, in an environment of their own."""
    write_modality(tmp_path / "pwm-microscope")
    core = copy_of_the_core(tmp_path / "core")
    folder = environment_with_the_dependencies_alone(tmp_path / "env")
    pwm = in_environment(folder, tmp_path)

    install(folder, build_wheel(core))
    shutil.rmtree(core)
    pwm("new-plugin", "pwm-mymethod")
    install(folder, build_wheel(tmp_path / "pwm-mymethod"))
    shutil.rmtree(tmp_path / "pwm-mymethod")
    assert where_things_come_from(folder, tmp_path) == {"pwm-core", "pwm-mymethod"}

    listed = json.loads(pwm("list-methods", "--json"))
    assert [row["method"] for row in listed] == ["mymethod"]
    assert "pwm-mymethod" in pwm("plugins")
    assert "10.2307/2372313" in pwm("info", "mymethod")
    assert "14 of 14 checks passed" in pwm("check", "mymethod")

    install(folder, build_wheel(tmp_path / "pwm-microscope"))
    out = tmp_path / "out"
    options = ["--set", "iterations=5", "--output", str(out)]
    assert "PSNR" in pwm("run", "--method", "mymethod", "--modality", "widefield", *options)
    assert {"run.json", "result.h5", "figure.png"} <= {p.name for p in out.iterdir()}
    assert "14 of 14 checks passed" in pwm("check", "mymethod")


def write_modality(folder: Path) -> None:
    from textwrap import dedent

    for name, text in MODALITY.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text))


def copy_of_the_core(folder: Path) -> Path:
    """What the core's wheel is made of, copied so that building leaves no trace in the checkout."""
    shutil.copytree(ROOT / "pwm_core", folder / "pwm_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def build_wheel(project: Path) -> Path:
    out = project.with_name(f"{project.name}-wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(project))
    (wheel,) = out.glob("*.whl")
    return wheel


def environment_with_the_dependencies_alone(folder: Path) -> Path:
    """A new environment that borrows what the core depends on from this one, and no pwm package.

    Links stand in for a download; .pth files, through which editable packages are found, are left out.
    """
    venv.create(folder, with_pip=False)
    borrowed = folder / "borrowed"
    borrowed.mkdir()
    for source in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for item in Path(source).iterdir():
            if not item.name.lower().startswith(("pwm", "__editable__")) and item.suffix != ".pth":
                (borrowed / item.name).symlink_to(item)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", scheme="venv", vars=paths))
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    return folder


def install(folder: Path, *wheels: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder)]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", *map(str, wheels))


def in_environment(folder: Path, cwd: Path) -> Callable[..., str]:
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    return lambda *arguments: run(str(scripts / "pwm"), *arguments, cwd=cwd)


def where_things_come_from(folder: Path, cwd: Path) -> set[str]:
    """The pwm packages of the environment; fails if anything of them lies outside of it."""
    code = (
        "import json, sys, pwm_core, pwm_mymethod\n"
        "from importlib.metadata import distributions\n"
        "names = [d.name for d in distributions() if d.name.startswith('pwm')]\n"
        "print(json.dumps([sys.path, [pwm_core.__file__, pwm_mymethod.__file__], names]))"
    )
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    path, files, names = json.loads(run(str(scripts / "python"), "-c", code, cwd=cwd))
    assert all(Path(f).is_relative_to(folder) for f in files), files
    assert not [p for p in path if p and Path(p).resolve().is_relative_to(ROOT)], path
    return set(names)


def run(*command: str, cwd: Path | None = None) -> str:
    """Standard output of the command, run without this process's Python settings; it must succeed."""
    hidden = ("PYTHON", "PWM_", "VIRTUAL_ENV", "PIP_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    assert "left out" not in done.stderr, done.stderr
    return done.stdout
