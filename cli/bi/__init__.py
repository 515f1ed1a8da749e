"""The commands of `wagerledger bi`."""
