"""The provider's side of the operator wallet: SHA-1 of command and secret in a header, of command, time and secret in
the body.
"""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha1, sha256

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

OK = Says(200, "OK")
DENIED, HASH = Says(403, "OP_22"), Says(200, "OP_20")
INVALID, DUPLICATE, NOT_FOUND = Says(200, "OP_50"), Says(200, "OP_40"), Says(200, "OP_41")


PROVIDER = "TLT"


class OperatorWalletDriver(Driver):
    name = "operator_wallet"
    traits = Traits(
        ok=OK,
        bad_signature=DENIED,
        malformed=INVALID,
        insufficient=Says(200, "OP_31"),
        temporary=Says(503, "OP_99"),
        other_amount=DUPLICATE,
        unknown_player=Says(200, "OP_21"),
        cancel_unknown=OK,
        late_bet=DUPLICATE,
        missing_id=INVALID,
        restricted_bet=Says(200, "OP_33"),
        expired_bet=Says(200, "OP_21"),
        win_without_bet=NOT_FOUND,
        win_without_bet_pays=False,
        win_after_cancel=Says(200, "OP_49"),
        cancel_after_win=OK,
        cancel_after_win_effect="refund",
        cancel_win=OK,
        cancel_win_effect="reverse",
        zero_bet=OK,
        zero_win=OK,
        too_fine=INVALID,
        covers_body=False,
        signature_headers=("X-Authorization", "X-Operator-Id"),
        stale=HASH,
        time_window_s=60,
        needs_session=True,
        win_names_bet=False,
    )

    def setup(self) -> Setup:
        options = {"operator_id": f"operator-{self.who}", "provider": PROVIDER, "ip_allow": "127.0.0.0/8,::1"}
        return Setup(secret=self._secret(), options=options)

    def signed(self, request: Request, at: float | None = None) -> Request:
        """The envelope, with credentials, around `data`, which is what the requests here are made of."""
        command = request.path.removeprefix("/")
        stamp = datetime.fromtimestamp(time.time() if at is None else at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        outer = {"command": command, "request_timestamp": stamp, "hash": self._hash(command + stamp)}
        body = json.dumps(outer).encode()[:-1] + b', "data": ' + (request.body or b"{}") + b"}"
        headers = {
            "Content-Type": "application/json",
            "X-Operator-Id": f"operator-{self.who}",
            "X-Authorization": self._hash(command),
        }
        return Request(request.path, body, request.method, request.query, {**request.headers, **headers})

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body, parse_float=Decimal)["response"]
        status, stamp, data = content["status"], content["response_timestamp"], content["data"]
        if answer.status == 200 and content["hash"] != self._hash(status + stamp):
            raise ValueError("the answer's hash is wrong")
        if status != "OK":
            return Reading(False, Says(answer.status, data["error_code"]))
        balance = Decimal(data["balance"]) if "balance" in data else None
        return Reading(True, Says(answer.status, "OK"), balance)

    def balance(self, seat: Seat) -> Request:
        body = {"token": seat.session_id, "user_id": seat.player_id, "currency_code": seat.currency}
        return _post("balance", body)

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return self._change(seat, "BET", bet_id, amount, round_id, token=seat.session_id)

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self._change(seat, "WIN", win_id, amount, round_id)

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        body = {"user_id": seat.player_id, "transaction_id": bet_id, "round_id": round_id, "game_id": seat.game_id}
        return _post("cancel", body)

    def cancel_win(
        self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str
    ) -> Request | None:
        return self.cancel(seat, cancel_id, win_id, amount, round_id)

    def finish(self, seat: Seat, round_id: str) -> Request | None:
        return _post("finishround", {"round_id": round_id, "user_id": seat.player_id, "game_id": seat.game_id})

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        last = json.loads(self.win(seat, credit_id, bet_id, win, round_id).body)
        campaign = {"reason": "PROMO-FREESPIN", "campaign_code": "WELCOME"}
        last |= {"round_finished": True, "context": campaign}
        return {
            "refund": Credit(self._change(seat, "REFUND", credit_id, stake, round_id), stake),
            "last win of its round": Credit(_post("changebalance", last), win),
        }

    def without_id(self, seat: Seat) -> Request:
        body = json.loads(self.bet(seat, "x", "1.00", "x").body)
        del body["transaction_id"]
        return _post("changebalance", body)

    def _change(
        self, seat: Seat, kind: str, transaction_id: str, amount: str, round_id: str, token: str | None = None
    ) -> Request:
        body = {
            "token": token,
            "user_id": seat.player_id,
            "transaction_type": kind,
            "transaction_id": transaction_id,
            "round_id": round_id,
            "round_finished": False,
            "game_id": seat.game_id,
            "currency_code": seat.currency,
            "transaction_timestamp": "2026-01-01 00:00:00",
        }
        written = json.dumps(body)[:-1] + f', "amount": {amount}}}'
        return Request("/changebalance", written.encode())

    def _secret(self) -> str:
        return sha256(f"operator_wallet {self.who}".encode()).hexdigest()

    def _hash(self, text: str) -> str:
        return sha1((text + self._secret()).encode(), usedforsecurity=False).hexdigest()


def _post(command: str, body: dict[str, str]) -> Request:
    return Request(f"/{command}", json.dumps(body).encode())


DRIVER = OperatorWalletDriver
