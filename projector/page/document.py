"""The page's HTML: the frame, and how it is said that there is nothing to show."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from runtime.html import Markup, table

STYLE = files(__package__).joinpath("style.css").read_text("utf-8")
TITLE = "Wagerledger read models"


def document(*parts: Markup) -> str:
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{STYLE}</style>\n{body}\n</html>\n"
    )


def trouble(title: str, *texts: str) -> str:
    """A whole page that says why there are no figures, and what to do."""
    return document(
        header(paragraph("Times are UTC.", kind="note")),
        Markup(f'<main>{state("bad", title, texts)}<p class="empty">Load the page again to look again.</p></main>'),
    )


def header(*parts: Markup) -> Markup:
    first, *others = parts
    return Markup(f"<header><div><h1>{TITLE}</h1>{first}</div>{''.join(others)}</header>")


def state(kind: str, title: str, texts: Iterable[str]) -> Markup:
    """How things are: `kind` is good, warn or bad."""
    return Markup(f'<div class="state {kind}" role="status">{paragraph(title)}{"".join(map(paragraph, texts))}</div>')


def section(title: str, *parts: Markup) -> Markup:
    return Markup(f"<section>\n<h2>{escape(title)}</h2>\n{chr(10).join(parts)}\n</section>")


def card(title: str, *parts: Markup) -> Markup:
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return Markup(f'<div class="card">{heading}{"".join(parts)}</div>')


def side_by_side(cards: Iterable[Markup]) -> Markup:
    return Markup(f'<div class="pair">{"".join(cards)}</div>')


def tile(name: str, value: str, note: str, *parts: Markup, alarm: bool = False) -> Markup:
    kind = "tile alarm" if alarm else "tile"
    return Markup(
        f'<div class="{kind}"><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(note)}</span>'
        f"{''.join(parts)}</div>"
    )


def tiles(parts: Iterable[Markup]) -> Markup:
    return Markup(f'<div class="tiles">{"".join(parts)}</div>')


def paragraph(text: str, kind: str = "") -> Markup:
    """Words in back quotes are commands."""
    opening = f'<p class="{kind}">' if kind else "<p>"
    marked_up = re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
    return Markup(f"{opening}{marked_up}</p>")


def rows(headings: Sequence[str], content: Sequence[Sequence[object]], *, numbers: Iterable[int] = ()) -> Markup:
    """A table that scrolls by itself where the screen is narrow."""
    return Markup(f'<div class="scroll">{table(headings, content, numbers=numbers)}</div>')


def empty(text: str) -> Markup:
    return paragraph(text, kind="empty")


def marked(text: str, kind: str) -> Markup:
    return Markup(f'<span class="{kind}">{escape(text)}</span>')


def select(name: str, label: str, options: Iterable[tuple[str, str]], chosen: str) -> Markup:
    made = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options
    )
    return Markup(f'<label>{escape(label)}<select name="{name}">{made}</select></label>')


def form(*fields: Markup) -> Markup:
    return Markup(f'<form method="get" action="/">{"".join(fields)}<button>Show</button></form>')


def date_field(name: str, label: str, value: str) -> Markup:
    return Markup(f'<label>{escape(label)}<input type="date" name="{name}" value="{escape(value)}"></label>')


def footer(text: str) -> Markup:
    return Markup(f"<footer>{escape(text)}</footer>")
