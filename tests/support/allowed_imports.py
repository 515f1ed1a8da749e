"""An import contract that allows instead of forbidding: what is not named is closed, also what comes to be tomorrow."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedContract(Contract):
    """Below `source_modules`, nothing is imported but themselves, the standard library and `allowed_modules`."""

    type_name = "allowed"

    source_modules = fields.SetField(subfield=fields.ModuleField())
    allowed_modules = fields.SetField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        roots = [module.name for module in self.source_modules]  # type: ignore[attr-defined]  # a field, once filled
        allowed = [*roots, *(self.allowed_modules or ()), *sys.stdlib_module_names]  # type: ignore[misc]
        found = sorted(_forbidden(graph, roots, allowed))
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["found"]:
            output.print_error(f"{importer} may not import {imported}: it is not in the list of what is allowed")


def _forbidden(graph: ImportGraph, roots: Iterable[str], allowed: Iterable[str]) -> Iterator[tuple[str, str]]:
    for root in roots:
        for importer in (root, *graph.find_descendants(root)):
            for imported in graph.find_modules_directly_imported_by(importer):
                if not any(_is_below(imported, one) for one in allowed):
                    yield importer, imported


def _is_below(module: str, root: str) -> bool:
    return module == root or module.startswith(f"{root}.")


def contract(named: str, options: dict[str, Any]) -> AllowedContract:
    """As the linter makes one of its settings."""
    return AllowedContract(name=named, session_options={}, contract_options=options)
