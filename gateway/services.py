"""What the endpoints of both doors work with."""

from dataclasses import dataclass

from gateway.auth.authentication import Authenticator
from gateway.auth.callers import Callers
from gateway.auth.keys import KeyRing
from gateway.read_connection import ReadConnection
from ledger.journal.writer import Journal
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """What endpoints work with."""

    settings: Settings
    keys: KeyRing
    authenticator: Authenticator
    callers: Callers
    journal: Journal
    read_connection: ReadConnection
