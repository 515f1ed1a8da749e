"""The error catalogue: every code that the code uses is in it, every code in it is used, and it is sound."""

import ast
import re
from pathlib import Path

from schemas.errors import ERRORS

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("ledger", "gateway") for path in (ROOT / folder).rglob("*.py")]
MAKERS = {"Refusal", "Rejected", "refuse", "error_body", "_unsigned", "_error", "_refuse"}


def strings(node: ast.AST) -> set[str]:
    return {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str)}


def looks_like_a_code(text: str) -> bool:
    return re.fullmatch(r"[A-Z]{2,}(_[A-Z]+)*", text) is not None


def test_every_code_that_is_used_is_in_the_catalogue() -> None:
    """A typing error in a code fails here, not at a provider."""
    used = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in MAKERS:
                used |= {text for argument in node.args for text in strings(argument) if looks_like_a_code(text)}
    assert len(used) > 30
    assert used <= set(ERRORS)


def test_every_code_in_the_catalogue_is_used() -> None:
    """The page promises nothing that never comes."""
    said = set().union(*(strings(ast.parse(path.read_text())) for path in SOURCES if path.name != "openapi.py"))
    assert set(ERRORS) - said == set()


def test_the_catalogue_is_sound() -> None:
    """Errors have an error status; what is worth repeating is never remembered, and our own failures always are worth it."""
    for error in ERRORS.values():
        assert 400 <= error.status < 600
        assert not (error.retryable and error.remembered), error.code
        assert error.retryable or error.status < 500, error.code
        assert error.message.endswith((".", "-")), error.code
