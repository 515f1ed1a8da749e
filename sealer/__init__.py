"""Seals the log: a Merkle tree over all entries, and at an interval a signed head of it, published to the outside.

It reads behind the horizon of running transactions, as the relay does, so the write path takes no further lock.
"""
