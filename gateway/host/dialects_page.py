"""The list of all dialects. `python -m gateway.host.dialects_page` prints it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from gateway.dialect.dialect import Dialect
from gateway.dialect.option import Option
from gateway.host.dialects import OPTIONS, load
from ledger.admin import policies
from ledger.admin.integrations import CANONICAL
from ledger.core.policy import Policy

HEAD = """# Providers

Each game provider calls the wallet in its own protocol, at the base URL of its integration:

```sh
wagerledger integration add --name NAME --dialect DIALECT --brand BRAND --region REGION --json \\
    --actor WHO --reason WHY
```

The answer has the base URL, `/integrations/BRAND/REGION/NAME`, which is all that the provider is given besides its
key. A protocol whose contract fixes absolute paths is served there too, for the integration that the credentials name,
or for the one with the option `as_written=true`. Each dialect has a page for the provider's people: endpoints, signing
with a worked example, answers, and which facts are not from the provider's own material.

What holds in all of them ([decision 9](../decisions/0009-strict-json.md)): numbers count by their value, whatever their
spelling; what only informs (a game, a campaign, a time, a flag) is left out where it cannot be read; a bet that cannot
be read is refused, but a win, a refund or the end of a round is answered with the provider's word for *repeat*, and our
log says why. A bet in a game that is disabled, or that is not in the integration's catalogue where that has games, is
refused; one that names no game is not asked about it.

A session takes bets for `session_ttl_s` from its launch, and play keeps it alive
([decision 20](../decisions/0020-play-moves-a-session-s-end.md)): a bet that finds less than half of
`policy.session_idle_s` left moves the end to that long from then, at most `policy.session_overtime_s` beyond the first
end. So a pause shorter than half of the one does not end it, and none gets older than `session_ttl_s` and the other
together. What has expired or was ended stays so. Wins, refunds and round ends pass whatever has become of the session.

Another provider is one folder more: see [how to add one](../how-to/add-a-provider.md). The suite that all of them pass
is `tests/gateway/providers/test_conformance.py`.

Made from the dialects themselves by `python -m gateway.host.dialects_page`.
"""

OPTIONS_HEAD = """
## Options of every integration

Given with `--option name=value`, besides those of its dialect.
"""

POLICY_HEAD = """
## Policy

Where protocols differ in what they allow, they differ in these named values, which the ledger's rules read; no rule
asks for a provider's name. An integration may say otherwise than its dialect by `--option policy.<name>=<value>`.
"""


def page() -> str:
    """The text of docs/providers/README.md: every dialect with its facts."""
    dialects = [dialect for name, dialect in sorted(load().items()) if name != CANONICAL]
    lines = [
        HEAD,
        *_table(("dialect", "protocol", "keys", "absolute paths"), map(_row, dialects)),
        OPTIONS_HEAD,
        *_options(OPTIONS),
        "\n## Options of the dialects\n",
        *_table(("dialect", "option", "default", "what it says"), _own_options(dialects)),
        POLICY_HEAD,
        *_policies(dialects),
    ]
    return "\n".join(lines) + "\n"


def _row(dialect: Dialect) -> tuple[str, ...]:
    weak = "; weak: only with `ip_allow` or `client_certificate`" if dialect.weak else ""
    paths = sum(len(endpoint.as_written) for endpoint in dialect.endpoints)
    name = f"[`{dialect.name}`]({dialect.name}.md)"
    return name, dialect.title, " or ".join(dialect.keys) + weak, str(paths) if paths else ""


def _options(options: Mapping[str, Option]) -> list[str]:
    return _table(
        ("option", "default", "what it says"),
        ((f"`{name}`", _default(option), _help(option)) for name, option in options.items()),
    )


def _own_options(dialects: list[Dialect]) -> Iterator[tuple[str, ...]]:
    for dialect in dialects:
        for name, option in dialect.options.items():
            yield f"`{dialect.name}`", f"`{name}`", _default(option), _help(option)


def _default(option: Option) -> str:
    return "must be given" if option.required else option.default and f"`{option.default}`"


def _help(option: Option) -> str:
    choices = f" One of {', '.join(option.choices)}." if option.choices else ""
    return option.help.replace("|", "\\|").rstrip(".") + "." + choices


def _policies(dialects: list[Dialect]) -> list[str]:
    standard = asdict(Policy())
    rows = []
    for name, default in standard.items():
        others: dict[str, list[str]] = {}
        for dialect in dialects:
            value = asdict(dialect.policy)[name]
            if value != default:
                others.setdefault(_said(value), []).append(dialect.name)
        differing = "; ".join(f"`{value}`: {', '.join(names)}" for value, names in others.items())
        rows.append((f"`{name}`", policies.allowed(name), f"`{_said(default)}`", differing))
    return _table(("policy", "values", "default", "other defaults"), rows)


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [_line(head), _line(("---",) * len(head)), *map(_line, rows)]


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(), end="")
