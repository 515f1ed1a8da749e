"""Publishes every committed event exactly once, in stream order, to `ledger.events` and to its type topic.

The event log is the outbox: it is read behind the horizon of running transactions and never changed. How far the relay
has come stands in a compacted topic, written in the same Kafka transaction as the events.
"""
