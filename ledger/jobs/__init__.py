"""What runs by the clock or by hand, through a journal of its own."""
