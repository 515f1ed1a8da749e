"""Ports of the loopback address, chosen so that no two of our processes on a machine choose the same."""

import os
import random
import socket
import weakref

LOOPBACK = "127.0.0.1"
# Below the ephemeral range of Linux, so that no outgoing connection takes a port between our choice and its use.
PORTS = range(18_000, 32_000)


class PortTakenError(Exception):
    """Somebody else has the port."""


class KeptPort:
    """A port that nobody else chooses as long as this object lives, whoever listens on it meanwhile, or nobody.

    A socket is bound to it that never listens. Beside such a one a server may listen, since every server says
    SO_REUSEADDR. So a stranger can still take the port, but only one who asks for this very number.
    """

    def __init__(self, number: int, *, shared: bool = False) -> None:
        """Of two who ask at the same time one gets it, unless it is `shared`: then others may keep it too, and servers
        listen on it together if they all say SO_REUSEPORT. Raises PortTakenError.
        """
        self.number = number
        keeper = socket.socket()
        try:
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
            keeper.bind((LOOPBACK, number))
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        except OSError as error:
            keeper.close()
            raise PortTakenError(f"port {number} on {LOOPBACK} is taken by another process") from error
        weakref.finalize(self, keeper.close)


def keep_ports(count: int) -> list[KeptPort]:
    """Some ports that nobody uses or keeps now. Raises PortTakenError."""
    kept: list[KeptPort] = []
    for number in random.sample(PORTS, len(PORTS)):
        if len(kept) == count:
            break
        try:
            kept.append(KeptPort(number))
        except PortTakenError:
            continue
    if len(kept) < count:
        raise PortTakenError(f"each port in {PORTS.start}-{PORTS.stop - 1} on {LOOPBACK} is taken by another process")
    return kept


def port_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def port_open(port: int) -> bool:
    """Tell whether somebody accepts connections on the port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def reach_loopback_directly() -> None:
    """A proxy that the environment names must not stand between this process and the servers here."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = list(filter(None, os.environ.get(name, "").split(",")))
        if LOOPBACK not in hosts:
            os.environ[name] = ",".join([*hosts, LOOPBACK])
