"""A queue in which nobody waits behind another one's crowd."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """One line for each owner. The lines are served in turn, one item at a time; within a line who came first is first.
    Each step takes the same time, however many wait.
    """

    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[Item]] = {}
        """In the order of their turns; none is empty."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def of(self, owner: Hashable) -> int:
        """How many items of `owner` wait."""
        return len(self._lines.get(owner, ()))

    def append(self, owner: Hashable, item: Item) -> None:
        """Let `item` wait behind all others of `owner`."""
        self._line(owner).append(item)

    def put_back(self, owner: Hashable, item: Item) -> None:
        """Let `item`, which was taken before, wait ahead of all others of `owner`."""
        self._line(owner).appendleft(item)

    def popleft(self) -> Item:
        """Take the first of the line whose turn it is; its owner's next turn comes after all others' there are. The
        queue must not be empty.
        """
        owner, line = next(iter(self._lines.items()))
        item = line.popleft()
        del self._lines[owner]
        if line:
            self._lines[owner] = line
        self._length -= 1
        return item

    def _line(self, owner: Hashable) -> deque[Item]:
        self._length += 1
        line = self._lines.get(owner)
        if line is None:
            line = self._lines[owner] = deque()
        return line
