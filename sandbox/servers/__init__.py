"""The embedded servers: PostgreSQL, Kafka and the schema registry, fetched, started, watched and stopped."""
