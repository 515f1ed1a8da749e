"""What runs by the clock or by hand: `abandoned_bets` sends commands into a journal of its own; `restore_events` puts
back what was decided once, and so decides nothing and needs none.
"""
