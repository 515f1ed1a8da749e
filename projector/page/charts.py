"""Charts as SVG inside the page. Colours and sizes come from its style sheet; every number can be read as text too."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from html import escape

from projector.page.labels import compact, decimal
from runtime.html import Markup

WIDTH, HEIGHT = 480, 176
LEFT, RIGHT, TOP, BOTTOM = 52, 4, 10, 24
STEPS = (1, 2, Decimal("2.5"), 5, 10)


def day_bars(title: str, days: Sequence[date], amounts: Sequence[Decimal], unit: str) -> Markup:
    """A bar for each day, below the line where it is negative."""
    ticks = _ticks(min(amounts, default=Decimal(0)), max(amounts, default=Decimal(0)))
    low, high = ticks[0], ticks[-1]

    def y(amount: Decimal) -> Decimal:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - amount) / (high - low)

    parts = []
    for tick in ticks:
        kind = "axis" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y(tick) + 4:.1f}">{compact(tick)}</text>')
    pitch = Decimal(WIDTH - LEFT - RIGHT) / max(1, len(days))
    for place, (day, amount) in enumerate(zip(days, amounts, strict=True)):
        x, top = LEFT + pitch * place, min(y(amount), y(Decimal(0)))
        height = abs(y(amount) - y(Decimal(0)))
        kind = "bar minus" if amount < 0 else "bar"
        text = f"{day:%a %d %b %Y}: {decimal(amount)} {unit}"
        parts.append(
            f'<g><title>{escape(text)}</title><rect class="reach" x="{x:.1f}" y="{TOP}" width="{pitch:.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"/><rect class="{kind}" x="{x + pitch / 10:.1f}" y="{top:.1f}" '
            f'width="{pitch * 8 / 10:.1f}" height="{height:.1f}"/></g>'
        )
    parts += [_day_label(days, place, pitch) for place in _labelled(len(days))]
    return _svg(title, WIDTH, HEIGHT, parts)


def _labelled(days: int) -> list[int]:
    """Which days are named: about six, evenly spread, the last one among them."""
    pace = max(1, -(-days // 6))
    return list(range(days - 1, -1, -pace))


def _day_label(days: Sequence[date], place: int, pitch: Decimal) -> str:
    middle = LEFT + pitch * place + pitch / 2
    return f'<text class="middle" x="{middle:.1f}" y="{HEIGHT - 6}">{days[place]:%-d %b}</text>'


def _ticks(low: Decimal, high: Decimal) -> list[Decimal]:
    """Three to six round numbers around all amounts and zero."""
    low, high = min(low, Decimal(0)), max(high, Decimal(0))
    if low == high:
        return [Decimal(0), Decimal(1)]
    wanted = (high - low) / 4
    magnitude = Decimal(10) ** wanted.adjusted()
    step = next(magnitude * factor for factor in STEPS if magnitude * factor >= wanted)
    first, last = low // step, high // step
    first, last = first - (first * step > low), last + (last * step < high)
    return [step * n for n in range(int(first), int(last) + 1)]


def bar(share: Decimal, *, minus: bool = False) -> Markup:
    """A bar within a table's cell, of 0 to 1 of its width."""
    kind = "bar minus" if minus else "bar"
    width = max(Decimal(0), min(Decimal(1), share)) * 100
    return Markup(
        f'<svg class="cell" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{kind}" width="{width:.1f}" height="10"/></svg>'
    )


def shares(title: str, counts: Sequence[int]) -> Markup:
    """One bar, divided; the first part in the strongest colour of class `share0`."""
    whole, x, parts = max(1, sum(counts)), Decimal(0), []
    for place, count in enumerate(counts):
        width = Decimal(100 * count) / whole
        parts.append(f'<rect class="share{place}" x="{x:.2f}" width="{width:.2f}" height="10"/>')
        x += width
    return Markup(
        f'<svg class="shares" viewBox="0 0 100 10" preserveAspectRatio="none" role="img"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )


def line(title: str, values: Sequence[float]) -> Markup:
    """A small line without axes, from zero up to its greatest value."""
    if len(values) < 2:
        return Markup()
    greatest = max(values) or 1
    points = [f"{120 * n / (len(values) - 1):.1f},{26 - 24 * value / greatest:.1f}" for n, value in enumerate(values)]
    area = f'<polygon class="area" points="0,27 {" ".join(points)} 120,27"/>'
    return Markup(
        f'<svg class="line" viewBox="0 0 120 28" preserveAspectRatio="none" role="img"><title>{escape(title)}</title>'
        f'{area}<polyline points="{" ".join(points)}"/></svg>'
    )


def _svg(title: str, width: int, height: int, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">\n'
        f"{chr(10).join(parts)}\n</svg>"
    )
