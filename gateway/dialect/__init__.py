"""All that the author of a provider's protocol sees."""
