"""The dialect interface can be read alone by a provider's author."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.pages import ROOT

MODULES = sorted((ROOT / "gateway" / "dialect").glob("*.py"))
SAID_BY_THE_CLASS = {"method", "path", "status", "body", "outcome", "headers", "content_type", "title"}
"""Fields that the docstring of their class explains, or that mean what HTTP means by them."""


def undocumented(node: ast.AST, name: str) -> Iterator[str]:
    """Public classes, functions and fields below `node` that nothing explains."""
    members = list(ast.iter_child_nodes(node))
    for member, following in zip(members, [*members[1:], None], strict=True):
        if isinstance(member, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if not member.name.startswith("_") and not ast.get_docstring(member):
                yield f"{name}.{member.name}"
            if isinstance(member, ast.ClassDef) and not member.name.startswith("_"):
                yield from undocumented(member, f"{name}.{member.name}")
        elif isinstance(node, ast.ClassDef) and isinstance(member, ast.AnnAssign):
            explained = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            field = ast.unparse(member.target)
            if not explained and field not in SAID_BY_THE_CLASS and field not in (ast.get_docstring(node) or ""):
                yield f"{name}.{field}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_public_name_is_explained(module) -> None:
    """Meaning, units and errors stand at the name, so that nobody has to look for them elsewhere."""
    assert list(undocumented(ast.parse(module.read_text()), module.stem)) == []
