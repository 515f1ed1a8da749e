"""Refused requests, by the codes of the error catalogue, and the canonical API's JSON error."""

from collections.abc import Mapping
from typing import cast

from pydantic_core import to_json

from ledger.outcome import Balances
from schemas.errors import ERRORS

RETRY_AFTER_S = 1


class Rejected(Exception):  # noqa: N818  # the caller's fault, not an error of ours
    """A request is refused with this code of the error catalogue; `details` fill the code's message."""

    def __init__(self, code: str, **details: object) -> None:
        """`balances=` are those of the wallet at the refusal, where the ledger decided it; all else are details."""
        super().__init__(code)
        self.code = code
        self.balances = cast(Balances | None, details.pop("balances", None))
        self.details = details


class Unreadable(Rejected):
    """A request is refused for how it is written, not for what it wants. A win, a refund or the end of a round is not
    refused for good then: see `Endpoint.credits`.
    """


UNPAYABLE = "AMOUNT_SCALE", "AMOUNT_TOO_LARGE", "RATE_NOT_AVAILABLE"
"""Refusals that a setting of ours may cure: the integration's units, a rate."""


def may_be_cured(rejected: Rejected) -> bool:
    """Whether the same call may fare better once somebody has mended something. A credit has to be sent again then."""
    return isinstance(rejected, Unreadable) or rejected.code in UNPAYABLE


def error_body(code: str, details: Mapping[str, object], trace_id: str) -> bytes:
    """The canonical API's JSON error, `{code, message, retryable, trace_id}`; `details` fill the code's message."""
    error = ERRORS[code]
    return to_json({"code": code, "message": error.text(details), "retryable": error.retryable, "trace_id": trace_id})


def error_headers(code: str, details: Mapping[str, object]) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of an error's answer (RFC 9110): Retry-After where a repeat may help, Allow where the method is
    wrong; 408 and 413 end the connection, since the body stays unread.
    """
    status = ERRORS[code].status
    if status in (429, 503):
        return ((b"retry-after", b"%d" % RETRY_AFTER_S),)
    if status == 405:
        return ((b"allow", str(details["allow"]).encode()),)
    if status in (408, 413):
        return ((b"connection", b"close"),)
    return ()
