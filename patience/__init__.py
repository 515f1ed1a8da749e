"""Patience: what a second may cure, how often and how long it is tried, and what is said meanwhile.

Every one-shot command, every process and every fixture takes it from here. It knows nothing of ours.
"""

from patience.retry import IMPATIENT, Backoff, Patience
from patience.trouble import WAITED_FOR, TransientError, Trouble, is_transient

__all__ = ["IMPATIENT", "WAITED_FOR", "Backoff", "Patience", "TransientError", "Trouble", "is_transient"]
