"""Which process runs the system on a folder, so that another one can stop it."""

import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.servers.process import StartError, process_identity
from sandbox.servers.stack import Stack

STOP_TIMEOUT_S = 120.0


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Within the block, `stop` finds this process."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    require_own(folder)
    path = folder / "up.json"
    if _owner(path) is not None:
        raise StartError(
            f"{folder} is in use by process {_owner(path)}; `wagerledger down --data-dir {folder}` stops it"
        )
    path.write_text(json.dumps({"pid": os.getpid(), "identity": process_identity(os.getpid())}), "utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def stop(folder: Path) -> bool:
    """Stop the process that runs the system on `folder`, or what it left running; gives whether there was anything.
    Raises StartError.
    """
    if folder.is_dir():
        require_own(folder)
    path = folder / "up.json"
    pid = _owner(path)
    if pid is None:
        return Stack(folder).clean() if folder.is_dir() else False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _owner(path) is not None:
        if time.monotonic() > deadline:
            raise StartError(f"process {pid} has not stopped within {STOP_TIMEOUT_S:.0f} s; see {folder / 'log'}")
        time.sleep(0.1)
    return True


def require_own(folder: Path) -> None:
    """Secrets are written there, and processes that it names are ended: nobody else may have laid out what is in it.
    Raises StartError.
    """
    remedy = "choose a folder that does not exist yet"
    us = os.geteuid()
    found = folder.stat()
    if found.st_uid != us:
        raise StartError(f"{folder} belongs to somebody else (uid {found.st_uid}): {remedy}")
    if found.st_mode & stat.S_IWOTH:
        raise StartError(f"anybody may write into {folder}: take that right away (chmod o-w), or {remedy}")
    for entry in folder.iterdir():
        about = entry.lstat()
        if stat.S_ISLNK(about.st_mode) or about.st_uid != us:
            raise StartError(f"{entry} is a link or belongs to somebody else (uid {about.st_uid}): {remedy}")


def _owner(path: Path) -> int | None:
    try:
        written = json.loads(path.read_bytes())
        pid, identity = int(written["pid"]), str(written["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if process_identity(pid) == identity else None
