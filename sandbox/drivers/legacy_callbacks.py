"""The provider's side of a casino platform's legacy callbacks: those of `game_callbacks` under other names, signed
alike.
"""

import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

OK = Says(200, "success")


class LegacyCallbacksDriver(Driver):
    name = "legacy_callbacks"
    traits = Traits(
        ok=OK,
        bad_signature=Says(401, "SIGNATURE_INVALID"),
        stale=Says(401, "SIGNATURE_EXPIRED"),
        malformed=Says(400, "MALFORMED_REQUEST"),
        insufficient=Says(402, "INSUFFICIENT_FUNDS"),
        temporary=Says(503, "TEMPORARY"),
        other_amount=Says(409, "IDEMPOTENCY_MISMATCH"),
        unknown_player=Says(404, "WALLET_NOT_FOUND"),
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
        return Setup(secret=self._secret())

    def signed(self, request: Request, at: float | None = None) -> Request:
        stamp = str(int(time.time() if at is None else at))
        message = b".".join((stamp.encode(), request.method.encode(), request.target(self.base_path).encode(), b""))
        tag = hmac.new(self._secret().encode(), message + b"." + request.body, sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Signature": f"t={stamp},kid={self.kid},v1={tag}"}
        return replace(request, headers={**request.headers, **headers})

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body, parse_float=Decimal)
        if content["status"] != "success":
            return Reading(False, Says(answer.status, content["code"]))
        ours = (content["transactionId"],) if "transactionId" in content else ()
        return Reading(True, Says(answer.status, "success"), Decimal(content["balance"]), ours)

    def balance(self, seat: Seat) -> Request:
        return _post("balance", {"userId": seat.player_id, "currency": seat.currency, "type": "balance"})

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("balance", _of(seat, bet_id, round_id) | {"type": "bet"}, amount=amount)

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("balance", _of(seat, win_id, round_id) | {"type": "win"}, amount=amount)

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("balance", _of(seat, bet_id, round_id) | {"type": "refund"}, amount=amount)

    def cancel_win(
        self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str
    ) -> Request | None:
        return self.cancel(seat, cancel_id, win_id, amount, round_id)

    def bet_and_win(self, seat: Seat, bet_id: str, stake: str, win_id: str, win: str, round_id: str) -> Request | None:
        return _post("game-round", _of(seat, bet_id, round_id), bet=stake, win=win)

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        pot = {"jackpot_id": "j-1", "jackpotType": "grand"}
        return {"jackpot": Credit(_post("jackpot", _of(seat, credit_id, round_id) | pot, amount=win), win)}

    def without_id(self, seat: Seat) -> Request:
        fields = _of(seat, "x", "r")
        del fields["tx_id"]
        return _post("balance", fields | {"type": "bet"}, amount="1.00")

    def _secret(self) -> str:
        return sha256(f"{self.name} {self.who}".encode()).hexdigest()


def _of(seat: Seat, transaction_id: str, round_id: str) -> dict[str, str]:
    return {
        "token": seat.session_id,
        "user_id": seat.player_id,
        "game_code": seat.game_id,
        "gameRoundId": round_id,
        "tx_id": transaction_id,
        "currency_code": seat.currency,
    }


def _post(callback: str, fields: dict[str, str], **amounts: str) -> Request:
    """Amounts are written as numbers, digit by digit."""
    written = "".join(f', "{name}": {amount}' for name, amount in amounts.items())
    return Request(f"/{callback}", (json.dumps(fields)[:-1] + written + "}").encode())


DRIVER = LegacyCallbacksDriver
