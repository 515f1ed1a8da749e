"""BGaming's side of its wallet: SoftSwiss GCP v1 as BGaming speaks it."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from decimal import Decimal

from sandbox.drivers.driver import Answer, Credit, Driver, Reading, Request, Says, Seat, Setup, Traits

SIGNATURE = "X-REQUEST-SIGN"
DECIMALS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3, "BTC": 8}
"""Decimals of the subunits that the provider counts in, whatever the wallet has."""


class BgamingDriver(Driver):
    name = "bgaming"
    traits = Traits(
        ok=Says(200),
        bad_signature=Says(403, "403"),
        malformed=Says(400, "400"),
        insufficient=Says(412, "100"),
        temporary=Says(503, "503"),
        other_amount=Says(400, "400"),
        unknown_player=Says(412, "101"),
        cancel_unknown=Says(200),
        late_bet=Says(200),
        missing_id=Says(400, "400"),
        restricted_bet=Says(412, "110"),
        expired_bet=Says(412, "101"),
        win_without_bet=Says(200),
        win_without_bet_pays=True,
        win_after_cancel=Says(200),
        win_after_cancel_pays=True,
        cancel_after_win=Says(200),
        cancel_after_win_effect="refund",
        cancel_win=Says(200),
        cancel_win_effect="reverse",
        zero_bet=Says(200),
        zero_win=Says(200),
        signature_headers=(SIGNATURE,),
        minor_units=True,
        replay_balance="current",
        win_names_bet=False,
    )

    def setup(self) -> Setup:
        return Setup(secret=f"bgaming-auth-token-of-{self.who}")

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
            raise ValueError(f"a balance is a whole number of subunits, not {units!r}")
        balance = None if units is None else Decimal(units).scaleb(-_decimals(seat))
        if answer.status != 200:
            return Reading(False, Says(answer.status, str(content["code"])), balance)
        if balance is None:
            raise ValueError("a yes tells the balance")
        ids = tuple(one["tx_id"] for one in content.get("transactions", ()))
        return Reading(True, Says(200), balance, ids)

    def balance(self, seat: Seat) -> Request:
        return _post("/play", {"user_id": seat.player_id, "currency": seat.currency, "game": "bgaming:Aztec"})

    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request:
        return self._actions("/play", seat, round_id, [_move(seat, "bet", bet_id, amount)])

    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self._actions("/play", seat, round_id, [_move(seat, "win", win_id, amount)])

    def bet_and_win(self, seat: Seat, bet_id: str, stake: str, win_id: str, win: str, round_id: str) -> Request:
        both = [_move(seat, "bet", bet_id, stake), _move(seat, "win", win_id, win)]
        return self._actions("/play", seat, round_id, both, finished=True)

    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        one: dict[str, object] = {"action": "rollback", "action_id": cancel_id, "original_action_id": bet_id}
        return self._actions("/rollback", seat, round_id, [one], finished=True)

    def cancel_win(self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        return self.cancel(seat, cancel_id, win_id, amount, round_id)

    def finish(self, seat: Seat, round_id: str) -> Request:
        return self._actions("/play", seat, round_id, [], finished=True)

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        free_spins = {
            "issue_id": f"{seat.player_id}/{seat.currency}/{credit_id}", "status": "played",
            "total_amount": _move(seat, "win", credit_id, win)["amount"],
        }  # fmt: skip
        named = free_spins | {"user_id": seat.player_id, "currency": seat.currency}
        last = self._actions("/play", seat, round_id, [_move(seat, "win", credit_id, win)], finished=True)
        return {
            "free spins": Credit(_post("/freespins", free_spins), win),
            "free spins of a named player": Credit(_post("/freespins", named), win),
            "last win of its round": Credit(last, win),
        }

    def without_id(self, seat: Seat) -> Request:
        return self._actions("/play", seat, "round-without-id", [{"action": "bet", "amount": 100}])

    def _actions(
        self, path: str, seat: Seat, round_id: str, actions: list[dict[str, object]], *, finished: bool = False
    ) -> Request:
        content: dict[str, object] = {
            "user_id": seat.player_id, "currency": seat.currency, "game": "bgaming:Aztec", "game_id": round_id,
            "finished": finished, "actions": actions,
        }  # fmt: skip
        return _post(path, content | ({"session_id": seat.session_id} if seat.session_id else {}))


def _decimals(seat: Seat) -> int:
    return DECIMALS.get(seat.currency, seat.exponent)


def _move(seat: Seat, kind: str, action_id: str, amount: str) -> dict[str, object]:
    units = Decimal(amount).scaleb(_decimals(seat))
    if units != int(units):
        raise ValueError(f"{amount} {seat.currency} is no whole number of subunits")
    return {"action": kind, "action_id": action_id, "amount": int(units)}


def _post(path: str, content: dict[str, object]) -> Request:
    return Request(path, json.dumps(content).encode())


DRIVER = BgamingDriver
