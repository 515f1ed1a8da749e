"""The ledger's PostgreSQL: one file per table with all its SQL, and the migrations."""
