"""Evidence: the log as one ordered sequence of entries, and what is made from it: anchors and archives.

One noun per file: `log` (reading entries in the order in which they are sealed; what an entry is says
`ledger/entry.py`), `merkle` (the tree over them), `keys` (that sign what goes outside), `heads` (signed tree heads),
`anchors` (sealing), `proof` (of one entry), `archive` (segments outside the database).
"""
