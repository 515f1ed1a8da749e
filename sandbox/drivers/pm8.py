"""PM8's side of its operator wallet, signed with an HMAC."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from decimal import Decimal

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

SIGNATURE = "X-Operator-Signature"
DECIMALS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3, "BTC": 8}
"""Decimals of the minor units that amounts are written in, whatever the wallet has."""


class Pm8Driver(Driver):
    name = "pm8"
    traits = Traits(
        ok=Says(200),
        bad_signature=Says(401, "unauthorized"),
        malformed=Says(400, "invalid-request"),
        insufficient=Says(400, "insufficient-balance"),
        temporary=Says(503, "temporarily-unavailable"),
        other_amount=Says(409, "transaction-conflict"),
        unknown_player=Says(404, "player-not-found"),
        cancel_unknown=Says(200),
        late_bet=Says(400, "transaction-refunded"),
        missing_id=Says(400, "invalid-request"),
        restricted_bet=Says(400, "player-blocked"),
        expired_bet=Says(400, "session-expired"),
        win_without_bet=Says(404, "transaction-not-found"),
        win_without_bet_pays=False,
        win_after_cancel=Says(400, "transaction-refunded"),
        cancel_after_win=Says(200),
        cancel_after_win_effect="refund",
        zero_bet=Says(200),
        zero_win=Says(200),
        signature_headers=(SIGNATURE,),
        minor_units=True,
        win_names_bet=False,
    )

    def setup(self) -> Setup:
        return Setup(secret=f"pm8-operator-secret-of-{self.who}")

    def signed(self, request: Request, at: float | None = None) -> Request:
        secret = self.setup().secret
        assert secret is not None
        message = request.target(self.base_path).encode() if request.method == "GET" else request.body
        signature = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", **request.headers, SIGNATURE: signature}
        return Request(request.path, request.body, request.method, request.query, headers)

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body)
        if answer.status != 200:
            if not content["message"] or not content["timestamp"]:
                raise ValueError("a no has a message and a time")
            return Reading(False, Says(answer.status, content["errorCode"]))
        parts = content["balance"]
        units = parts["main"] + parts["bonus"]
        if type(units) is not int or type(parts["locked"]) is not int:
            raise ValueError("balances are whole numbers")
        ids = (content["tx"]["id"],) if "tx" in content else ()
        return Reading(True, Says(200), Decimal(units).scaleb(-DECIMALS.get(seat.currency, seat.exponent)), ids)

    def balance(self, seat: Seat) -> Request:
        return Request(f"/players/accounts/{seat.player_id}", method="GET")

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        session = {"sessionToken": seat.session_id} if seat.session_id else {}
        return _post("bet", _transaction(seat, bet_id, amount, round_id) | session)

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("win", _transaction(seat, win_id, amount, round_id))

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("refund", _transaction(seat, bet_id, amount, round_id))

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        paid = _transaction(seat, credit_id, win, round_id)
        return {
            "promotion": Credit(_post("promoWin", paid | {"promoId": "promo-1"}), win),
            "tournament": Credit(_post("tournamentWin", paid | {"tournamentId": "t-77"}), win),
        }

    def without_id(self, seat: Seat) -> Request:
        content = _transaction(seat, "", "1", "round-without-id")
        del content["txId"]
        return _post("bet", content)


def _transaction(seat: Seat, tx_id: str, amount: str, round_id: str) -> dict[str, object]:
    units = Decimal(amount).scaleb(DECIMALS.get(seat.currency, seat.exponent))
    if units != int(units):
        raise ValueError(f"{amount} {seat.currency} is no whole number of minor units")
    return {
        "playerId": seat.player_id, "gameId": seat.game_id, "roundId": round_id, "provider": "pm8studio",
        "txId": tx_id, "amount": int(units), "currency": seat.currency, "reason": "GAME",
    }  # fmt: skip


def _post(kind: str, content: dict[str, object]) -> Request:
    return Request(f"/transactions/{kind}", json.dumps(content).encode())


DRIVER = Pm8Driver
