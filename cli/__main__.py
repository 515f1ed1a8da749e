"""`python -m cli` is the `wagerledger` command."""

from cli.main import app

app(prog_name="wagerledger")
