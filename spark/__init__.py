"""The audit's checks, and a report of revenue, for logs beyond one machine: Spark jobs over topics or archive.

No other package imports this one, and it is no part of the installed product: see docs/how-to/run-on-spark.md.
"""
