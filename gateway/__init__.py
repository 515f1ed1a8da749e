"""The gateway: signed HTTP callbacks in, commands to the ledger, exact answers out. No business rule lives here."""
