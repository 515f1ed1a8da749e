"""The rule book: pure functions over immutable values. No I/O, no clock, no randomness, no floats; standard library
only.
"""
