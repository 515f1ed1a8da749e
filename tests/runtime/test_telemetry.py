"""Where log lines go, and when."""

import asyncio
import io
import subprocess
import sys
from contextlib import closing, suppress

from runtime.telemetry import _LoopTurn


class Stream(io.StringIO):
    """Counts its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)


def say(turn: _LoopTurn, line: str) -> None:
    turn.write(line)
    turn.flush()


async def test_lines_of_one_turn_are_one_write():
    """In their order, at the end of the turn; those of the next turn are the next write."""
    turn = _LoopTurn(stream := Stream())
    for number in range(3):
        say(turn, f"{number}\n")
    assert stream.writes == []
    await asyncio.sleep(0)
    assert stream.writes == ["0\n1\n2\n"]
    say(turn, "3\n")
    await asyncio.sleep(0)
    assert stream.writes[1:] == ["3\n"]


def test_without_a_loop_a_line_is_written_at_once():
    """A command waits for nothing."""
    turn = _LoopTurn(stream := Stream())
    say(turn, "a\n")
    assert stream.writes == ["a\n"]


def test_lines_of_a_loop_that_has_ended_go_with_those_of_the_next():
    """They are not lost, and the next one's do not wait for the end of the process."""
    turn = _LoopTurn(stream := Stream())

    async def last() -> None:
        say(turn, "a\n")
        raise SystemExit

    async def following() -> None:
        say(turn, "b\n")

    for main in (last, following):
        with closing(asyncio.new_event_loop()) as loop, suppress(SystemExit):
            loop.run_until_complete(main())
    assert stream.writes == ["a\nb\n"]


async def test_another_thread_s_line_is_written_at_once():
    """What waits for the end of the turn goes with it."""
    turn = _LoopTurn(stream := Stream())
    say(turn, "a\n")
    await asyncio.to_thread(say, turn, "b\n")
    assert "".join(stream.writes) == "a\nb\n"


ENDS = """
import asyncio, structlog
from runtime.settings import Settings
from runtime.telemetry import configure_logging
async def main():
    configure_logging(Settings(log_format="json"), "test")
    structlog.get_logger().info("the last")
    raise SystemExit(3)
asyncio.run(main())
"""


def test_the_last_lines_are_written_when_the_process_ends():
    """Also where the loop has no more turns."""
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    assert '"event":"the last"' in done.stdout
