"""The socket that the gateway listens on, and how many connections it may take from there."""

import resource
import socket

import structlog

from runtime.settings import Settings

log = structlog.get_logger("gateway")

BACKLOG = 4096
UNREAD_ANSWER_MS = 30_000
"""As long may a caller leave its answers unread: then the system ends the connection."""
OTHER_FILES = 128
"""What a gateway opens besides its callers' connections."""


def listen(settings: Settings) -> socket.socket:
    """Bound to the settings' host and port, and listening. Raises OSError."""
    listener = socket.create_server(
        (settings.gateway_host, settings.gateway_port),
        family=socket.AF_INET6 if ":" in settings.gateway_host else socket.AF_INET,
        backlog=BACKLOG,
        reuse_port=settings.gateway_reuse_port,
    )
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; what is accepted inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_ANSWER_MS)
    return listener


def connections_within(wanted: int) -> int:
    """As many connections as are wanted and the process may open files for: past that nothing works, not even the
    database. Raises the process's own limit where it may.
    """
    files = wanted + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= files:
        return wanted
    if hard == resource.RLIM_INFINITY or hard >= files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    allowed = max(hard - OTHER_FILES, 1)
    log.warning("fewer connections than set", wanted=wanted, allowed=allowed, file_limit=hard)
    return allowed
