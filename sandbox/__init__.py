"""The embedded stack: real PostgreSQL, Kafka and schema registry on loopback, without Docker, Java or root.

One noun per file: `artifacts` (what is downloaded, pinned by `artifacts.lock`), `process` (one child process),
`launch` (what happens between fork and exec), `postgres`, `kafka`, `registry` (one server each), `stack` (all of them).
"""
