"""An aggregator's side of its wallet: hex HMAC-SHA256 of the raw body, decimal strings, one error text."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

OK, INCOMPLETE = Says(200, "ok"), Says(200, "incomplete")
REFUNDED = Says(409, "transaction refunded")


class RgsDriver(Driver):
    name = "rgs"
    traits = Traits(
        ok=OK,
        bad_signature=Says(401, "bad sig"),
        malformed=Says(400, "bad request"),
        insufficient=Says(402, "insufficient funds"),
        temporary=Says(503, "try again"),
        incomplete=INCOMPLETE,
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

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body)
        if "error" in content:
            return Reading(False, Says(answer.status, content["error"]))
        if not content.get("complete", True):  # the settlement is sent again until it is
            return Reading(False, INCOMPLETE)
        balance = Decimal(content["balance"]) if "balance" in content else None
        return Reading(
            True, Says(answer.status, content["status"]), balance, (content["id"],) if "id" in content else ()
        )

    def balance(self, seat: Seat) -> Request:
        return _post("balance", {"player_id": seat.player_id, "currency": seat.currency})

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("bet", _of(seat, bet_id, round_id) | {"session_id": seat.session_id, "amount": amount})

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("win", _of(seat, win_id, round_id) | {"bet_transaction_id": bet_id, "amount": amount})

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("refund", _of(seat, cancel_id, round_id) | {"bet_transaction_id": bet_id})

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        won = self.win(seat, credit_id, bet_id, win, round_id)
        refunded = self.cancel(seat, credit_id, bet_id, stake, round_id)
        return {
            "win at the one URL": Credit(Request("", won.body[:-1] + b', "action": "win"}'), win),
            "settlement of a win": Credit(_settlement(seat, won, "win"), win),
            "settlement of a refund": Credit(_settlement(seat, refunded, "refund"), stake),
        }

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


def _settlement(seat: Seat, request: Request, kind: str) -> Request:
    """A settlement of one transaction: what all of them share stands once beside them."""
    one = json.loads(request.body)
    shared = {name: one.pop(name) for name in ("player_id", "currency", "mode")}
    named = {"settlement_id": f"s-{one['transaction_id']}", "session_id": seat.session_id}
    return _post("settlement", {**named, **shared, "transactions": [{**one, "type": kind}]})


def _post(call: str, body: Mapping[str, object]) -> Request:
    return Request(f"/{call}", json.dumps(body).encode())


DRIVER = RgsDriver
