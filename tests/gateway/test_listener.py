"""The socket that the gateway listens on, and how many connections it may take from there."""

import resource
import socket

import pytest

from gateway.listener import OTHER_FILES, UNREAD_ANSWER_MS, connections_within, listen
from runtime.settings import Settings


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such time")
def test_answers_that_nobody_reads_are_given_up() -> None:
    """Every connection has the system's time limit for what the other side does not take."""
    with listen(Settings(gateway_port=0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_ANSWER_MS


UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "connections", "raised"),
    [
        ((8000, 8000), 4096, None),
        ((UNLIMITED, UNLIMITED), 4096, None),
        ((1024, 524288), 4096, 4096 + OTHER_FILES),
        ((256, UNLIMITED), 4096, 4096 + OTHER_FILES),
        ((1024, 1024), 1024 - OTHER_FILES, 1024),
        ((1024, 2048), 2048 - OTHER_FILES, 2048),
        ((64, 64), 1, 64),
    ],
)
def test_there_is_a_file_for_each_connection(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], connections: int, raised: int | None
) -> None:
    """As many as the setting says, after the soft limit of open files was raised; fewer where the hard one forbids it."""
    now = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: now.append(pair))
    assert connections_within(4096) == connections
    assert now[1:] == ([] if raised is None else [(raised, limits[1])])
