"""The register of brands and their regions: what is opened for a brand is checked against it, so that a slip of the pen
makes no second one.
"""

from difflib import get_close_matches
from typing import Any, NamedTuple

import psycopg

from ledger.admin import actions
from ledger.admin.actions import Actor, AdminAction
from ledger.store import brands as store
from runtime.identifiers import name_fault
from runtime.residency import ANYWHERE, ForeignRegionError, Residency


class BrandError(ValueError):
    """The brand cannot be so, or is not registered; the message says what to do."""


class Brand(NamedTuple):
    tenant_id: str
    region: str


def add(
    connection: psycopg.Connection[Any], tenant_id: str, region: str, *, by: Actor, residency: Residency = ANYWHERE
) -> bool:
    """Register a brand in a region. False where it is already. Raises BrandError, AdminActionError."""
    for name, value in (("brand", tenant_id), ("region", region)):
        if fault := name_fault(value):
            raise BrandError(f"{name} {value!r} {fault}")
    try:
        residency.check(region)
    except ForeignRegionError as error:
        raise BrandError(str(error)) from error
    with connection.transaction():
        row = connection.execute(store.INSERT, (tenant_id, region)).fetchone()
        if row:
            actions.record(
                connection, AdminAction(by, "brand.added", tenant_id, {"brands": [row[0]]}, tenant_id, region)
            )
    return row is not None


def load(connection: psycopg.Connection[Any]) -> list[Brand]:
    """All of them, by name and region."""
    return [Brand(*row) for row in connection.execute(store.LOAD)]


def check(connection: psycopg.Connection[Any], tenant_id: str, region: str) -> None:
    """Check that a brand and its region are registered. Raises BrandError where they are not, naming the nearest that
    is.
    """
    found = load(connection)
    if Brand(tenant_id, region) in found:
        return
    how = f"`wagerledger brand add {tenant_id} --region {region} --actor WHO --reason WHY` registers it"
    regions = [brand.region for brand in found if brand.tenant_id == tenant_id]
    if regions:
        raise BrandError(f"brand {tenant_id} has no region {region}, but {', '.join(regions)}: {how}")
    near = nearest(tenant_id, sorted({brand.tenant_id for brand in found}))
    raise BrandError(f"brand {tenant_id} is not registered{f', but {near} is' if near else ''}: {how}")


def nearest(word: str, known: list[str]) -> str | None:
    """The known word that is most like it, however it is written; None where none is."""
    by_lower = {one.lower(): one for one in reversed(known)}
    found = get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None
