"""The `wagerledger` command: one file per noun."""
