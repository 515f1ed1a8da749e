import contextlib
from typing import Any

from pydantic import SecretStr
from uuid_utils import uuid7

from projector import database, models
from projector.projections.refusals import refusals

NOON_US = 1_750_075_200_000_000


def refused(**changes: Any) -> dict[str, Any]:
    return {
        "command_id": str(uuid7()), "refused_at": NOON_US, "tenant_id": "brand-a", "region": "eu",
        "integration_id": "brand-a/eu/acme", "provider_id": "acme", "player_id": "p1", "kind": "AuthorizeBet",
        "code": "INSUFFICIENT_FUNDS", "details": '{"required": "5.00"}', "operation": "bet", "idempotency_key": "k1",
        "fingerprint": None, "asked": '{"bet_id": "b1"}', "kid": "key-1", "trace_id": "t1",
    } | changes  # fmt: skip


def test_refusals_are_rows_and_counts(bi_database: str) -> None:
    """A row per refusal as it was told, and their number per day, integration, kind and code."""
    records = [
        refused(), refused(player_id="p2"), refused(player_id=None, code="BET_NOT_FOUND", asked=None),
        refused(refused_at=NOON_US + 86_400 * 10**6),
        refused(integration_id=None, provider_id=None, kind="Withdraw", kid=None),
    ]  # fmt: skip
    with contextlib.closing(database.connect(SecretStr(bi_database))) as connection:
        models.ensure(connection)
        for batch in (records[:2], records[2:]):
            with database.transaction(connection) as tables:
                refusals(batch, tables)
        row = connection.execute(
            "select player_id, kind, code, details, asked, kid, refused_at::text, as_of::text, trace_id from bi.refusals"
            " where command_id = %s", [records[0]["command_id"]],
        ).fetchone()  # fmt: skip
        counts = connection.execute(
            "select provider_id, kind, code, day::text, refusals, players from bi.refusals_by_day order by 1, 2, 3, 4"
        ).fetchall()
    at = "2025-06-16 12:00:00+00"
    assert row == (
        "p1", "AuthorizeBet", "INSUFFICIENT_FUNDS", {"required": "5.00"}, {"bet_id": "b1"}, "key-1", at, at, "t1",
    )  # fmt: skip
    assert counts == [
        ("acme", "AuthorizeBet", "BET_NOT_FOUND", "2025-06-16", 1, 0),
        ("acme", "AuthorizeBet", "INSUFFICIENT_FUNDS", "2025-06-16", 2, 2),
        ("acme", "AuthorizeBet", "INSUFFICIENT_FUNDS", "2025-06-17", 1, 1),
        (None, "Withdraw", "INSUFFICIENT_FUNDS", "2025-06-16", 1, 1),
    ]
