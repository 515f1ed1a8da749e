"""SoftSwiss's side of its Game Aggregator v2, spoken from the published contract."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from decimal import Decimal

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

SIGNATURE = "X-REQUEST-SIGN"


class SoftswissDriver(Driver):
    name = "softswiss"
    traits = Traits(
        ok=Says(200),
        bad_signature=Says(400, "403"),
        malformed=Says(400, "400"),
        insufficient=Says(400, "100"),
        temporary=Says(500, "503"),
        other_amount=Says(400, "400"),
        unknown_player=Says(400, "101"),
        cancel_unknown=Says(200),
        late_bet=Says(400, "409"),
        too_fine=Says(400, "400"),
        missing_id=Says(400, "400"),
        restricted_bet=Says(400, "110"),
        expired_bet=Says(400, "101"),
        win_without_bet=Says(200),
        win_without_bet_pays=True,
        win_after_cancel=Says(200),
        win_after_cancel_pays=True,
        cancel_after_win=Says(200),
        cancel_after_win_effect="refund",
        cancel_win=Says(200),
        cancel_win_effect="reverse",
        zero_bet=Says(400, "400"),
        zero_win=Says(400, "400"),
        signature_headers=(SIGNATURE,),
        win_names_bet=False,
    )

    def setup(self) -> Setup:
        return Setup(secret=f"softswiss-auth-token-of-{self.who}")

    def signed(self, request: Request, at: float | None = None) -> Request:
        secret = self.setup().secret
        assert secret is not None
        signature = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", **request.headers, SIGNATURE: signature}
        return Request(request.path, request.body, request.method, request.query, headers)

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body)
        if answer.status == 200:
            ids = tuple(one["id"] for one in content.get("transactions", ()) if one["id"])
            return Reading(True, Says(200), _money(content["balance"]), ids)
        word = {400: "invalid_argument", 500: "internal"}[answer.status]
        if content["code"] != word or content["msg"] != content["meta"]["api_message"]:
            raise ValueError("not the error envelope of the contract")
        code, balance = content["meta"]["api_code"], content["meta"].get("balance")
        if code in ("100", "105", "106") and balance is None:
            raise ValueError(f"api_code {code} must carry the balance")
        return Reading(False, Says(answer.status, code), _money(balance) if balance is not None else None)

    def balance(self, seat: Seat) -> Request:
        return _post("/balance", self._who(seat) | {"game_id": seat.game_id})

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return self._bet_win(seat, round_id, [_move("bet", bet_id, amount)])

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self._bet_win(seat, round_id, [_move("win", win_id, amount)])

    def bet_and_win(self, seat: Seat, bet_id: str, stake: str, win_id: str, win: str, round_id: str) -> Request:
        return self._bet_win(seat, round_id, [_move("bet", bet_id, stake), _move("win", win_id, win)], finished=True)

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        one = {"id_provider": cancel_id, "type": "rollback", "original_id_provider": bet_id}
        content = {"game_id": seat.game_id, "round_id_provider": round_id, "finished": True, "transactions": [one]}
        return _post("/rollback", self._who(seat) | content)

    def cancel_win(self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self.cancel(seat, cancel_id, win_id, amount, round_id)

    def finish(self, seat: Seat, round_id: str) -> Request:
        return _post("/finish", self._who(seat) | {"round_id": round_id})

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        last = self._bet_win(seat, round_id, [_move("win", credit_id, win)], finished=True)
        return {"last win of its round": Credit(last, win)}

    def without_id(self, seat: Seat) -> Request:
        return self._bet_win(seat, "round-without-id", [{"type": "bet", "amount": "1.00"}])

    def _bet_win(
        self, seat: Seat, round_id: str, transactions: list[dict[str, str]], *, finished: bool = False
    ) -> Request:
        content = {
            "game_id": seat.game_id, "round_id": round_id, "finished": finished, "transactions": transactions
        }  # fmt: skip
        return _post("/betwin", self._who(seat) | content)

    def _who(self, seat: Seat) -> dict[str, object]:
        who: dict[str, object] = {"account_id": seat.player_id, "currency": seat.currency}
        return who | ({"session_id": seat.session_id} if seat.session_id else {})


def _move(kind: str, id_provider: str, amount: str) -> dict[str, str]:
    return {"id_provider": id_provider, "type": kind, "amount": amount}


def _post(path: str, content: dict[str, object]) -> Request:
    return Request(path, json.dumps(content).encode())


def _money(text: object) -> Decimal:
    if not isinstance(text, str):
        raise ValueError(f"an amount is a decimal string, not {text!r}")  # noqa: TRY004  # an answer, not our argument
    return Decimal(text)


DRIVER = SoftswissDriver
