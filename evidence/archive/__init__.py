"""The archive: the sealed log in a folder of its own, readable without database, broker or registry.

`segment` (entries in Avro container files), `manifest` (what an export wrote, signed), `reader` (a folder as one
sequence of entries), `export` (from the database), `parquet` (the same events for BI tools), `restore` (into an empty
database), `detached` (months that are only in the archive).
"""
