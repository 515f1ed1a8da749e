"""The embedded servers: real PostgreSQL, Kafka and schema registry, fetched, started, watched and stopped.

One noun per file: `artifacts` (what is downloaded, pinned by `artifacts.lock`), `java` (what runs it), `process` (one
child process), `launch` (what happens between fork and exec), `ports` and `file_lock` (so that two of us do not meet),
`postgres`, `kafka`, `registry` (one server each), `stack` (all of them), `service` (our own processes beside them),
`kafka_reader` (a topic read as a stranger would).
"""
