"""The ledger: one library that every process shares."""

__version__ = "0.1.0"
