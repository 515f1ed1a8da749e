"""Open holds by age: a view over the read model of bets, made with it; it has no rows of its own."""

from projector.projections.views import (
    CURRENCY,
    EXPONENT,
    INTEGRATION,
    PROVIDER,
    REGION,
    TENANT,
    Column,
    amount,
    fenced,
    view,
)

AGES = {"1 minute": 0, "1 hour": 1, "1 day": 2, "7 days": 3}
"""Upper bounds of a hold's age, each with its number in their order."""
OLDER = "older"

AGE = "\n        ".join(
    ["case", *(f"when now() - authorized_at < interval '{age}' then '< {age}'" for age in AGES), f"else '{OLDER}' end"]
)
ORDER = "\n        ".join(
    ["case", *(f"when now() - authorized_at < interval '{age}' then {n}" for age, n in AGES.items()), "else 4 end"]
)

VIEW = view(
    "bi.open_holds",
    "Open bets of real money by age, counted from now: old ones are settlements or rollbacks that never came.",
    [
        TENANT, REGION, INTEGRATION, PROVIDER, CURRENCY, EXPONENT._replace(expression="max(exponent)"),
        Column("age", f"How long ago the bet was recorded: {', '.join(f'< {age}' for age in AGES)}, or {OLDER}.", AGE),
        Column("age_order", "To sort the ages by.", ORDER),
        Column("bets", "Open bets of that age.", "count(*)"),
        *amount(
            "stake", "Their stakes, cash and bonus part together; free bets count nothing.",
            "sum(stake_cash_minor + stake_bonus_minor)", "max(exponent)",
        ),
        *amount(
            "held", "What they hold of it; the rest the house has already.", "sum(held_minor)", "max(exponent)"
        ),
        Column("oldest_at", "When the oldest of them was recorded (timestamptz, UTC).", "min(authorized_at)"),
        Column(
            "as_of", "When the ledger recorded the last event of any of them (timestamptz, UTC).", "max(occurred_at)"
        ),
    ],
    f"""
from {fenced('bets', "status = 'open' and mode = 'real'")}
group by tenant_id, region, integration_id, provider_id, currency, age, age_order
""",
)  # fmt: skip
