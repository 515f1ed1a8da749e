"""An aggregator: hex HMAC-SHA256 of the raw body, decimal strings, one error text."""

import hmac
import json
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256

from sandbox.dialects.driver import Answer, Driver, Request, Says, Seat, Setup, Told, Traits

OK = Says(200, "ok")
REFUNDED = Says(409, "transaction refunded")


class RgsDriver(Driver):
    name = "rgs"
    traits = Traits(
        ok=OK,
        bad_signature=Says(401, "bad sig"),
        malformed=Says(400, "bad request"),
        insufficient=Says(402, "insufficient funds"),
        temporary=Says(503, "try again"),
        other_amount=Says(409, "duplicate transaction"),
        unknown_player=Says(404, "player not found"),
        cancel_unknown=OK,
        late_bet=REFUNDED,
        cancel_again=OK,
        missing_id=Says(422, "bad request"),
        restricted_bet=Says(403, "player blocked"),
        expired_bet=Says(403, "session expired"),
        win_without_bet=Says(404, "transaction not found"),
        win_without_bet_pays=False,
        win_after_cancel=REFUNDED,
        cancel_after_win=OK,
        cancel_after_win_effect="refund",
        zero_bet=Says(422, "bad request"),
        zero_win=OK,
        too_fine=Says(422, "bad request"),
        signature_headers=("X-Signature",),
        needs_session=True,
    )

    def setup(self) -> Setup:
        return Setup(secret=self._secret())

    def signed(self, request: Request, at: float | None = None) -> Request:
        tag = hmac.new(self._secret().encode(), request.body, sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Signature": tag}
        return replace(request, headers={**request.headers, **headers})

    def told(self, answer: Answer, seat: Seat) -> Told:
        content = json.loads(answer.body)
        if "error" in content:
            return Told(False, Says(answer.status, content["error"]))
        balance = Decimal(content["balance"]) if "balance" in content else None
        return Told(True, Says(answer.status, content["status"]), balance, (content["id"],) if "id" in content else ())

    def balance(self, seat: Seat) -> Request:
        return _post("balance", {"player_id": seat.player_id, "currency": seat.currency})

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("bet", _of(seat, bet_id, round_id) | {"session_id": seat.session_id, "amount": amount})

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("win", _of(seat, win_id, round_id) | {"bet_transaction_id": bet_id, "amount": amount})

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("refund", _of(seat, cancel_id, round_id) | {"bet_transaction_id": bet_id})

    def without_id(self, seat: Seat) -> Request:
        body = json.loads(self.bet(seat, "x", "1.00", "x").body)
        del body["transaction_id"]
        return _post("bet", body)

    def _secret(self) -> str:
        return sha256(f"{self.name} {self.who}".encode()).hexdigest()


def _of(seat: Seat, transaction_id: str, round_id: str) -> dict[str, str]:
    return {
        "transaction_id": transaction_id,
        "player_id": seat.player_id,
        "currency": seat.currency,
        "game_id": seat.game_id,
        "round_id": round_id,
        "mode": "real",
    }


def _post(call: str, body: dict[str, str]) -> Request:
    return Request(f"/{call}", json.dumps(body).encode())


DRIVER = RgsDriver
