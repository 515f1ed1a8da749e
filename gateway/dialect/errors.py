"""Error answers: the one shape `{code, message, retryable, trace_id}`, filled from the catalogue."""

from collections.abc import Mapping
from typing import cast

from pydantic_core import to_json

from ledger.outcome import Balances
from schemas.errors import ERRORS

RETRY_AFTER_S = 1


class Rejected(Exception):  # noqa: N818  # the caller's fault, not an error of ours
    """The request is refused: its answer is this code of the catalogue."""

    def __init__(self, code: str, **details: object) -> None:
        """`balances=`: those of the wallet at the refusal, where the ledger decided it."""
        super().__init__(code)
        self.code = code
        self.balances = cast(Balances | None, details.pop("balances", None))
        self.details = details


class Unreadable(Rejected):
    """How the request is written stands in its way, not what it asks for. Of a win, a refund or the end of a round the
    provider is not told so for good: see `Endpoint.credits`.
    """


UNPAYABLE = "AMOUNT_SCALE", "AMOUNT_TOO_LARGE", "RATE_NOT_AVAILABLE"
"""Refusals that a setting of ours may cure: the integration's units, a rate."""


def may_be_cured(rejected: Rejected) -> bool:
    """Whether the same call may fare better later, though not by itself. A credit is asked for again then."""
    return isinstance(rejected, Unreadable) or rejected.code in UNPAYABLE


def error_body(code: str, details: Mapping[str, object], trace_id: str) -> bytes:
    error = ERRORS[code]
    return to_json({"code": code, "message": error.text(details), "retryable": error.retryable, "trace_id": trace_id})


def error_headers(code: str, details: Mapping[str, object]) -> tuple[tuple[bytes, bytes], ...]:
    """What an error's answer says besides its body (RFC 9110: Retry-After, Allow; 413 ends the connection, since the
    body stays unread).
    """
    status = ERRORS[code].status
    if status in (429, 503):
        return ((b"retry-after", b"%d" % RETRY_AFTER_S),)
    if status == 405:
        return ((b"allow", str(details["allow"]).encode()),)
    if status in (408, 413):
        return ((b"connection", b"close"),)
    return ()
