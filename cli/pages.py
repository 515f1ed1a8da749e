"""Every page that is made from the code. `python -m cli.pages` (`make pages`) writes those that are not current;
`--check` only names them.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from audit import finding_codes
from cli import reference as cli_reference
from gateway.host import dialects_page
from projector import reference as projector_reference
from runtime import settings
from schemas import asyncapi, errors
from schemas import reference as events_reference

ROOT = Path(__file__).parents[1]
EVENTS = "docs/events"


def pages() -> dict[str, str]:
    """The texts that the code makes now, by their paths below the checkout."""
    return {
        finding_codes.RUNBOOK: finding_codes.runbook_page(),
        "docs/reference/cli.md": cli_reference.reference_page(),
        "docs/reference/errors.md": errors.reference_page(),
        "docs/reference/read-models.md": projector_reference.reference_page(),
        "docs/reference/settings.md": settings.reference_page(),
        "docs/providers/README.md": dialects_page.page(),
        f"{EVENTS}/asyncapi.yaml": asyncapi.text(),
        **{f"{EVENTS}/{name}": text for name, text in events_reference.pages().items()},
    }


def stale(root: Path = ROOT) -> Iterator[str]:
    """The paths whose files differ from `pages`, are missing, or describe an event type that is gone."""
    made = pages()
    there = {str(path.relative_to(root)) for path in (root / EVENTS).iterdir()}
    for name in sorted(made.keys() | there):
        path = root / name
        if name not in made or not path.exists() or path.read_text("utf-8") != made[name]:
            yield name


def write(root: Path = ROOT) -> list[str]:
    """Write what is stale below `root`, and remove the pages of event types that are gone. Gives their paths."""
    made, changed = pages(), list(stale(root))
    for name in changed:
        path = root / name
        path.write_text(made[name], "utf-8") if name in made else path.unlink()
    return changed


def check() -> int:
    """Say which pages are not current: the exit code is 1 where there is one."""
    found = list(stale())
    for name in found:
        print(f"{name} is not what the code makes now: run `make pages`")
    return 1 if found else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    print("\n".join(write()) or "pages: all are current")
