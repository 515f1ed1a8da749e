"""What carries the dialects: their routes, their view of the ledger, the reads that they may ask for."""
