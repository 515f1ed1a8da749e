"""The web page of the read models: one request, one page of HTML. No script, nothing from elsewhere, no player's id."""
