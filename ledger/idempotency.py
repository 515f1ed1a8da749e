"""Repeats: one key, one effect. Under which key a command stands, what tells its content from another's, and what a key
stands for already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from typing import NamedTuple

from ledger.core.commands import Command
from ledger.core.decision import Refusal
from ledger.core.policy import Policy
from ledger.core.rollbacks import Rollback
from ledger.core.state import Key
from ledger.core.value import value
from ledger.outcome import Outcome
from ledger.streams import StreamKey
from schemas.errors import ERRORS

MISMATCH = "IDEMPOTENCY_MISMATCH"
PARTLY_KNOWN = "BATCH_PARTLY_KNOWN"


class CommandKey(NamedTuple):
    """What a command is known by for ever: whose key it is, of which class of operation, and the key itself."""

    scope: str
    operation: str
    idempotency_key: str


@value()
class Request:
    """A command with all that a repeat of it is known by, made once and handed through."""

    command: Command
    key: CommandKey
    fingerprint: bytes
    stream: StreamKey
    """Where its events go."""
    needs: tuple[Key, ...]
    """Keys of what the command is decided on, as it names them itself."""

    @classmethod
    def of(cls, command: Command, stream: StreamKey) -> "Request":
        origin = command.origin
        key = CommandKey(origin.scope, origin.operation, origin.idempotency_key)
        return cls(command, key, fingerprint(command), stream, command.needs)


@value()
class Remembered:
    """What a key already stands for. `fingerprint` is None where the content is unknown (restored from the topics)."""

    fingerprint: bytes | None
    outcome: Outcome

    def repeat(self, request: Request) -> Outcome:
        """What `request` under the same key comes to: the outcome of the first, or MISMATCH where its content is
        another.
        """
        if self.fingerprint is not None and self.fingerprint != request.fingerprint:
            return Outcome(request.command.kind, MISMATCH, {"idempotency_key": request.key.idempotency_key})
        return replace(self.outcome, replayed=True)


def new_among_known(requests: Sequence[Request], remembered: Mapping[CommandKey, Remembered]) -> Request | None:
    """The first request that is new, where others of its callback were accepted before; else None."""
    known = [remembered.get(request.key) for request in requests]
    new = [request for request, entry in zip(requests, known, strict=True) if entry is None]
    if len(new) == len(requests) or not new or any(entry and entry.outcome.refusal_code for entry in known):
        return None
    return new[0]


def consumes_key(refusal: Refusal, policy: Policy) -> bool:
    """Whether a refusal is the final word on its key: rules are, what was not found is not."""
    return policy.refusal_consumes_key and ERRORS[refusal.code].remembered


# Fingerprints ---------------------------------------------------------------------------------------------------------

_ADDED_BY_US = {"origin", "command_id", "received_at", "expires_at", "wallet_currency"}
"""Fields whose value a repeat may have otherwise, as when an option has changed, and is still the same request."""

WRITTEN_NAMES: dict[type[Command], dict[str, str]] = {Rollback: {"target_id": "bet_id"}}
"""The names by which fields are written that have another name today. What was written stays: fingerprints are compared
years later.
"""

_OF_KNOWN_PLAYERS: dict[type[Command], tuple[str, ...]] = {Rollback: ("target_id", "player", "target")}
"""The fields that count where a command names its player: a provider may leave the rest out of a repeat."""


def fingerprint(command: Command) -> bytes:
    """SHA-256 of a command's content. A field at its default is left out, so that a field added later does not change
    old fingerprints.

    Of a command that names its player the session does not count: a repeat may come with a renewed one.
    """
    kind = type(command)
    counted = _COUNTED.get(kind)
    if counted is None:
        counted = _COUNTED[kind] = _counted_fields(kind)
    content = [
        f"{written}={value!r}"
        for name, written, default in counted[command.player_id is not None]
        if (value := getattr(command, name)) != default
    ]
    return sha256("\n".join([command.kind, *content]).encode()).digest()


_Counted = tuple[tuple[str, str, object], ...]
"""Of each field that counts: its name, the name that it is written by, and its default."""
_COUNTED: dict[type[Command], tuple[_Counted, _Counted]] = {}
"""By kind of command: of one that names no player, and of one that does."""


def _counted_fields(kind: type[Command]) -> tuple[_Counted, _Counted]:
    written, only = WRITTEN_NAMES.get(kind, {}), _OF_KNOWN_PLAYERS.get(kind)
    counted = [field for field in fields(kind) if field.name not in _ADDED_BY_US]
    every = tuple((field.name, written.get(field.name, field.name), field.default) for field in counted)
    of_players = tuple(field for field in every if (field[0] in only if only else field[0] != "session_id"))
    return every, of_players
