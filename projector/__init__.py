"""The projector folds `ledger.events` and `ledger.refusals` into read models in a PostgreSQL instance of their own.

One noun per file: `consumer` (the loop), `records` (what a record is), `folding` (one batch, one transaction), `gate`
(each stream in its order, without holes), `checkpoint` (offsets in the read models' own transaction), `bookkeeping`
(the tables of these), `projections` (one file per read model), `models` (which of them the database has), `database`
(the connection). Mending: `dead_letters` and `replay` (what could not be folded), `rebuild`, `comparison` and `archive`
(everything anew, beside the live models).
"""
