"""The mark `unit` can be believed: it is set by what a test uses, and whoever starts a server all the same fails."""

import subprocess
import sys
import threading

import pytest

from tests.support.unit import SERVERS, server_of, without_servers


def test_it_is_set_by_what_a_test_uses(request: pytest.FixtureRequest) -> None:
    """For all tests of this run: with a fixture of servers somewhere below them they have it not, else they have it."""
    for item in request.session.items:
        uses = not SERVERS.isdisjoint(getattr(item, "fixturenames", ()))
        assert uses is (item.get_closest_marker("unit") is None), item.nodeid


@pytest.mark.parametrize(
    ("command", "server"),
    [
        (["/opt/pg/bin/postgres", "-D", "data"], "postgres"),
        ([sys.executable, "-I", "launch.py", "9", "-", "4711", "/opt/jdk/bin/java", "kafka.Kafka"], "java"),
        ([sys.executable, "-m", "cli", "demo"], "cli demo"),
        ([".venv/bin/wagerledger", "up"], "wagerledger up"),
        ("initdb", "initdb"),
        ([sys.executable, "-m", "cli", "wallet", "show"], None),
        ([sys.executable, "-c", "print('java')"], None),
    ],
)
def test_a_server_is_known_by_its_command_line(command: list[str] | str, server: str | None) -> None:
    """Whoever launches it, and also where a command of ours would start it."""
    assert server_of(command) == server


def test_whoever_starts_a_server_fails() -> None:
    """With a message that says what to use instead; other programs start, and afterwards all do."""
    with without_servers():
        with pytest.raises(pytest.fail.Exception, match="starts postgres: let it use the fixture `servers`"):
            subprocess.run(["postgres", "--version"], check=False)
        assert subprocess.run([sys.executable, "-c", ""], check=False).returncode == 0
    with pytest.raises(FileNotFoundError):
        subprocess.run(["/nowhere/at/all/wagerledger", "status"], check=False)


def test_a_thread_fails_as_well() -> None:
    """A stack starts its servers in threads."""
    heard = []

    def start() -> None:
        try:
            subprocess.run(["java"], check=False)
        except pytest.fail.Exception as failure:
            heard.append(str(failure))

    with without_servers():
        (thread := threading.Thread(target=start, daemon=True)).start()
        thread.join()
    assert "starts java" in heard[0]
