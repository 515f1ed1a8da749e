"""What every process needs and what is not about money: settings, telemetry, regions, identifiers, reading topics."""
