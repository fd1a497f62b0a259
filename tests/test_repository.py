"""The repository keeps its own rules: complete requirements, one-way imports, a light command."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"numpy", "torch", "scipy", "h5py", "skimage", "matplotlib", "numba"}
PLUGINS = sorted(p.parent for p in ROOT.glob("plugins/*/pyproject.toml"))


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def imported(path):
    """Top-level package of every absolute import of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def test_requirements_install_the_core_and_every_plugin():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    listed = {line.removeprefix("-e ./").split("[")[0] for line in lines if line.startswith("-e ./")}
    assert listed == {f"plugins/{p.name}" for p in PLUGINS}
    assert any(line.startswith("-e .[") for line in lines)
    assert "-c constraints.txt" in lines


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda p: p.name)
def test_each_plugin_is_packaged_alike(plugin):
    about = project(plugin)
    assert about["name"] == plugin.name
    assert (plugin / "README.md").exists()
    assert list(about["entry-points"]) == ["pwm"]
    assert any(re.fullmatch(r"pwm-core>=\S+,<\S+", d) for d in about["dependencies"])


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda p: p.name)
def test_a_plugin_imports_only_public_modules_of_others_that_it_requires(plugin):
    own = plugin.name.replace("-", "_")
    required = {re.split(r"[<>=\[]", d)[0].replace("-", "_") for d in project(plugin)["dependencies"]}
    for path in plugin.glob("src/**/*.py"):
        for name in imported(path):
            top = name.split(".")[0]
            if top.startswith("pwm_") and top != own:
                assert top in required, f"{path} imports {name}, which {plugin.name} does not require"
                assert not any(part.startswith("_") for part in name.split(".")), f"{path} imports {name}"


def test_the_core_names_no_method_and_no_modality():
    from pwm_core.registry import installed

    theirs = {e.card.name for e in installed().of("reconstructor", "denoiser", "calibrator", "modality")}
    words = re.compile(rf"\b({'|'.join(map(re.escape, sorted(theirs)))})\b")
    for path in (ROOT / "pwm_core").rglob("*.py"):
        for name in imported(path):
            assert not name.startswith("pwm_") or name.split(".")[0] == "pwm_core", f"{path} imports {name}"
        tree = ast.parse(path.read_text())
        prose = {id(c) for c in _docstrings(tree)}  # where "gradient" or "search" is an English word
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                found = words.fullmatch(node.value)
                assert not found, f"{path}:{node.lineno} names {found}"


def _docstrings(tree):
    """The constants that are docstrings of a module, its classes and functions."""
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            yield node.body[0].value


def test_listing_methods_imports_nothing_heavy():
    code = (
        "import sys; from pwm_core.cli import main; main(['list-methods', '--json']);"
        f"print(sorted(set(sys.modules) & {HEAVY}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    listed, heavy = out.rsplit("]\n[", 1)
    assert heavy.strip() == "]", f"list-methods imported [{heavy}"
    assert {"epie", "rpie"} <= {row["method"] for row in json.loads(listed + "]")}


def test_every_example_is_short_and_runs(example, tmp_path):
    source = example.read_text()
    assert len(source.splitlines()) <= 60
    done = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def pytest_generate_tests(metafunc):
    if "example" in metafunc.fixturenames:
        found = sorted((ROOT / "examples").glob("*.py"))
        metafunc.parametrize("example", found, ids=lambda p: p.stem)
