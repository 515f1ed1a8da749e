"""The provider's side of a casino ↔ provider integration, as it calls the casino."""

import hashlib
import hmac
import json
from decimal import Decimal

from sandbox.drivers.driver import Answer, Driver, Reading, Request, Says, Seat, Setup, Traits

SIGNATURE = "x-casino-signature"
DECIMALS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3, "BTC": 8}
"""Decimals of the minor units that the provider counts in, whatever the wallet has."""


class CasinoDriver(Driver):
    name = "casino"
    traits = Traits(
        ok=Says(200),
        bad_signature=Says(401, "SIGNATURE_INVALID"),
        malformed=Says(400, "INVALID_REQUEST"),
        insufficient=Says(400, "INSUFFICIENT_FUNDS"),
        temporary=Says(503, "TEMPORARILY_UNAVAILABLE"),
        other_amount=Says(409, "DUPLICATE_TRANSACTION"),
        unknown_player=Says(401, "INVALID_SESSION"),
        cancel_unknown=Says(200),
        late_bet=Says(409, "ALREADY_ROLLED_BACK"),
        missing_id=Says(400, "INVALID_REQUEST"),
        restricted_bet=Says(403, "USER_BLOCKED"),
        expired_bet=Says(401, "INVALID_SESSION"),
        win_without_bet=Says(200),
        win_without_bet_pays=True,
        win_after_cancel=Says(409, "ALREADY_ROLLED_BACK"),
        cancel_after_win=Says(400, "ROLLBACK_NOT_ALLOWED"),
        cancel_after_win_effect="none",
        cancel_win=Says(400, "CANNOT_ROLLBACK_PAYOUT"),
        zero_bet=Says(400, "INVALID_AMOUNT"),
        zero_win=Says(200),
        signature_headers=(SIGNATURE,),
        minor_units=True,
        names_currency=False,
        needs_session=True,
        win_names_bet=False,
    )

    def setup(self) -> Setup:
        return Setup(secret=f"casino-secret-of-{self.who}")

    def signed(self, request: Request, at: float | None = None) -> Request:
        secret = self.setup().secret
        assert secret is not None
        signature = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", **request.headers, SIGNATURE: signature}
        return Request(request.path, request.body, request.method, request.query, headers)

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body)
        units = content.get("balance")
        if units is not None and type(units) is not int:
            raise ValueError(f"a balance is a whole number of minor units, not {units!r}")
        balance = None if units is None else Decimal(units).scaleb(-DECIMALS.get(seat.currency, seat.exponent))
        if content["success"] != (answer.status == 200):
            raise ValueError("status and success contradict each other")
        if not content["success"]:
            return Reading(False, Says(answer.status, content["code"]), balance)
        return Reading(True, Says(200), balance, (content["transactionId"],) if "transactionId" in content else ())

    def balance(self, seat: Seat) -> Request:
        return _post("getBalance", sessionToken=seat.session_id)

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return _post(
            "debit", sessionToken=seat.session_id, transactionId=bet_id, roundId=round_id, amount=_units(seat, amount),
            description="Game bet",
        )  # fmt: skip

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post(
            "credit", sessionToken=seat.session_id, transactionId=win_id, roundId=round_id,
            amount=_units(seat, amount), relatedTransactionId=bet_id,
        )  # fmt: skip

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post(
            "rollback", sessionToken=seat.session_id, transactionId=cancel_id, originalTransactionId=bet_id,
            reason="Game cancelled",
        )  # fmt: skip

    def cancel_win(self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self.cancel(seat, cancel_id, win_id, amount, round_id)

    def without_id(self, seat: Seat) -> Request:
        return _post("debit", sessionToken=seat.session_id, roundId="round-without-id", amount=100)


def _units(seat: Seat, amount: str) -> int:
    units = Decimal(amount).scaleb(DECIMALS.get(seat.currency, seat.exponent))
    if units != int(units):
        raise ValueError(f"{amount} {seat.currency} is no whole number of minor units")
    return int(units)


def _post(name: str, **content: object) -> Request:
    return Request(f"/casino/{name}", json.dumps(content).encode())


DRIVER = CasinoDriver
