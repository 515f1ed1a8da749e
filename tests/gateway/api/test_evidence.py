"""What was decided can be proven later: who asked, which key signed, what was asked, what was answered."""

import uuid
from dataclasses import replace
from typing import Any

from psycopg.rows import dict_row

from ledger.admin import integrations
from tests.support.caller import Caller, RunningGateway, on_board
from tests.support.commands import BY


def rows(gateway: RunningGateway, table: str, key: str) -> list[dict[str, Any]]:
    with gateway.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        query = f"select * from wagerledger.{table} where idempotency_key = %s order by xid"
        return cursor.execute(query, [key]).fetchall()


def test_a_refusal_is_recorded_whole(gateway: RunningGateway, caller: Caller, player: str, session: str) -> None:
    """Asked with session, amount and times; answered to the byte; by which key, on which stream, in which region."""
    key = uuid.uuid4().hex
    reply = caller.authorize(session, "b_poor", "500.00", key=key)
    assert reply.code == "INSUFFICIENT_FUNDS"
    (refused,), (remembered,) = rows(gateway, "refusals", key), rows(gateway, "commands", key)
    asked = refused["asked"]
    assert (asked["session_id"], asked["bet_id"], asked["amount"], asked["currency"]) == (
        session,
        "b_poor",
        "500",
        "EUR",
    )
    assert asked["received_at"] > 1_700_000_000_000_000
    assert bytes(refused["answer"]) == reply.body
    assert (refused["kid"], refused["region"]) == (caller.kid, "EU")
    assert (refused["tenant_id"], refused["stream_type"], refused["stream_id"]) == (caller.tenant_id, "player", player)
    same = "kid", "fingerprint", "asked", "answer", "stream_id", "xid"
    assert [remembered[name] for name in same] == [refused[name] for name in same]


def test_what_an_event_says_is_not_said_twice(gateway: RunningGateway, caller: Caller, session: str) -> None:
    """A command that made events keeps who signed it; one that made none keeps what was asked as well."""
    key, again = uuid.uuid4().hex, uuid.uuid4().hex
    assert caller.authorize(session, "b_evident", key=key).status == 200
    (made,) = rows(gateway, "commands", key)
    assert (made["kid"], made["asked"], made["first_version"] is None) == (caller.kid, None, False)
    for each in (uuid.uuid4().hex, again):
        assert caller.send("POST", f"/v1/sessions/{session}/end", {"reason": "left"}, each).status == 200
    (unmade,) = rows(gateway, "commands", again)
    assert unmade["first_version"] is None
    assert unmade["asked"]["session_id"] == session


def test_the_key_that_signed_is_recorded(gateway: RunningGateway) -> None:
    """Also while two are valid, and where the header names the one and was signed by the other."""
    old = on_board(gateway, provider_id=f"studio-{uuid.uuid4().hex}")
    integration_id = f"{old.tenant_id}/{old.region}/{old.provider_id}"
    with gateway.connect() as connection:
        issued = integrations.rotate(connection, gateway.vault(), integration_id, by=BY, overlap_s=3600)
    new = replace(old, kid=issued.kid, secret=issued.secret)
    mixed = replace(old, secret=issued.secret)
    for caller, kid in ((new, new.kid), (old, old.kid), (mixed, new.kid)):
        key = uuid.uuid4().hex
        assert caller.settle("b_nobody", key=key).code == "BET_NOT_FOUND"
        (refused,) = rows(gateway, "refusals", key)
        assert refused["kid"] == kid


def test_a_content_that_differs_is_recorded_with_what_it_was(
    gateway: RunningGateway, caller: Caller, session: str
) -> None:
    """The same key for something else: both are there."""
    key = uuid.uuid4().hex
    assert caller.authorize(session, "b_first", "1.00", key=key).status == 200
    reply = caller.authorize(session, "b_other", "2.00", key=key)
    assert reply.code == "IDEMPOTENCY_MISMATCH"
    (command,), (refused,) = rows(gateway, "commands", key), rows(gateway, "refusals", key)
    assert refused["asked"]["bet_id"] == "b_other"
    assert refused["fingerprint"] != command["fingerprint"]
    assert bytes(refused["answer"]) == reply.body
