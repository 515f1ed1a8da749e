"""The ledger: one library that every process shares."""
