"""The one way in which money moves: callbacks are gathered, locked, decided, recorded and committed."""
