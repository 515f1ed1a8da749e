"""The answer to a request, whichever door it came by."""

from typing import NamedTuple


class Reply(NamedTuple):
    """The exact answer to a request: its HTTP status, its body as bytes, and the headers that it has besides those of
    every answer (content type and length, trace id, no-store).

    `outcome` is what metrics and logs call it: accepted, repeated, or a code of the error catalogue. Of a refusal the
    gateway sets it to the refusal's code.
    """

    status: int
    body: bytes
    outcome: str = "accepted"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"
