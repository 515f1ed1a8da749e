"""Pragmatic Play's side of its seamless wallet: forms with a hash over their sorted fields."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import parse_qsl, urlencode

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

GAME = "vs50hercules"


class PragmaticDriver(Driver):
    name = "pragmatic"
    traits = Traits(
        ok=Says(200, "0"),
        bad_signature=Says(200, "5"),
        malformed=Says(200, "5"),
        insufficient=Says(200, "1"),
        temporary=Says(200, "100"),
        other_amount=Says(200, "120"),
        unknown_player=Says(200, "2"),
        cancel_unknown=Says(200, "0"),
        late_bet=Says(200, "120"),
        too_fine=Says(200, "7"),
        missing_id=Says(200, "7"),
        restricted_bet=Says(200, "6"),
        expired_bet=Says(200, "4"),
        win_without_bet=Says(200, "100"),
        win_without_bet_pays=False,
        win_after_cancel=Says(200, "120"),
        cancel_after_win=Says(200, "0"),
        cancel_after_win_effect="refund",
        zero_bet=Says(200, "0"),
        zero_win=Says(200, "0"),
        replay_balance="current",
        names_currency=False,
        json=False,
        win_names_bet=False,
    )

    def setup(self) -> Setup:
        return Setup(secret=f"pragmatic-secret-key-of-{self.who}", options={"bonus_win": "payment"})

    def signed(self, request: Request, at: float | None = None) -> Request:
        fields = dict(parse_qsl(request.body.decode("latin-1"), encoding="utf-8", errors="replace"))
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "hash" and fields[name])
        digest = hashlib.md5(f"{text}{self.setup().secret}".encode(), usedforsecurity=False).hexdigest()
        body = request.body + (b"&" if request.body else b"") + f"hash={digest}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", **request.headers}
        return Request(request.path, body, request.method, request.query, headers)

    def read(self, answer: Answer, seat: Seat) -> Reading:
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}: every answer is 200")
        content = json.loads(answer.body, parse_float=Decimal, parse_int=Decimal)
        says = Says(200, str(content["error"]))
        if not content["description"]:
            raise ValueError("every answer has a description")
        balance = Decimal(content["cash"]) + Decimal(content["bonus"]) if "cash" in content else None
        ids = (content["transactionId"],) if "transactionId" in content else ()
        return Reading(says.code == "0", says, balance, ids)

    def balance(self, seat: Seat) -> Request:
        return _post("balance", self._who(seat))

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        token = {"token": seat.session_id} if seat.session_id else {}
        return _post("bet", self._transaction(seat, bet_id, round_id) | {"amount": amount} | token)

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("result", self._transaction(seat, win_id, round_id) | {"amount": amount})

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return _post("refund", self._transaction(seat, bet_id, round_id) | {"amount": amount})

    def finish(self, seat: Seat, round_id: str) -> Request:
        return _post("endRound", self._who(seat) | {"gameId": GAME, "roundId": _round(round_id)})

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        paid = self._transaction(seat, credit_id, round_id) | {"amount": win}
        beside = {"promoWinAmount": win, "promoWinReference": f"{credit_id}-promo"}
        beside |= {"promoCampaignID": "77", "promoCampaignType": "R"}
        campaign = {"campaignId": "77", "campaignType": "T", "currency": seat.currency}
        return {
            "result with a promotion": Credit(_post("result", paid | beside), str(2 * Decimal(win))),
            "bonus win": Credit(_post("bonusWin", paid | {"bonusCode": "421"}), win),
            "jackpot": Credit(_post("jackpotWin", paid | {"jackpotId": "101"}), win),
            "promotion": Credit(_post("promoWin", paid | campaign), win),
            "adjustment": Credit(_post("adjustment", paid | {"validBetAmount": "0"}), win, signed=True),
        }

    def without_id(self, seat: Seat) -> Request:
        fields = self._transaction(seat, "", "round-without-id") | {"amount": "1.00"}
        del fields["reference"]
        return _post("bet", fields)

    def _who(self, seat: Seat) -> dict[str, str]:
        return {"providerId": "PragmaticPlay", "userId": seat.player_id}

    def _transaction(self, seat: Seat, reference: str, round_id: str) -> dict[str, str]:
        return self._who(seat) | {
            "gameId": GAME, "roundId": _round(round_id), "reference": reference, "timestamp": "1758326400000",
            "roundDetails": "spin",
        }  # fmt: skip


def _round(round_id: str) -> str:
    """A round's id as the number that the provider wants."""
    return str(zlib.crc32(round_id.encode()))


def _post(method: str, fields: dict[str, str]) -> Request:
    return Request(f"/{method}.html", urlencode(fields).encode())


DRIVER = PragmaticDriver
