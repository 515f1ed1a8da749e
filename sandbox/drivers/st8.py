"""ST8's side of its operator wallet: ECDSA signatures over the body."""

import base64
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

SIGNATURE = "x-st8-sign"


@cache
def _key(who: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class St8Driver(Driver):
    name = "st8"
    traits = Traits(
        ok=Says(200, "ok"),
        bad_signature=Says(200, "auth_failed"),
        malformed=Says(200, "unknown"),
        insufficient=Says(200, "not_enough_money"),
        temporary=Says(503, "unknown"),
        other_amount=Says(200, "unknown"),
        unknown_player=Says(200, "player_not_found"),
        cancel_unknown=Says(200, "transaction_not_found"),
        late_bet=Says(200, "unknown"),
        cancel_again=Says(200, "ok"),
        too_fine=Says(200, "unknown"),
        missing_id=Says(200, "unknown"),
        restricted_bet=Says(200, "player_locked"),
        expired_bet=Says(200, "session_expired"),
        win_without_bet=Says(200, "ok"),
        win_without_bet_pays=True,
        win_after_cancel=Says(200, "transaction_not_found"),
        cancel_after_win=Says(200, "ok"),
        cancel_after_win_effect="refund",
        cancel_win=Says(200, "ok"),
        cancel_win_effect="reverse",
        zero_bet=Says(200, "ok"),
        zero_win=Says(200, "ok"),
        signature_headers=(SIGNATURE,),
        win_names_bet=False,
    )

    def setup(self) -> Setup:
        public_key = _key(self.who).public_key()
        pem = public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return Setup(public_keys=(pem,), options={"site": "site_1"})

    def signed(self, request: Request, at: float | None = None) -> Request:
        signature = _key(self.who).sign(request.body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "Content-Type": "application/json", **request.headers, SIGNATURE: base64.b64encode(signature).decode(),
        }  # fmt: skip
        return Request(request.path, request.body, request.method, request.query, headers)

    def read(self, answer: Answer, seat: Seat) -> Reading:
        if answer.status not in (200, 500, 503):
            raise ValueError(f"HTTP {answer.status} is none of the contract's")
        content = json.loads(answer.body)
        says = Says(answer.status, content["status"])
        if says.code != "ok":
            return Reading(False, says)
        if "jurisdiction" in content:  # a profile
            return Reading(True, says)
        if not isinstance(content["balance"], str) or content["currency"] != seat.currency:
            raise ValueError("a yes tells the balance as a string, and its currency")
        return Reading(True, says, Decimal(content["balance"]))

    def balance(self, seat: Seat) -> Request:
        return _post("/balance", {**_who(seat), "token": seat.session_id})

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("/debit", _transaction(seat, "debit", bet_id, amount, round_id))

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("/credit", _transaction(seat, "credit", win_id, amount, round_id))

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        content = {
            **_who(seat), "cancel_id": cancel_id, "transaction_id": bet_id, "developer_code": "dev", "amount": amount,
            "round": round_id, "token": seat.session_id or "t", "game_code": "dev_game",
        }  # fmt: skip
        return _post("/cancel", content)

    def cancel_win(self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self.cancel(seat, cancel_id, win_id, amount, round_id)

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        bonus = {"instance_id": "i1", "status": "processing", "bonus_id": "b1"}
        won = _transaction(seat, "credit", credit_id, win, round_id)
        outside = {name: value for name, value in won.items() if name not in ("token", "round", "round_closed")}
        return {
            "jackpot": Credit(_post("/credit", won | {"provider_kind": "jackpot_credit", "bonus": bonus}), win),
            "last win of its round": Credit(_post("/credit", won | {"round_closed": True}), win),
            "payout": Credit(_post("/payout", outside | {"provider_kind": "promo_credit"}), win),
        }

    def without_id(self, seat: Seat) -> Request:
        content = _transaction(seat, "debit", "", "1.00", "round-without-id")
        del content["transaction_id"]
        return _post("/debit", content)


def _who(seat: Seat) -> dict[str, object]:
    return {"player": seat.player_id, "site": "site_1", "currency": seat.currency}


def _transaction(seat: Seat, kind: str, transaction_id: str, amount: str, round_id: str) -> dict[str, object]:
    return {
        **_who(seat), "token": seat.session_id or "t", "transaction_id": transaction_id, "round": round_id,
        "round_closed": None, "game_code": "dev_game", "developer_code": "dev", "amount": amount, "provider_kind": kind,
        "provider": {
            "transaction_id": f"p-{transaction_id}", "amount": amount, "currency": seat.currency, "player": None,
            "round": round_id,
        },
        "bonus": None,
    }  # fmt: skip


def _post(path: str, content: dict[str, object]) -> Request:
    return Request(path, json.dumps(content).encode())


DRIVER = St8Driver
