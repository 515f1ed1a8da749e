"""What every process needs and what is not about money.

One noun per file: `settings`, `telemetry` (logs and metrics), `service` (going on until stopped), `progress` (of long
work), `topics_reader` (topics to their end), `arrays` (columns for PostgreSQL), `clock`, `identifiers`, `residency`
(which regions may be held here), `html` (pages in one file).
"""
