"""An explanation of a bet or a round as lines for a terminal."""

from collections.abc import Iterator

from audit import bet_facts
from audit.bet_story import NEXT, balances_text, clock, headline, problems, proven, step_text
from audit.explanation import CommandEvents, Explanation

MORE = "Everything on record of it: --details here, --html FILE for a browser, --json for programs."


def lines(explanation: Explanation, *, details: bool = False) -> Iterator[str]:
    """Plain text: the sentence, the proof, then each step in the order of time; with `details` all that is known."""
    yield explanation.title
    yield ""
    yield headline(explanation)
    yield from _proof(explanation)
    yield ""
    for step in explanation.steps:
        at_us, *_ = step.order
        balances = balances_text(step.command)
        yield f"  {clock(at_us)}  {step_text(explanation, step)}{f'  ({balances})' if balances else ''}"
        if details:
            yield from _step(explanation, step)
    if details:
        yield from _tables(explanation)
    yield ""
    yield from explanation.notes
    if not details:
        yield MORE


def _proof(explanation: Explanation) -> Iterator[str]:
    found = list(problems(explanation))
    if not found:
        yield proven(explanation)
        return
    for problem in found:
        yield ""
        yield f"WRONG: {problem.title}"
        for text in problem.texts:
            yield f"  {text}"
    yield f"  {NEXT}"


def _step(explanation: Explanation, step: CommandEvents) -> Iterator[str]:
    if step.command:
        for name, value in bet_facts.of_command(explanation, step.command):
            yield f"    {name}: {value}"
    for event in step.events:
        for name, value in bet_facts.of_event(explanation, event, explanation.proofs[event.place]):
            yield f"      {name}: {value}"
        for account, amount in bet_facts.postings(explanation, event):
            yield f"      {account:<40} {amount:>20}"
    yield ""


def _tables(explanation: Explanation) -> Iterator[str]:
    for title, rows in bet_facts.tables(explanation):
        yield ""
        yield f"{title}:"
        for row in rows:
            yield "  " + ", ".join(f"{name} {value}" for name, value in bet_facts.of_row(explanation, row))
