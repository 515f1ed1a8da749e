"""The rule book, one file per theme. A rule takes (state, command, policy) and knows no provider."""
