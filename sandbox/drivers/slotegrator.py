"""Slotegrator's side of GIS, slots API v1: forms in the manner of PHP, signed with HMAC-SHA1."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import parse_qsl, quote_plus, urlencode

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

ERROR = Says(200, "INTERNAL_ERROR")


class SlotegratorDriver(Driver):
    name = "slotegrator"
    traits = Traits(
        ok=Says(200),
        bad_signature=ERROR,
        malformed=ERROR,
        insufficient=Says(200, "INSUFFICIENT_FUNDS"),
        temporary=Says(503, "INTERNAL_ERROR"),
        other_amount=ERROR,
        unknown_player=ERROR,
        cancel_unknown=Says(200),
        late_bet=Says(200),
        too_fine=ERROR,
        missing_id=ERROR,
        restricted_bet=ERROR,
        expired_bet=ERROR,
        win_without_bet=Says(200),
        win_without_bet_pays=True,
        win_after_cancel=Says(200),
        win_after_cancel_pays=True,
        cancel_after_win=Says(200),
        cancel_after_win_effect="refund",
        cancel_win=Says(200),
        cancel_win_effect="none",
        zero_bet=Says(200),
        zero_win=Says(200),
        signature_headers=("X-Merchant-Id", "X-Timestamp", "X-Nonce", "X-Sign"),
        time_window_s=300,
        replay_balance="current",
        json=False,
        win_names_bet=False,
    )

    def setup(self) -> Setup:
        return Setup(secret=f"slotegrator-merchant-key-of-{self.who}")

    def signed(self, request: Request, at: float | None = None) -> Request:
        secret = self.setup().secret
        assert secret is not None
        merchant = {
            "X-Merchant-Id": hashlib.sha256(self.who.encode()).hexdigest()[:32],
            "X-Timestamp": str(int(time.time() if at is None else at)),
            "X-Nonce": hashlib.sha256(request.body).hexdigest()[:32],
        }
        sent = parse_qsl(request.body.decode("latin-1"), keep_blank_values=True)
        text = _http_build_query([*sent, *merchant.items()])
        signature = hmac.new(secret.encode(), text.encode(), hashlib.sha1).hexdigest()
        headers = {"Content-Type": "application/x-www-form-urlencoded", **request.headers, **merchant}
        return Request(request.path, request.body, request.method, request.query, headers | {"X-Sign": signature})

    def read(self, answer: Answer, seat: Seat) -> Reading:
        content = json.loads(answer.body, parse_float=Decimal, parse_int=Decimal)
        if "error_code" in content:
            if set(content) != {"error_code", "error_description"}:
                raise ValueError("an error has a code and a description")
            return Reading(False, Says(answer.status, content["error_code"]))
        if not isinstance(content["balance"], Decimal):
            raise ValueError(f"a balance is a number, not {content['balance']!r}")  # noqa: TRY004  # an answer
        ids = (content["transaction_id"],) if "transaction_id" in content else ()
        return Reading(True, Says(answer.status), content["balance"], ids)

    def id(self, name: str) -> str:
        return hashlib.sha256(name.encode()).hexdigest()[:32]

    def balance(self, seat: Seat) -> Request:
        return _form(action="balance", player_id=seat.player_id, currency=seat.currency, session_id=seat.session_id)

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return self.transaction("bet", seat, amount=amount, transaction_id=bet_id, type="bet", round_id=round_id)

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self.transaction("win", seat, amount=amount, transaction_id=win_id, type="win", round_id=round_id)

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self.transaction(
            "refund", seat, amount=amount, transaction_id=cancel_id, bet_transaction_id=bet_id, round_id=round_id
        )

    def cancel_win(self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self.cancel(seat, cancel_id, win_id, amount, round_id)

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        won = {"amount": win, "transaction_id": credit_id, "round_id": round_id}
        undone = {"action": "bet", "amount": stake, "transaction_id": bet_id, "type": "bet"}
        listed = self.transaction(
            "rollback", seat, transaction_id=credit_id, type="rollback", provider_round_id=round_id,
            rollback_transactions=json.dumps([undone]),
        )  # fmt: skip
        settled = self.transaction(
            "settle", seat, transaction_id=credit_id, bet_transaction_id=bet_id, round_id=round_id
        )
        return {
            "prize": Credit(self.transaction("win", seat, type="prize_drop", **won), win),
            "last win of its round": Credit(self.transaction("win", seat, type="win", finished="1", **won), win),
            "rollback": Credit(self.rollback(seat, credit_id, [("bet", stake, bet_id)], round_id), stake),
            "rollback of a list in JSON": Credit(listed, stake),
            "settle": Credit(settled),
        }

    def without_id(self, seat: Seat) -> Request:
        return self.transaction("bet", seat, amount="1.00", type="bet", round_id="round-without-id")

    def rollback(self, seat: Seat, rollback_id: str, listed: list[tuple[str, str, str]], round_id: str) -> Request:
        """A rollback of several transactions; `listed` are their actions, amounts and transaction ids."""
        fields: dict[str, str] = {}
        for index, (action, amount, transaction_id) in enumerate(listed):
            element = {"action": action, "amount": amount, "transaction_id": transaction_id, "type": action}
            fields |= {f"rollback_transactions[{index}][{name}]": value for name, value in element.items()}
        return self.transaction(
            "rollback", seat, transaction_id=rollback_id, type="rollback", provider_round_id=round_id, **fields
        )

    def transaction(self, action: str, seat: Seat, **fields: str) -> Request:
        """A call of any action with its fields; empty ones are left out."""
        who = {"player_id": seat.player_id, "currency": seat.currency, "session_id": seat.session_id}
        return _form(**({"action": action, "game_uuid": self.id(seat.game_id)} | who | fields))


def _http_build_query(fields: list[tuple[str, str]]) -> str:
    """PHP: names sorted, members of an array left in their order, all but letters, digits, -, _ and . encoded."""
    fields = sorted(fields, key=lambda field: field[0].split("[")[0])
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields).replace("~", "%7E")


def _form(**fields: str) -> Request:
    return Request("", urlencode({name: value for name, value in fields.items() if value}).encode())


DRIVER = SlotegratorDriver
