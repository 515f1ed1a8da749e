"""The codes of findings and the counters of a report, each explained for people: what `findings.toml` says."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

RUNBOOK = "docs/how-to/verify-found-something.md"

COUNTERS_TITLE = """\
## The counters of a report

What was looked at. A counter that is not there was not looked at; the last line of a report names what was left out.

| counter | counts |
|---|---|
"""


@dataclass(frozen=True)
class FindingCode:
    """One code of a finding."""

    code: str
    meaning: str
    """What must not be, in one sentence."""
    cause: str
    """How it usually comes about."""
    truth: str
    """Which copy is the true one, as far as the code alone tells."""
    next: str
    """The next command to run; names in capitals are to be filled in."""


@cache
def codes() -> dict[str, FindingCode]:
    """Every code, in the order of the audit."""
    return {code: FindingCode(code, **entry) for code, entry in _content()["codes"].items()}


@cache
def counters() -> dict[str, str]:
    """What each counter of a report counts."""
    return dict(_content()["counters"])


@cache
def _content() -> dict[str, Any]:
    return tomllib.loads((files("audit") / "findings.toml").read_text("utf-8"))


def runbook_page() -> str:
    """The text of docs/how-to/verify-found-something.md: what to do, and a section for each code."""
    sections = (
        f"## {one.code}\n\n{one.meaning} {one.cause}\n\n- **True copy**: {one.truth}\n- **Next**: `{one.next}`\n"
        for one in codes().values()
    )
    rows = "\n".join(f"| `{name}` | {text} |" for name, text in counters().items())
    end = "Made from `audit/findings.toml` by `make pages`.\n"
    return "\n".join([_content()["introduction"], *sections, f"{COUNTERS_TITLE}{rows}\n", end])
