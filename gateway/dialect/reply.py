"""The answer to a request, whichever door it came by."""

from typing import NamedTuple


class Reply(NamedTuple):
    """The exact answer. `outcome` is what metrics and logs call it: accepted, repeated, or a code of the catalogue."""

    status: int
    body: bytes
    outcome: str = "accepted"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"
