"""An explanation of a bet or a round as a page for a browser: the sentence, the proof, a timeline with a picture, and
everything else folded away.
"""

from collections.abc import Iterable, Iterator
from html import escape

from audit import bet_facts
from audit.bet_picture import picture
from audit.bet_story import NEXT, balances_text, clock, headline, problems, proven, step_text
from audit.explanation import CommandEvents, Explanation
from runtime import html
from runtime.html import Markup

STYLE = """
:root { --paper: #fff; } body { max-width: 60rem; } h1 { margin: 0; overflow-wrap: anywhere; } .of { margin: 0 0 1rem; }
.lead { font-size: 1.15rem; line-height: 1.5; margin: 0 0 .5rem; overflow-wrap: break-word; }
.alarm { border: 1px solid; border-left-width: 6px; border-radius: 4px; color: #b3261e; margin: 1rem 0;
    padding: .6rem 1rem; }
.alarm p { margin: .3rem 0; overflow-wrap: anywhere; } .alarm strong { font-size: 1.05rem; }
.story { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.5rem 0; align-items: flex-start; }
.line { flex: 1 1 20rem; list-style: none; margin: 0; padding: 0; min-width: 0; }
.line li { border-left: 2px solid #c3cad1; padding: 0 0 1rem 1.1rem; position: relative; overflow-wrap: break-word; }
.line li::before { content: ""; position: absolute; left: -6px; top: .4em; width: 10px; height: 10px;
    border-radius: 50%; background: #12703a; }
.line li:last-child { border-color: transparent; padding-bottom: 0; }
.line li.refused::before { background: #8a5a00; } .line li.changed::before { background: #b3261e; }
.line li.changed b { color: #b3261e; } .line b { font-weight: 600; display: block; }
.line span, time { color: #57606a; font-size: .85rem; }
time { font-variant-numeric: tabular-nums; }
.picture { flex: 0 1 22rem; width: 100%; max-width: 26rem; font: 12px system-ui, sans-serif; }
.picture text { fill: currentColor; text-anchor: middle; paint-order: stroke; stroke: var(--paper); stroke-width: 5px; }
 .picture .lane { font-weight: 600; }
.rail { stroke: #c3cad1; stroke-width: 1; } .arrow path, .arrow circle { stroke: #1f5fa8; stroke-width: 2; fill: none; }
.arrow .head, .arrow circle { fill: #1f5fa8; stroke: none; }
.changed path, .changed circle { stroke: #b3261e; } .changed .head, .changed circle { fill: #b3261e; }
details { border: 1px solid #d5dade; border-radius: 4px; margin: .4rem 0; }
summary { cursor: pointer; padding: .4rem .7rem; overflow-wrap: break-word; }
details > *:not(summary) { margin: 0 .7rem .7rem; } details > table { width: calc(100% - 1.4rem); }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr); gap: .15rem 1rem; }
dl + dl { border-top: 1px solid #d5dade; padding-top: .6rem; }
dt { color: #57606a; } dd { margin: 0; overflow-wrap: anywhere; }
.long { font: 12px/1.4 ui-monospace, monospace; }
@media (max-width: 480px) {
    body { margin: 1rem auto; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; }
}
@media (prefers-color-scheme: dark) {
    :root { --paper: #16191d; }
    details, dl + dl { border-color: #39414a; } dt, .line span, time { color: #9aa4ae; } .alarm { color: #ff8a80; }
    .line li { border-color: #39414a; } .line li::before { background: #5fce8d; }
    .line li.refused::before { background: #e0b04c; } .line li.changed::before { background: #ff8a80; }
    .line li.changed b { color: #ff8a80; } .rail { stroke: #39414a; }
    .arrow path, .arrow circle { stroke: #7db3f2; } .arrow .head, .arrow circle { fill: #7db3f2; }
    .changed path, .changed circle { stroke: #ff8a80; } .changed .head, .changed circle { fill: #ff8a80; }
}
@media print {
    body { margin: 0; max-width: none; } li, .picture, .alarm, dl { break-inside: avoid; }
    details::details-content { content-visibility: visible; height: auto; }
}
"""


def as_html(explanation: Explanation) -> str:
    """One page that needs nothing else. What others sent is escaped."""
    title = f"{explanation.what.capitalize()} {explanation.id}"
    parts = [
        Markup(f'<p class="note of">{escape(explanation.integration_id)}</p>'),
        Markup(f'<p class="lead">{escape(headline(explanation))}</p>'),
        *_proof(explanation),
        Markup(f'<div class="story">{_timeline(explanation)}{picture(explanation)}</div>'),
        html.heading("Details"),
        *(_step(explanation, step) for step in explanation.steps),
        *(_table(explanation, title, rows) for title, rows in bet_facts.tables(explanation)),
        html.notes(explanation.notes),
    ]
    return html.page(title, *parts, style=STYLE)


def _proof(explanation: Explanation) -> Iterator[Markup]:
    found = list(problems(explanation))
    if not found:
        sealed = any(proof.leaf is not None for proof in explanation.proofs.values())
        text = proven(explanation)
        yield html.verdict(text, ok=True) if sealed else html.notes([text])  # green is what is proven
    for problem in found:
        texts = "".join(f"<p>{escape(text)}</p>" for text in (*problem.texts, NEXT))
        yield Markup(f'<div class="alarm" role="alert"><strong>{escape(problem.title)}</strong>{texts}</div>')


def _timeline(explanation: Explanation) -> str:
    return f'<ol class="line">{"".join(_entry(explanation, step) for step in explanation.steps)}</ol>'


def _entry(explanation: Explanation, step: CommandEvents) -> str:
    refused = step.command is not None and step.command.refusal is not None
    kind = "changed" if _changed(explanation, step) else "refused" if refused else ""
    at_us, *_ = step.order
    balances = balances_text(step.command)
    return (
        f'<li class="{kind}"><time>{clock(at_us)}</time><b>{escape(step_text(explanation, step))}</b>'
        f"<span>{escape(balances)}</span></li>"
    )


def _changed(explanation: Explanation, step: CommandEvents) -> bool:
    return step.command is None or not all(explanation.proofs[event.place].whole for event in step.events)


def _step(explanation: Explanation, step: CommandEvents) -> Markup:
    at_us, *_ = step.order
    parts = [_facts(bet_facts.of_command(explanation, step.command))] if step.command else []
    for event in step.events:
        parts.append(_facts(bet_facts.of_event(explanation, event, explanation.proofs[event.place])))
        moved = list(bet_facts.postings(explanation, event))
        if moved:
            parts.append(html.table(("account", "amount"), moved, numbers=(1,)))
    return _folded(f"{clock(at_us)} {step_text(explanation, step)}", parts)


def _table(explanation: Explanation, title: str, rows: Iterable[dict[str, object]]) -> Markup:
    return _folded(title, [_facts(bet_facts.of_row(explanation, row)) for row in rows])


def _folded(title: str, parts: Iterable[str]) -> Markup:
    return Markup(f"<details><summary>{escape(title)}</summary>{''.join(parts)}</details>")


LONG = 60
"""Values of so many letters without a blank are ids, hashes and answers: they are written small."""


def _facts(facts: bet_facts.Facts) -> str:
    def value(text: str) -> str:
        long = any(len(word) >= LONG for word in text.split())
        return f"<dd{' class=long' if long else ''}>{escape(text)}</dd>"

    return f"<dl>{''.join(f'<dt>{escape(name)}</dt>{value(text)}' for name, text in facts)}</dl>"
