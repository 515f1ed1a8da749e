"""The same checks and a report for logs beyond one machine, as Spark jobs over topics or archive.

No other package imports this one, and it is no part of the installed product: see docs/how-to/run-on-spark.md.
"""
