"""Who calls: keys, addresses, rates."""
