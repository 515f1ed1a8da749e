"""How often somebody may do something: a token bucket each, in this process."""

from collections.abc import Hashable


class RateLimit:
    """Up to `per_s` in any second, in bursts of as many; 0 is no limit."""

    def __init__(self, per_s: int) -> None:
        self.per_s = per_s
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def allows(self, caller: Hashable, now: float) -> bool:
        """Take one token of `caller` at `now`, in seconds of a clock that never goes back."""
        if not self.per_s:
            return True
        tokens, since = self._buckets.get(caller, (float(self.per_s), now))
        tokens = min(float(self.per_s), tokens + (now - since) * self.per_s)
        allowed = tokens >= 1
        self._buckets[caller] = tokens - allowed, now
        return allowed
