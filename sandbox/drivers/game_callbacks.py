"""The provider's side of a casino platform's game callbacks: camel case, numbers as amounts, X-Signature over time,
method, target and body.
"""

import hmac
import json
import time
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

OK = Says(200, "OK")


class GameCallbacksDriver(Driver):
    name = "game_callbacks"
    traits = Traits(
        ok=OK,
        bad_signature=Says(401, "SIGNATURE_INVALID"),
        stale=Says(401, "SIGNATURE_EXPIRED"),
        malformed=Says(400, "MALFORMED_REQUEST"),
        insufficient=Says(402, "INSUFFICIENT_FUNDS"),
        temporary=Says(503, "TEMPORARY"),
        other_amount=Says(409, "IDEMPOTENCY_MISMATCH"),
        unknown_player=Says(404, "SESSION_NOT_FOUND"),
        cancel_unknown=OK,
        late_bet=Says(409, "BET_TOMBSTONED"),
        missing_id=Says(422, "FIELD_INVALID"),
        restricted_bet=Says(403, "PLAYER_RESTRICTED"),
        expired_bet=Says(409, "SESSION_EXPIRED"),
        win_without_bet=Says(404, "BET_NOT_FOUND"),
        win_without_bet_pays=False,
        win_after_cancel=Says(409, "BET_ROLLED_BACK"),
        cancel_after_win=OK,
        cancel_after_win_effect="refund",
        cancel_win=OK,
        cancel_win_effect="reverse",
        zero_bet=Says(422, "AMOUNT_NOT_POSITIVE"),
        zero_win=OK,
        too_fine=Says(422, "AMOUNT_SCALE"),
        signature_headers=("X-Signature",),
        time_window_s=300,
        needs_session=True,
        win_names_bet=False,
    )

    def setup(self) -> Setup:
        return Setup(secret=self._secret(), options={"player_id": "p_{}"})

    def signed(self, request: Request, at: float | None = None) -> Request:
        stamp = str(int(time.time() if at is None else at))
        target = request.target(self.base_path)
        signed = f"{stamp}.{request.method}.{target}..".encode() + request.body
        tag = hmac.new(self._secret().encode(), signed, sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Signature": f"t={stamp},kid={self.kid},v1={tag}"}
        return Request(request.path, request.body, request.method, request.query, {**request.headers, **headers})

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body, parse_float=Decimal)
        if content["status"] != "OK":
            return Reading(False, Says(answer.status, content["code"]))
        balances = [content[name] for name in ("balance", "balanceAfter", "newBalance") if name in content]
        balance = Decimal(balances[0]) if balances else None
        ours = (content["transactionId"],) if "transactionId" in content else ()
        return Reading(True, Says(answer.status, "OK"), balance, ours)

    def balance(self, seat: Seat) -> Request:
        return _post("session-recovery", {"sessionId": seat.session_id, "playerId": _number(seat), "deviceId": "d_1"})

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return self._change(seat, "BET", bet_id, amount, round_id)

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self._change(seat, "WIN", win_id, amount, round_id)

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self._change(seat, "REFUND", bet_id, amount, round_id)

    def cancel_win(
        self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str
    ) -> Request | None:
        return self._change(seat, "REFUND", win_id, amount, round_id)

    def bet_and_win(self, seat: Seat, bet_id: str, stake: str, win_id: str, win: str, round_id: str) -> Request | None:
        return _post("game-round", _of(seat, bet_id, round_id), betAmount=stake, winAmount=win)

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        pot = {"jackpotType": "PROGRESSIVE", "jackpotId": "j-1", "jackpotLevel": "GRAND"}
        return {
            "bonus": Credit(self._change(seat, "BONUS", credit_id, win, round_id), win),
            "adjustment": Credit(self._change(seat, "ADJUSTMENT", credit_id, win, round_id), win, signed=True),
            "jackpot": Credit(_post("jackpot", _of(seat, credit_id, round_id) | pot, amount=win), win),
        }

    def without_id(self, seat: Seat) -> Request:
        fields = _of(seat, "x", "r")
        del fields["providerTransactionId"]
        return _post("balance", fields | {"transactionType": "BET"}, amount="1.00")

    def _change(self, seat: Seat, kind: str, transaction_id: str, amount: str, round_id: str) -> Request:
        return _post("balance", _of(seat, transaction_id, round_id) | {"transactionType": kind}, amount=amount)

    def _secret(self) -> str:
        return sha256(f"{self.name} {self.who}".encode()).hexdigest()


def _of(seat: Seat, transaction_id: str, round_id: str) -> dict[str, object]:
    return {
        "sessionId": seat.session_id,
        "gameId": seat.game_id,
        "playerId": _number(seat),
        "currency": seat.currency,
        "roundId": round_id,
        "providerTransactionId": transaction_id,
    }


def _number(seat: Seat) -> int:
    return int(seat.player_id.removeprefix("p_"))


def _post(callback: str, fields: dict[str, object], **amounts: str) -> Request:
    """Amounts are written as numbers, digit by digit."""
    written = "".join(f', "{name}": {amount}' for name, amount in amounts.items())
    return Request(f"/{callback}", (json.dumps(fields)[:-1] + written + "}").encode())


DRIVER = GameCallbacksDriver
