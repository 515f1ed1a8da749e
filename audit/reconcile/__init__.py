"""Two books side by side: the ledger's, and somebody's who should have written the same.

One noun per file: `comparison` (matching items with bounded memory), `mapping` and `report` (a provider's own report),
`provider` (the ledger against it), `read_models` and `published` (the ledger against read models and topics), `revenue`
and `funds` (independent folds of the log), `page` (a comparison as HTML).
"""
