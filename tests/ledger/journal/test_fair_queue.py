"""The queue before a writer, alone: each owner's line moves as fast as any other's."""

from ledger.journal.fair_queue import FairQueue


def taken(queue: FairQueue[str]) -> str:
    return "".join(queue.popleft() for _ in range(len(queue)))


def test_owners_take_turns() -> None:
    """A crowd of one owner lets each of the others go ahead, and keeps its own order."""
    queue = FairQueue[str]()
    for owner, items in (("a", "ABCD"), ("b", "xy"), ("c", "1")):
        for item in items:
            queue.append(owner, item)
    assert (len(queue), queue.of("a"), queue.of("nobody")) == (7, 4, 0)
    assert taken(queue) == "Ax1ByCD"
    assert (len(queue), queue.of("a")) == (0, 0)


def test_who_comes_late_waits_for_one_of_each_at_most() -> None:
    """However many of the others wait already."""
    queue = FairQueue[str]()
    for item in "ABCDEFGH":
        queue.append("a", item)
    queue.popleft()
    queue.append("b", "x")
    assert taken(queue) == "BxCDEFGH"


def test_what_is_put_back_is_first_in_its_line() -> None:
    """It was taken once: nobody of the same owner overtakes it."""
    queue = FairQueue[str]()
    for item in "ABC":
        queue.append("a", item)
    queue.append("b", "x")
    first = queue.popleft()
    queue.put_back("a", first)
    assert taken(queue) == "xABC"
