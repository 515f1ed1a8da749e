"""Hub88's side of its Wallet API v2: RSA signatures over the body, amounts in 1/100,000 of a unit."""

import base64
import json
import uuid
from collections.abc import Mapping
from decimal import Decimal
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

SIGNATURE = "X-Hub88-Signature"
UNITS = 100_000
GAME = "clt_dragonrising"


@cache
def _key(who: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class Hub88Driver(Driver):
    name = "hub88"
    traits = Traits(
        ok=Says(200, "RS_OK"),
        bad_signature=Says(200, "RS_ERROR_INVALID_SIGNATURE"),
        malformed=Says(200, "RS_ERROR_WRONG_SYNTAX"),
        insufficient=Says(200, "RS_ERROR_NOT_ENOUGH_MONEY"),
        temporary=Says(503, "RS_ERROR_UNKNOWN"),
        other_amount=Says(200, "RS_ERROR_DUPLICATE_TRANSACTION"),
        unknown_player=Says(200, "RS_ERROR_INVALID_TOKEN"),
        cancel_unknown=Says(200, "RS_OK"),
        late_bet=Says(200, "RS_ERROR_UNKNOWN"),
        cancel_again=Says(200, "RS_OK"),
        too_fine=Says(200, "RS_ERROR_WRONG_TYPES"),
        missing_id=Says(200, "RS_ERROR_WRONG_SYNTAX"),
        restricted_bet=Says(200, "RS_ERROR_USER_DISABLED"),
        expired_bet=Says(200, "RS_ERROR_TOKEN_EXPIRED"),
        win_without_bet=Says(200, "RS_ERROR_TRANSACTION_DOES_NOT_EXIST"),
        win_without_bet_pays=False,
        win_after_cancel=Says(200, "RS_ERROR_TRANSACTION_DOES_NOT_EXIST"),
        cancel_after_win=Says(200, "RS_OK"),
        cancel_after_win_effect="refund",
        cancel_win=Says(200, "RS_OK"),
        cancel_win_effect="reverse",
        zero_bet=Says(200, "RS_OK"),
        zero_win=Says(200, "RS_OK"),
        signature_headers=(SIGNATURE,),
        decimals=5,
        balance_decimals=5,
        needs_session=True,
    )

    def setup(self) -> Setup:
        public_key = _key(self.who).public_key()
        pem = public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return Setup(public_keys=(pem,))

    def signed(self, request: Request, at: float | None = None) -> Request:
        signature = _key(self.who).sign(request.body, padding.PKCS1v15(), hashes.SHA256())
        headers = {
            "Content-Type": "application/json", **request.headers, SIGNATURE: base64.b64encode(signature).decode(),
        }  # fmt: skip
        return Request(request.path, request.body, request.method, request.query, headers)

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body)
        says = Says(answer.status, content["status"])
        if answer.status not in (200, 500, 503):
            raise ValueError(f"HTTP {answer.status} is none of the contract's")
        units = content.get("balance")
        if units is not None and type(units) is not int:
            raise ValueError(f"a balance is a whole number, not {units!r}")
        balance = None if units is None else Decimal(units) / UNITS
        if says.code != "RS_OK":
            return Reading(False, says, balance)
        if content["user"] != seat.player_id or not content["request_uuid"]:
            raise ValueError("a yes names the user and echoes the request_uuid")
        return Reading(True, says, balance)

    def id(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))

    def echo(self, request: Request, answer: Answer) -> tuple[str, str]:
        return json.loads(request.body)["request_uuid"], json.loads(answer.body)["request_uuid"]

    def balance(self, seat: Seat) -> Request:
        return self._post("/user/balance", {**self._who(seat), "game_code": GAME})

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return self._post(
            "/transaction/bet",
            {**self._transaction(seat, bet_id, round_id), "amount": _units(amount), "bet": "zero", "is_free": False},
        )

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self._post(
            "/transaction/win",
            {
                **self._transaction(seat, win_id, round_id), "amount": _units(amount), "bet": "zero", "is_free": False,
                "reference_transaction_uuid": bet_id,
            },
        )  # fmt: skip

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        content = self._transaction(seat, cancel_id, round_id)
        del content["currency"]
        return self._post("/transaction/rollback", {**content, "reference_transaction_uuid": bet_id})

    def cancel_win(self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self.cancel(seat, cancel_id, win_id, amount, round_id)

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        won = {**self._transaction(seat, credit_id, round_id), "amount": _units(win)}
        promotion = won | {"is_supplier_promo": True, "reward_uuid": "8a1d35cb-0fc5-4b2a-9d43-4a1d5c6f5b0e"}
        last = won | {"is_free": False, "round_closed": True, "reference_transaction_uuid": bet_id}
        return {
            "promotion": Credit(self._post("/transaction/win", promotion), win),
            "last win of its round": Credit(self._post("/transaction/win", last), win),
        }

    def without_id(self, seat: Seat) -> Request:
        content = self._transaction(seat, "", "round-without-id")
        del content["transaction_uuid"]
        return self._post("/transaction/bet", {**content, "amount": UNITS, "is_free": False})

    def _who(self, seat: Seat) -> dict[str, object]:
        return {"user": seat.player_id, "token": seat.session_id, "request_uuid": str(uuid.uuid4())}

    def _transaction(self, seat: Seat, transaction_id: str, round_id: str) -> dict[str, object]:
        return {
            **self._who(seat), "transaction_uuid": transaction_id, "supplier_transaction_id": f"s-{transaction_id}",
            "round": round_id, "round_closed": False, "game_code": GAME, "currency": seat.currency,
        }  # fmt: skip

    def _post(self, path: str, content: dict[str, object]) -> Request:
        return Request(path, json.dumps(content).encode())


def _units(amount: str) -> int:
    units = Decimal(amount) * UNITS
    if units != int(units):
        raise ValueError(f"{amount} has more decimals than the protocol can say")
    return int(units)


DRIVER = Hub88Driver
