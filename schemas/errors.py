"""The error catalogue: what every code means to whoever gets it. `python -m schemas.errors` prints its page of the
reference.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One code of the error catalogue: an entry of errors.toml, where the fields are explained."""

    code: str
    status: int
    message: str
    retryable: bool = False
    remembered: bool = False

    def text(self, details: Mapping[str, object]) -> str:
        """The code's message, filled in. Raises KeyError where `details` lacks a name that the message has."""
        return self.message.format_map(details)


ERRORS: dict[str, ErrorCode] = {
    code: ErrorCode(code, **entry)
    for code, entry in tomllib.loads((files("schemas") / "errors.toml").read_text()).items()
}


def reference_page() -> str:
    """The text of docs/reference/errors.md: every code with its status and message."""
    lines = [
        "# Error codes",
        "",
        "Every error is `{code, message, retryable, trace_id}`.",
        "*Retryable*: the same request, sent again unchanged, is safe and may fare better.",
        "*Remembered*: a refusal by a rule; repeats of its idempotency key hear it again, byte for byte.",
        "Everything else leaves the key free, so the same key works once the reason is gone.",
        "",
        "Made from `schemas/errors.toml` by `python -m schemas.errors`.",
        "",
        "| code | HTTP | retryable | remembered | message |",
        "|---|---|---|---|---|",
    ]
    for error in ERRORS.values():
        retryable, remembered = ("yes" if flag else "" for flag in (error.retryable, error.remembered))
        lines.append(f"| `{error.code}` | {error.status} | {retryable} | {remembered} | {error.message} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference_page(), end="")
