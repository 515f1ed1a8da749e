"""The ledger's PostgreSQL: one file per table with all its SQL, and the migrations.

What tables share: `entities` (which table each kind of entity lives in), `column_list` (a table's columns, written
once), `statement` (SQL with its parameters), `conversions` (a column of bets and settlements), `history` (a stream's
events, to look at), `migrate` (brings a database up to date).
"""
