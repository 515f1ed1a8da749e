"""The commands of `wagerledger audit`."""
