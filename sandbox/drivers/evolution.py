"""Evolution's side of its One Wallet: a shared secret in the query, and nothing signed."""

import json
import uuid
from collections.abc import Mapping
from decimal import Decimal

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

TABLE = "aaabbbcccdddeee111"
SUCCESSES = ("OK", "BET_ALREADY_EXIST", "BET_ALREADY_SETTLED")


class EvolutionDriver(Driver):
    name = "evolution"
    traits = Traits(
        ok=Says(200, "OK"),
        bad_signature=Says(200, "INVALID_TOKEN_ID"),
        malformed=Says(200, "INVALID_PARAMETER"),
        insufficient=Says(200, "INSUFFICIENT_FUNDS"),
        temporary=Says(200, "TEMPORARY_ERROR"),
        repeat=Says(200, "BET_ALREADY_EXIST"),
        other_amount=Says(200, "BET_ALREADY_EXIST"),
        unknown_player=Says(200, "INVALID_PARAMETER"),
        cancel_unknown=Says(200, "BET_DOES_NOT_EXIST"),
        late_bet=Says(200, "FINAL_ERROR_ACTION_FAILED"),
        cancel_again=Says(200, "BET_ALREADY_SETTLED"),
        too_fine=Says(200, "INVALID_PARAMETER"),
        missing_id=Says(200, "INVALID_PARAMETER"),
        restricted_bet=Says(200, "ACCOUNT_LOCKED"),
        expired_bet=Says(200, "INVALID_SID"),
        win_without_bet=Says(200, "BET_DOES_NOT_EXIST"),
        win_without_bet_pays=False,
        win_after_cancel=Says(200, "BET_ALREADY_SETTLED"),
        cancel_after_win=Says(200, "BET_ALREADY_SETTLED"),
        cancel_after_win_effect="none",
        zero_bet=Says(200, "OK"),
        zero_win=Says(200, "OK"),
        answered_ok=frozenset({"BET_ALREADY_SETTLED", "BET_ROLLED_BACK", "BET_FINAL"}),
        covers_body=False,
        balance_decimals=2,
        replay_balance="current",
        needs_session=True,
    )

    def setup(self) -> Setup:
        return Setup(secret=f"evolution-auth-token-of-{self.who}")

    def signed(self, request: Request, at: float | None = None) -> Request:
        headers = {"Content-Type": "application/json", **request.headers}
        return Request(request.path, request.body, request.method, f"authToken={self.setup().secret}", headers)

    def read(self, answer: Answer, seat: Seat) -> Reading:
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}: every answer is 200")
        content = json.loads(answer.body, parse_float=Decimal, parse_int=Decimal)
        says = Says(200, content["status"])
        balance = Decimal(content["balance"]) + Decimal(content["bonus"]) if "balance" in content else None
        return Reading(says.code in SUCCESSES, says, balance)

    def echo(self, request: Request, answer: Answer) -> tuple[str, str]:
        return json.loads(request.body)["uuid"], json.loads(answer.body)["uuid"]

    def balance(self, seat: Seat) -> Request:
        return _post("/balance", {**_who(seat), "currency": seat.currency, "game": None})

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return _money("/debit", seat, f"tx-{bet_id}", bet_id, amount, round_id)

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _money("/credit", seat, win_id, bet_id, amount, round_id)

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _money("/cancel", seat, f"tx-{bet_id}", bet_id, amount, round_id)

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        spent = {"type": "FreeRoundPlayableSpent", "voucherId": "d82ce074-bd5a-11eb", "remainingRounds": 0}
        parts = [{"id": "JP1", "winAmount": "AMOUNT"}, {"id": "JP2", "winAmount": "AMOUNT"}]
        jackpot = {"type": "JackpotWin", "id": credit_id, "jackpots": parts}
        return {
            "promo payout": Credit(_promo(seat, {**spent, "id": credit_id, "amount": "AMOUNT"}, win, round_id), win),
            "jackpot in parts": Credit(_promo(seat, jackpot, win, round_id), str(2 * Decimal(win))),
        }

    def without_id(self, seat: Seat) -> Request:
        request = _money("/debit", seat, "DROPPED", "ref-without-id", "1.00", "round-without-id")
        return Request(request.path, request.body.replace(b'"id": "DROPPED", ', b""))


def _who(seat: Seat) -> dict[str, object]:
    return {"sid": seat.session_id, "userId": seat.player_id, "uuid": str(uuid.uuid4())}


def _money(path: str, seat: Seat, transaction_id: str, ref_id: str, amount: str, round_id: str) -> Request:
    transaction = {"id": transaction_id, "refId": ref_id, "amount": "AMOUNT"}
    return _written(path, {**_at(seat, round_id), "transaction": transaction}, amount)


def _promo(seat: Seat, transaction: Mapping[str, object], amount: str, round_id: str) -> Request:
    return _written("/promo_payout", {**_at(seat, round_id), "promoTransaction": transaction}, amount)


def _at(seat: Seat, round_id: str) -> dict[str, object]:
    game = {"id": round_id, "type": "blackjack", "details": {"table": {"id": TABLE, "vid": TABLE}}}
    return {**_who(seat), "currency": seat.currency, "game": game}


def _written(path: str, content: dict[str, object], amount: str) -> Request:
    """The amount is a number, as it is written."""
    return Request(path, _post(path, content).body.replace(b'"AMOUNT"', amount.encode()))


def _post(path: str, content: dict[str, object]) -> Request:
    return Request(path, json.dumps(content).encode())


DRIVER = EvolutionDriver
