"""Random tests that can be run again: the seed comes from the environment, or is new and printed with the failure."""

import os
import random

VARIABLE = "WAGERLEDGER_TEST_SEED"


def seeded_random() -> random.Random:
    """A generator whose seed pytest shows when the test fails; WAGERLEDGER_TEST_SEED repeats a run."""
    seed = int(os.environ.get(VARIABLE) or random.SystemRandom().randrange(2**32))
    print(f"repeat with {VARIABLE}={seed}")
    return random.Random(seed)
