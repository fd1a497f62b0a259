"""``pwm new-plugin NAME``: write a package that works, for an author to change step by step."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

from .. import __version__
from ..errors import BadValue

# where each template goes; $module is the name of the Python package
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "src/$module/__init__.py": "cards.py",
    "src/$module/method.py": "method.py",
    "tests/test_plugin.py": "test_plugin.py",
    "README.md": "README.md",
}


def write_plugin(folder: Path | str) -> list[Path]:
    """Write the package into the new ``folder`` and return its files.

    The folder's name, a leading ``pwm-`` left out, is the method's; the package is called
    ``pwm-METHOD``. BadValue if that is no name for a method, or the folder exists.
    """
    from ..requirement import capped_requirement

    folder = Path(folder)
    method = folder.name.removeprefix("pwm-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", method):
        raise BadValue(
            f"{folder.name!r} is no name for a plugin; take lower-case letters, digits and single hyphens, "
            "such as pwm-mymethod"
        )
    if folder.exists():
        raise BadValue(f"{folder} exists already; choose another name, or remove it first")
    words = {
        "method": method,
        "identifier": method.replace("-", "_"),
        "package": f"pwm-{method}",
        "module": f"pwm_{method.replace('-', '_')}",
        "requirement": capped_requirement(__version__),
    }
    return [_write(folder / Template(path).substitute(words), name, words) for path, name in _FILES.items()]


def _write(path: Path, template: str, words: dict[str, str]) -> Path:
    text = (files(__package__) / "templates" / f"{template}.template").read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template(text).substitute(words), encoding="utf-8")
    return path
