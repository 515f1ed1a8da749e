"""The projector folds `ledger.events` into read models in a PostgreSQL instance of their own.

One noun per file: `consumer` (the loop), `gate` (each stream in its order, without holes), `checkpoint` (offsets in the
read models' own transaction), `deadletters` (what cannot be read), `projections` (one file per read model), `database`
(where they live).
"""
