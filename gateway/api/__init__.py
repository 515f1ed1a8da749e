"""The canonical API: its endpoints, its description, its reference page."""
