"""Pages that stand alone: one file, no script, nothing from elsewhere. Every text is escaped."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; color: #1c2127; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { border-bottom: 1px solid #d5dade; padding: .25rem .5rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; } th { background: #f2f4f6; } .number { text-align: right; white-space: nowrap; }
.ok { color: #12703a; font-weight: 600; } .bad { color: #b3261e; font-weight: 600; } .note { color: #57606a; }
code { font: 12px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) {
    body { background: #16191d; color: #e3e6e8; } th { background: #23282e; } th, td { border-color: #39414a; }
    .ok { color: #5fce8d; } .bad { color: #ff8a80; } .note { color: #9aa4ae; }
}
"""
# What a page may load: its own style. Even where an escape were forgotten, no script would run.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def page(title: str, *parts: str, style: str = "") -> str:
    """A whole HTML document with a title; `style` is added to that of all pages."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    body = "\n".join(part if isinstance(part, Markup) else f"<p>{escape(part)}</p>" for part in parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}{style}</style>\n<h1>{escape(title)}</h1>\n{body}\n"
        f'<p class="note">Made {made} by Wagerledger. Times are UTC.</p>\n</html>\n'
    )


def heading(text: str) -> Markup:
    return Markup(f"<h2>{escape(text)}</h2>")


def verdict(text: str, *, ok: bool) -> Markup:
    return Markup(f'<p class="{"ok" if ok else "bad"}">{escape(text)}</p>')


def notes(texts: Iterable[str]) -> Markup:
    return Markup("".join(f'<p class="note">{escape(text)}</p>' for text in texts))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[int] = ()) -> Markup:
    """Cells are texts; the columns in `numbers` stand right."""
    right = set(numbers)

    def cells(tag: str, row: Sequence[object]) -> str:
        return "".join(
            f"<{tag}{' class=number' if place in right else ''}>{_cell(cell)}</{tag}>" for place, cell in enumerate(row)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return Markup(f"<table>\n<tr>{cells('th', headings)}</tr>\n{body}\n</table>")


def _cell(cell: object) -> str:
    return cell if isinstance(cell, Markup) else escape("" if cell is None else str(cell))
