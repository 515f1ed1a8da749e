"""BetBy's side of its sportsbook wallet: ES256 tokens in the body, whole cents, our ids in every later call."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

OK = Says(200)
BAD_REQUEST, TOKEN, NOT_FOUND = Says(400, "2004"), Says(400, "2005"), Says(400, "2003")
LIFETIME_S = 60


class BetbyDriver(Driver):
    name = "betby"
    traits = Traits(
        ok=OK,
        bad_signature=TOKEN,
        malformed=BAD_REQUEST,
        insufficient=Says(400, "2001"),
        temporary=Says(503, "100"),
        other_amount=BAD_REQUEST,
        unknown_player=Says(403, "1001"),
        cancel_unknown=OK,
        late_bet=BAD_REQUEST,
        cancel_again=OK,
        missing_id=BAD_REQUEST,
        restricted_bet=Says(400, "1005"),
        expired_bet=Says(400, "1007"),
        win_without_bet=NOT_FOUND,
        win_without_bet_pays=False,
        win_after_cancel=BAD_REQUEST,
        cancel_after_win=OK,
        cancel_after_win_effect="none",
        cancel_win=OK,
        cancel_win_effect="reverse",
        cancel_win_names_our_id=True,
        zero_bet=BAD_REQUEST,
        zero_win=OK,
        time_window_s=LIFETIME_S + 30,
        decimals=2,
        balance_decimals=2,
        needs_session=True,
    )

    def __init__(self, who: str = "studio") -> None:
        super().__init__(who)
        number = int.from_bytes(sha256(who.encode()).digest()) >> 1
        self._key = ec.derive_private_key(number, ec.SECP256R1())
        self._ours: dict[str, str] = {}
        """Our ids of what they named, as our answers gave them."""

    def setup(self) -> Setup:
        public = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        options = {"iss": f"operator-{self.who}", "aud": f"brand-{self.who}", "identify": "on"}
        return Setup(public_keys=(public,), options=options)

    def signed(self, request: Request, at: float | None = None) -> Request:
        """The request with its token. A GET has none: the session key that it asks about is its proof."""
        if request.method == "GET":
            return request
        now = int(time.time() if at is None else at)
        times = {"iat": now, "nbf": now, "exp": now + LIFETIME_S, "jti": sha256(request.body).hexdigest()[:32]}
        claims = {"iss": f"operator-{self.who}", "aud": f"brand-{self.who}", **times}
        payload = json.dumps(claims).encode()[:-1] + b', "payload": ' + (request.body or b"null") + b"}"
        message = _base64url(b'{"alg": "ES256", "typ": "JWT"}') + b"." + _base64url(payload)
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(SHA256())))
        token = message + b"." + _base64url(r.to_bytes(32) + s.to_bytes(32))
        body = b'{"payload": "' + token + b'"}'
        return Request(request.path, body, "POST", request.query, {"Content-Type": "application/json"})

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body)
        if answer.status != 200:
            return Reading(False, Says(answer.status, str(content["code"])))
        if "id" in content:
            self._ours[f"{content['operation']}:{content['ext_transaction_id']}"] = content["id"]
        balance = Decimal(content["balance"]).scaleb(-2) if "balance" in content else None
        return Reading(True, OK, balance, (content["id"],) if "id" in content else ())

    def balance(self, seat: Seat) -> Request:
        return Request("/identify", method="GET", query=f"key={seat.session_id}")

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        body = {
            "amount": _cents(amount),
            "currency": seat.currency,
            "player_id": seat.player_id,
            "session_id": seat.session_id,
            "transaction": self._transaction(seat, bet_id, "bet", amount, round_id),
            "betslip": {"id": round_id, "type": "1/1", "sum": _cents(amount), "k": "2.17", "bets": []},
            "potential_win": 2 * _cents(amount),
        }
        return _post("make", body)

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        body = {
            "amount": _cents(amount),
            "currency": seat.currency,
            "is_cashout": False,
            "bet_transaction_id": self._our("bet", bet_id),
            "transaction": self._transaction(seat, win_id, "win", amount, round_id),
            "selections": [],
            "odds": "2.17",
        }
        return _post("win", body)

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post(
            "discard", {"ext_player_id": seat.player_id, "transaction_id": bet_id, "reason": "Lost connection"}
        )

    def cancel_win(
        self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str
    ) -> Request | None:
        body = {
            "bet_transaction_id": self._our("bet", bet_id),
            "parent_transaction_id": self._our("win", win_id),
            "transaction": self._transaction(seat, cancel_id, "rollback", amount, round_id),
        }
        return _post("rollback", body)

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        bet = self._our("bet", bet_id)

        def about(operation: str, their_id: str = credit_id, **more: object) -> dict[str, object]:
            transaction = self._transaction(seat, their_id, operation, stake, round_id)
            return {"bet_transaction_id": bet, "transaction": transaction, **more}

        cash_out = self.win(seat, credit_id, bet_id, win, round_id).body.replace(b"false", b"true")
        refund = _post("refund", about("refund", reason="Event abandoned", reason_code=9))
        undone = self._our("refund", credit_id)
        return {
            "cash out": Credit(Request("/bet/win", cash_out), win),
            "lost": Credit(_post("lost", about("win", amount=0, currency=seat.currency, is_cashout=False))),
            "refund": Credit(refund, stake),
            "undone refund": Credit(
                _post("rollback", about("rollback", f"undo-{credit_id}", parent_transaction_id=undone)),
                f"-{stake}",
                (refund,),
            ),
            "settlement": Credit(_post("settlement", {"bet_transaction_id": bet, "status": "lost"})),
        }

    def without_id(self, seat: Seat) -> Request:
        body = json.loads(self.bet(seat, "x", "1.00", "x").body)
        del body["transaction"]["id"]
        return _post("make", body)

    def with_extra_field(self, request: Request) -> Request | None:
        return super().with_extra_field(request) if request.body else None

    def _our(self, operation: str, their_id: str) -> str:
        return self._ours.get(f"{operation}:{their_id}", f"{operation}-{their_id}")

    def _transaction(
        self, seat: Seat, their_id: str, operation: str, amount: str, betslip_id: str
    ) -> dict[str, object]:
        return {
            "id": their_id,
            "betslip_id": betslip_id,
            "player_id": "1659299365132570624",
            "operator_id": f"operator-{self.who}",
            "operator_brand_id": f"brand-{self.who}",
            "ext_player_id": seat.player_id,
            "timestamp": 1538654560,
            "amount": _cents(amount),
            "currency": seat.currency,
            "operation": operation,
        }


def _post(call: str, body: Mapping[str, object]) -> Request:
    return Request(f"/bet/{call}", json.dumps(body).encode())


def _cents(amount: str) -> int:
    cents = Decimal(amount).scaleb(2)
    if cents != int(cents):
        raise ValueError(f"{amount} is no whole number of cents")
    return int(cents)


def _base64url(value: bytes) -> bytes:
    return urlsafe_b64encode(value).rstrip(b"=")


DRIVER = BetbyDriver
