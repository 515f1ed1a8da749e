"""A new dialect to begin with: a small protocol that works, with its driver, tests and page."""

import hmac
import re
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
FILES = {
    "dialect.py": "gateway/providers/{name}/__init__.py",
    "driver.py": "sandbox/drivers/{name}.py",
    "exchanges.json": "tests/gateway/providers/{name}/exchanges.json",
    "test.py": "tests/gateway/providers/{name}/test_{name}.py",
    "page.md": "docs/providers/{name}.md",
}
"""Each template, and where it goes."""

_EXAMPLE = b'{"player_id":"p_demo_1","currency":"EUR"}'
"""The body that the page signs."""
_NAME = re.compile(r"[a-z][a-z0-9_]{1,31}")


class ScaffoldError(ValueError):
    """A dialect's files cannot be written; the message says why."""


def write(name: str, root: Path) -> list[Path]:
    """Write the files of dialect `name` below `root`, a checkout of the project. Raises ScaffoldError, and writes
    nothing where one of them exists.
    """
    if not _NAME.fullmatch(name):
        raise ScaffoldError(f"{name!r} must be 2 to 32 of a-z 0-9 _, a letter first: it becomes a folder")
    if not (root / "gateway" / "providers").is_dir() or not (root / "pyproject.toml").is_file():
        raise ScaffoldError(f"{root} is no checkout of the project: go to one, or name it with --root")
    paths = {template: root / path.format(name=name) for template, path in FILES.items()}
    if existing := [path for path in paths.values() if path.exists()]:
        raise ScaffoldError(f"{existing[0]} exists already: choose another name, or take it away first")
    for template, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled((TEMPLATES / f"{template}.txt").read_text("utf-8"), name), "utf-8")
    return list(paths.values())


def _filled(text: str, name: str) -> str:
    words = name.split("_")
    example = hmac.digest(f"{name}-example-secret".encode(), _EXAMPLE, "sha256").hex()
    for placeholder, value in (
        ("%(example)", example),
        ("%(name)", name),
        ("%(Class)", "".join(map(str.capitalize, words))),
        ("%(Title)", " ".join(map(str.capitalize, words))),
        ("%(Header)", "-".join(map(str.capitalize, words))),
        ("%(header)", "-".join(words)),
    ):
        text = text.replace(placeholder, value)
    return text
