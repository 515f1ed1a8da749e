"""The ledger as an endpoint of a dialect sees it: only its integration's tenant, only its integration's bets."""

from dataclasses import replace
from typing import Any, cast

from gateway.auth.authentication import count_unsigned
from gateway.dialect.call import Call
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected
from gateway.host.entity_reader import EntityReader
from gateway.launch import allowed_game, playable_game
from gateway.submission import in_unit_of, submit
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.players import StartSession
from ledger.core.state import DEMO, Bet, Session, Settlement, Wallet
from ledger.journal.writer import Journal
from ledger.outcome import PROVEN_OTHERWISE, Balances, Outcome, Proof


class LedgerView:
    """The TenantLedger of one call. `facts` are those of its log line; `proof` is remembered with what it submits."""

    def __init__(
        self, journal: Journal, entities: EntityReader, call: Call, facts: dict[str, Any], proof: Proof | None = None
    ) -> None:
        self._journal = journal
        self._entities = entities
        self._call = call
        self._facts = facts
        self._proof = proof
        self._proof_kept = proof is None
        self._decided = self._news = False

    async def submit(self, *commands: Command) -> tuple[Outcome, ...]:
        integration = self._call.integration
        self._facts["provider_transaction_id"] = commands[0].origin.idempotency_key
        for command in commands:
            if isinstance(command, StartSession):
                allowed_game(integration, command.game_id, command.jurisdiction)
            elif isinstance(command, AuthorizeBet) and command.game_id:
                await self._check_game(command, command.game_id)
        outcomes = await submit(self._journal, integration, commands, proof=self._proof)
        self._proof_kept = True
        for outcome in outcomes:
            if outcome.refusal_code == PROVEN_OTHERWISE:
                count_unsigned("reused", integration=integration.integration_id)
            if outcome.refusal_code:
                raise Rejected(outcome.refusal_code, balances=outcome.balances, **outcome.details)
        self._decided = True
        self._news |= any(not outcome.replayed for outcome in outcomes)
        return outcomes

    async def keep_proof(self, endpoint: Endpoint) -> None:
        """Remember the proof of a call that came to no decision: refused before there was one, or with nothing to
        decide. The same bytes must not come to one as another call.
        """
        if not self._proof_kept and not endpoint.changes_nothing:
            await submit(self._journal, self._call.integration, (), proof=self._proof)
            self._proof_kept = True

    async def _check_game(self, command: AuthorizeBet, game_id: str) -> None:
        """A game that is disabled or not in the catalogue takes no new bets; a repeat of one taken before passes."""
        try:
            playable_game(self._call.integration, game_id)
        except Rejected:
            if await self.bet(command.bet_id) is None:
                raise

    @property
    def repeated(self) -> bool:
        """Whether all that was decided had been decided before."""
        return self._decided and not self._news

    async def wallet(self, player_id: str, currency: str) -> Balances:
        for wallet in await self._wallets(player_id):
            if wallet.currency == currency:
                return self._balances(wallet)
        raise Rejected("WALLET_NOT_FOUND", player_id=player_id, currency=currency)

    async def wallets(self, player_id: str) -> list[Balances]:
        return [self._balances(wallet) for wallet in await self._wallets(player_id)]

    async def currency_of(self, player_id: str) -> str:
        found = await self._wallets(player_id)
        option = self._call.option("currency")
        if not found:
            raise Rejected("WALLET_NOT_FOUND", player_id=player_id, currency=option or "any currency")
        if len(found) == 1:
            return found[0].currency
        if not option:
            several = ", ".join(wallet.currency for wallet in found)
            raise Rejected("CURRENCY_MISMATCH", currency="none", expected=f"one of {several}")
        return option

    async def session(self, session_id: str, *, live: bool = True) -> Session:
        found = await self._entities.find((Session, session_id))
        call = self._call
        # A demo session has no token: who names it all the same must not be paid as in real play.
        if found is None or found.integration_id != call.integration.integration_id or found.mode == DEMO:
            raise Rejected("SESSION_NOT_FOUND", session_id=session_id)
        if not live:
            return cast(Session, found)
        if found.ended:
            raise Rejected("SESSION_ENDED", session_id=session_id)
        if call.received_at >= found.expires_at:
            raise Rejected("SESSION_EXPIRED", session_id=session_id)
        return cast(Session, found)

    async def bet(self, bet_id: str) -> Bet | None:
        bet = cast(Bet | None, await self._entities.find((Bet, self._call.integration.integration_id, bet_id)))
        if bet and bet.conversion and (power := self._call.integration.powers.get(bet.conversion.currency)):
            return replace(bet, conversion=bet.conversion.times_ten_to(power))
        return bet

    async def win(self, win_id: str) -> Settlement | None:
        key = Settlement, self._call.integration.integration_id, win_id
        return cast(Settlement | None, await self._entities.find(key))

    def _balances(self, wallet: Wallet) -> Balances:
        return in_unit_of(Balances.of(wallet), self._call.integration.powers)

    async def _wallets(self, player_id: str) -> list[Wallet]:
        integration = self._call.integration
        return await self._entities.wallets(integration.tenant_id, player_id, integration.region)


class NoLedger:
    """The TenantLedger of endpoints that answer without a signature: it shows nothing and takes nothing."""

    repeated = False

    def __getattr__(self, name: str) -> Any:
        raise Rejected("SIGNATURE_MISSING")
