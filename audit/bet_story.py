"""A bet or a round told in sentences: one for all of it, one for each step, and what speaks against it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from audit.explanation import BET, ROUND, Command, CommandEvents, Event, EventCopy, EventProof, Explanation
from audit.finding_codes import RUNBOOK
from ledger.core.money import format_minor
from ledger.streams import PLAYER
from runtime.clock import to_datetime
from schemas.errors import ERRORS

NEXT = f"Next: `wagerledger audit verify --anchors`; what to do is in {RUNBOOK}."
WALLET_ACCOUNTS = "cash", "bonus", "held", "receivable"

UNITS = (("day", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))
"""Of a duration, with their milliseconds."""


class Problem(NamedTuple):
    """Something that is not as it was written."""

    title: str
    texts: Sequence[str]


# One sentence


def headline(explanation: Explanation) -> str:
    """The bet or the round in one sentence: who staked what, what came of it, and what it did to the cash."""
    first = next((event for event in _events(explanation) if event.record["event_type"] == "bet.authorized"), None)
    if first is None:
        return _without_bet(explanation)
    at_us = first.record["occurred_at"]
    bets = _of_type(explanation, "bet.authorized")
    staked = _sum(explanation, bets, "stake_minor")
    who = _who(explanation, bets)
    if explanation.what == BET and len(bets) == 1:
        start = f"{who} staked {staked} on {_game(first)} at {moment(at_us)}"
    else:
        start = (
            f"{who} staked {staked} with {len(bets)} bet{'s' * (len(bets) > 1)} on {_game(first)} from {moment(at_us)}"
        )
    now = "As the log has it now: " if next(problems(explanation), None) else ""
    return f"{now}{start}{_end(explanation, at_us)}{_cash(explanation)}."


def _without_bet(explanation: Explanation) -> str:
    name = f"{explanation.what.capitalize()} {explanation.id}"
    refused = [step for step in explanation.steps if step.command and step.command.refusal]
    if stone := next(iter(_of_type(explanation, "bet.tombstoned")), None):
        at = moment(stone.record["occurred_at"])
        return f"{name} was rolled back at {at}, before it was known. It never began and never can; no money moved."
    if _events(explanation):
        first = _events(explanation)[0]
        return (
            f"{name}: {lower(_told(explanation, first))}, at {moment(first.record['occurred_at'])}{_cash(explanation)}."
        )
    if refused and refused[-1].command:
        command = refused[-1].command
        kind, _, player = command.stream.partition("/")
        whose = f"{player} was refused {lower(name)}" if kind == PLAYER else f"{name} was refused"
        return f"{whose} at {moment(command.decided_at_us)}. {refusal_text(command)} No money moved."
    return f"{name}: the log has no event of it any more."


def _end(explanation: Explanation, since_us: int) -> str:
    """What became of the stake, and when."""
    wins, rollbacks = _of_type(explanation, "bet.settled"), _of_type(explanation, "bet.rolled_back")
    statuses = {str(row["status"]) for row in explanation.stored.get("bets", [])}
    undone = _of_type(explanation, "wallet.debit.reversal")
    if statuses == {"rolled back"} or (rollbacks and not wins):
        back = _sum(explanation, rollbacks, "stake_minor")
        return f"; it was rolled back {_later(rollbacks[-1], since_us)}, {back} given back"
    if wins:
        won = _sum(explanation, wins, "win_minor")
        paid = any(event.record["payload"]["win_minor"] for event in wins)
        last = [event for event in wins if event.record["payload"]["win_minor"] or not paid][-1]
        end = (
            f", won {won}, paid {_later(last, since_us)}"
            if paid
            else f", won nothing, settled {_later(last, since_us)}"
        )
        if undone:
            end += f"; {_sum(explanation, undone, 'amount_minor')} were taken back {_later(undone[-1], since_us)}"
        return end
    held = [row for row in explanation.stored.get("bets", []) if row["held_minor"]]
    if held:
        text = " and ".join(explanation.amount(row["held_minor"], row["currency"]) for row in held[:2])
        return f"; it is open, {text} held"
    return "; nothing was won"


def _cash(explanation: Explanation) -> str:
    """Before and after, where it is one wallet's."""
    steps = [step for step in explanation.steps if step.events and _balances(step.command)]
    wallets = {event.record["wallet_id"] for step in steps for event in step.events if event.record["wallet_id"]}
    if not steps or len(wallets) != 1:
        return ""
    before, after = balances_before(steps[0]), _balances(steps[-1].command)
    if before is None or after is None:
        return ""
    own = sum(_moved(step).get("cash", 0) for step in steps)
    text = f"; cash {format_minor(before, after[1])} → {format_minor(after[2], after[1])} {after[0]}"
    other = after[2] - before - own
    if other and all(proof.whole for proof in explanation.proofs.values()):
        return f"{text} ({format_minor(other, after[1])} of it by other play in between)"
    return text


def balances_before(step: CommandEvents) -> int | None:
    """The cash before a step, in minor units."""
    balances = _balances(step.command)
    return None if balances is None else balances[2] - _moved(step).get("cash", 0)


def _balances(command: Command | None) -> Sequence[Any] | None:
    return command.outcome.get("balances") if command else None


def balances_text(command: Command | None) -> str:
    """The balances after a command, without those that are zero; empty where it has none."""
    found = _balances(command)
    if not found:
        return ""
    currency, exponent, *amounts = found
    named = zip(WALLET_ACCOUNTS, amounts, strict=True)
    shown = [f"{name} {format_minor(minor, exponent)}" for name, minor in named if minor or name == "cash"]
    return f"{', '.join(shown)} {currency}"


def _moved(step: CommandEvents) -> dict[str, int]:
    """What each account moved by, of the currency of the command's balances."""
    found = _balances(step.command)
    moved: dict[str, int] = {}
    for event in step.events:
        for posting in event.postings:
            if found is None or posting.currency == found[0]:
                moved[posting.account] = moved.get(posting.account, 0) + posting.amount_minor
    return moved


# Step by step


def step_text(explanation: Explanation, step: CommandEvents) -> str:
    """A step in a few words: what happened, or what was refused and why."""
    command = step.command
    if step.events:
        return "; ".join(_told(explanation, event) for event in step.events)
    if command is None:
        return "Nothing is known of what was asked"
    what = _WHAT.get(command.kind, command.kind)
    if not command.refusal:
        return f"{what}: {command.outcome_text}"
    asked = command.command_json or {}
    amount = asked.get("amount") or asked.get("win")
    of_amount = f" of {amount} {asked.get('currency', '')}".rstrip() if amount else ""
    return f"{what}{of_amount} refused: {refusal_text(command)}"


_WHAT = {
    "AuthorizeBet": "Bet", "SettleBet": "Win", "RollbackBet": "Rollback", "ReinstateBet": "Reinstatement",
    "FinalizeBet": "Closing for good", "FinishRound": "End of the round", "Award": "Award",
}  # fmt: skip


def refusal_text(command: Command) -> str:
    """The refusal's message from the error catalogue, filled in."""
    code = command.refusal or ""
    try:
        return ERRORS[code].text(command.outcome.get("details") or {})
    except KeyError:
        return f"{code}."


def _told(explanation: Explanation, event: Event) -> str:
    payload = event.record["payload"]
    teller = _TELLERS.get(event.record["event_type"])
    text = teller(explanation, payload) if teller else str(event.record["event_type"])
    bet_id = payload.get("bet_id") if explanation.what == ROUND else None
    return f"{text} (bet {bet_id})" if bet_id else text


Teller = Callable[[Explanation, Mapping[str, Any]], str]


def _money(explanation: Explanation, payload: Mapping[str, Any], name: str) -> str:
    return explanation.amount(payload[name], payload["currency"])


def _staked(explanation: Explanation, payload: Mapping[str, Any]) -> str:
    if not payload["stake_minor"]:
        return "Bet without a stake"
    bonus = payload.get("stake_bonus_minor")
    of_bonus = f", of it {_money(explanation, payload, 'stake_bonus_minor')} bonus" if bonus else ""
    return f"Stake of {_money(explanation, payload, 'stake_minor')} taken{of_bonus}"


def _settled(explanation: Explanation, payload: Mapping[str, Any]) -> str:
    won = payload["win_minor"]
    text = f"Won {_money(explanation, payload, 'win_minor')}" if won else "Settled: nothing won"
    return text if payload["ends_bet"] or not payload.get("bet_id") else f"{text}; the bet stays open"


def _rolled_back(explanation: Explanation, payload: Mapping[str, Any]) -> str:
    won = payload.get("win_reversed_minor")
    taken = f", win of {_money(explanation, payload, 'win_reversed_minor')} taken back" if won else ""
    return f"Rolled back: stake of {_money(explanation, payload, 'stake_minor')} given back{taken}"


_TELLERS: dict[str, Teller] = {
    "bet.authorized": _staked,
    "bet.settled": _settled,
    "bet.rolled_back": _rolled_back,
    "bet.tombstoned": lambda *_: "Rolled back before the bet was known: it can never begin",
    "bet.reinstated": lambda *_: "Rollback undone: the bet stands again",
    "bet.finalized": lambda *_: "Final: nothing about the bet changes any more",
    "round.finished": lambda *_: "Round ended",
    "wallet.debit.reversal": lambda one, payload: f"Win of {_money(one, payload, 'amount_minor')} taken back",
    "wallet.credit.award": lambda one, payload: f"Award of {_money(one, payload, 'amount_minor')} paid",
}


# Proof


def proven(explanation: Explanation) -> str:
    """What the seal and the chain say of the events, where nothing speaks against them."""
    proofs = list(explanation.proofs.values())
    if not proofs:
        return "It made no event. `wagerledger audit prove --command` proves the refusal."
    leaves = sorted(proof.leaf for proof in proofs if proof.leaf is not None)
    if not leaves:
        return "Not sealed yet: the next tree head covers it; chain whole."
    names = f"leaf {leaves[0]}" if len(leaves) == 1 else f"leaves {_list([str(leaf) for leaf in leaves])}"
    open_ = len(proofs) - len(leaves)
    return f"Proven: sealed as {names}{f', {open_} not sealed yet' if open_ else ''}, chain whole."


def problems(explanation: Explanation) -> Iterator[Problem]:
    """What was changed, what is gone, and what no command explains."""
    for event in _events(explanation):
        proof = explanation.proofs[event.place]
        if not proof.whole:
            yield _changed(explanation, event, proof)
    if explanation.damages:
        yield Problem("Something is gone or cannot be read.", explanation.damages)
    strays = [event for step in explanation.steps if step.command is None for event in step.events]
    if strays:
        names = _list([f"{event.record['event_type']}, {place_text(event)}" for event in strays])
        yield Problem("No command explains an event.", [f"{names}: nobody is on record who asked for it."])


def _changed(explanation: Explanation, event: Event, proof: EventProof) -> Problem:
    name = f"{event.record['event_type']}, {place_text(event)},"
    next_ = f"version {event.version + 1}, or the stream's row where it is the last"
    texts = []
    if not proof.changed:
        texts.append(f"It is what was sealed as leaf {proof.leaf}, but what follows it ({next_}) carries another hash.")
        return Problem(f"What follows {name} was changed.", texts)
    if proof.carried is None:
        texts.append("What follows it cannot be read.")
    elif proof.followed:
        texts.append("What follows it carries its hash: the chain was computed again over the change.")
    else:
        texts.append(
            f"What follows it ({next_}) carries the hash {proof.carried.hex()}; "
            f"the log's bytes have {proof.hash.hex()}."
        )
    texts.append("Another content was sealed." if proof.sealed else "It was not sealed yet.")
    copy = explanation.copies.get(event.place)
    texts += [_copy_text(copy), *differing(explanation, event.record, copy)] if copy else [_no_copy()]
    return Problem(f"{name} was changed after it was written.", texts)


def _copy_text(copy: EventCopy) -> str:
    verdicts = {
        True: "That is the true copy: its hash is the one that was carried on.",
        False: "That copy is not the true one either.",
        None: "Nothing tells which of the two is true.",
    }
    return f"The topic has it too ({copy.where}). {verdicts[copy.true]} The archive was not looked at."


def _no_copy() -> str:
    return "No copy was found in the topics; where there is an archive, `wagerledger audit replay` reads it."


def differing(explanation: Explanation, log: Mapping[str, Any], other: EventCopy) -> Iterator[str]:
    """Each value that the log and a copy tell differently."""
    copy, name_of_copy = other.record, "the true copy" if other.true else "the topic"
    for name in sorted({*log, *copy} - {"payload", "postings"}):
        if log.get(name) != copy.get(name):
            yield _two(name_of_copy, name, readable(name, log.get(name)), readable(name, copy.get(name)))
    currency = log["payload"].get("currency")
    for name in sorted({*log["payload"], *copy["payload"]}):
        values = [amount_or(explanation, name, one["payload"].get(name), currency) for one in (log, copy)]
        if log["payload"].get(name) != copy["payload"].get(name):
            yield _two(name_of_copy, name, *values)
    if log["postings"] != copy["postings"]:
        yield _two(name_of_copy, "postings", *(_postings(explanation, one["postings"]) for one in (log, copy)))


def _two(name_of_copy: str, name: str, log: str, copy: str) -> str:
    return f"{label(name).capitalize()}: the log says {log}, {name_of_copy} {copy}."


def _postings(explanation: Explanation, postings: Sequence[Mapping[str, Any]]) -> str:
    return _list([f"{one['account']} {explanation.amount(one['amount_minor'], one['currency'])}" for one in postings])


# Words


def moment(at_us: int) -> str:
    return f"{to_datetime(at_us):%Y-%m-%d %H:%M:%S} UTC"


def clock(at_us: int) -> str:
    """The time of day, to the millisecond."""
    return f"{to_datetime(at_us):%H:%M:%S}.{at_us // 1000 % 1000:03}"


def duration(span_us: int) -> str:
    """Rounded down, in the largest unit that it has one of."""
    span_ms = span_us // 1000
    for unit, unit_ms in UNITS:
        if span_ms >= unit_ms:
            whole, rest = divmod(span_ms, unit_ms)
            number = f"{whole}.{rest * 10 // unit_ms}" if unit == "s" and whole < 10 else str(whole)
            return f"{number} {unit}{'s' if unit == 'day' and whole > 1 else ''}"
    return f"{span_ms} ms"


def label(name: str) -> str:
    """A field's name in words."""
    return name.removesuffix("_minor").removesuffix("_us").replace("_", " ")


def amount_or(explanation: Explanation, name: str, value: Any, currency: str | None) -> str:
    """An amount with its currency, or any other value in words."""
    if name.endswith("_minor") and isinstance(value, int) and currency:
        return explanation.amount(value, currency)
    return readable(name, value)


_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:(\.\d{3})\d*)?\+00:00")


def readable(name: str, value: Any) -> str:
    """A value as people write it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return "; ".join(f"{label(key)} {readable(key, one)}" for key, one in value.items() if one is not None)
    if isinstance(value, list | tuple):
        return ", ".join(readable(name, one) for one in value)
    if isinstance(value, int) and (name.endswith("_at") or name == "as_of"):
        return f"{to_datetime(value):%Y-%m-%d} {clock(value)} UTC"
    return _TIME.sub(r"\1 \2\3 UTC", str(value))


def place_text(event: Event) -> str:
    return f"version {event.version} of {'/'.join(event.stream)}"


def lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _list(texts: Sequence[str]) -> str:
    *most, last = texts
    return f"{', '.join(most)} and {last}" if most else last


def _events(explanation: Explanation) -> list[Event]:
    return [event for step in explanation.steps for event in step.events]


def _of_type(explanation: Explanation, event_type: str) -> list[Event]:
    return [event for event in _events(explanation) if event.record["event_type"] == event_type]


def _sum(explanation: Explanation, events: Sequence[Event], name: str) -> str:
    """The sum of a field of theirs, in each currency."""
    sums: dict[str, int] = {}
    for event in events:
        payload = event.record["payload"]
        sums[payload["currency"]] = sums.get(payload["currency"], 0) + payload[name]
    return _list([explanation.amount(minor, currency) for currency, minor in sums.items()])


def _who(explanation: Explanation, bets: Sequence[Event]) -> str:
    players = sorted({str(event.record["player_id"]) for event in bets})
    return players[0] if len(players) == 1 else f"{len(players)} players"


def _game(event: Event) -> str:
    return str(event.record["payload"].get("game_id") or "a game that was not named")


def _later(event: Event, since_us: int) -> str:
    return f"{duration(event.record['occurred_at'] - since_us)} later"
