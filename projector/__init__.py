"""The projector folds `ledger.events` and `ledger.refusals` into read models in a PostgreSQL instance of their own.

One noun per file. Folding: `consumer` (the loop), `records` (what a record is), `folding` (one batch, one transaction),
`gate` (each stream in its order, without holes), `checkpoint` (offsets in the read models' own transaction),
`bookkeeping` (the tables of these), `tables` (how a fold writes and reads), `database` (the connection), `metrics`.

Read models: `projection` (what one is made of), `projections` (one file each), `models` (which of them the database
has). Reading them: `access` (who sees which rows), `grants` (who was given what), `lookups` (rows found by an index),
`reference` (their page of the documentation), `page` (their views as a web page).

Mending: `dead_letters` and `replay` (what could not be folded), `held_partitions` and `producers` (whose open
transaction holds a topic up), `rebuild`, `comparison` and `archive` (everything anew, beside the live models).
"""
