"""A ledger to be measured beside another one: its own code, its own database, in a process of its own."""

import json
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple, Self

from bench.cpu import process_cpu_s, server_cpu_s
from patience.trouble import Trouble

CHECKOUT = Path(__file__).parent.parent
SERVE = """
import json, sys, tempfile
from pathlib import Path
sys.executable = sys.argv[3]
from bench.served_ledger import ServedLedger
with tempfile.TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder:
    with ServedLedger(Path(folder), int(sys.argv[1]), processes=int(sys.argv[2])) as ledger:
        print(json.dumps({
            "port": ledger.port, "kid": ledger.issued.kid, "secret": ledger.issued.secret, "sessions": ledger.sessions,
            "gateways": [gateway.pid for gateway in ledger.gateways],
            "postgres": ledger.postgres.pid, "data": str(ledger.postgres.data),
            "database_url": ledger.postgres.url,
        }), flush=True)
        sys.stdin.read()
"""
"""Run with the code that is measured: whatever changes between commits, changes behind it. Its gateways are started by
an interpreter that looks for code there first; the environment would not reach them.
"""
INTERPRETER = """#!/bin/sh
PYTHONPATH={checkout} exec {python} "$@"
"""


def unpacked(revision: str, folder: Path) -> Path:
    """The code of `revision` of the checkout that we run in. Raises Trouble where git has no such one."""
    try:
        made = subprocess.run(["git", "archive", revision], cwd=CHECKOUT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode().strip() or str(error)
        raise Trouble(f"there is no commit {revision} to measure beside: {said}; run it in a checkout") from error
    with tarfile.open(fileobj=BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class IssuedKey(NamedTuple):
    """The key of its provider."""

    kid: str
    secret: str


@dataclass
class Contestant:
    """A served ledger of the code in `checkout`, with our own interpreter and libraries. Use it in a `with` block."""

    name: str
    checkout: Path
    wallets: int
    gateways: int
    folder: Path
    """For what it needs meanwhile."""

    def __enter__(self) -> Self:
        interpreter = self.folder / f"python-{self.name.replace('/', '-')}"
        interpreter.write_text(INTERPRETER.format(checkout=quote(str(self.checkout)), python=quote(sys.executable)))
        interpreter.chmod(0o755)
        self._process = subprocess.Popen(
            [interpreter, "-c", SERVE, str(self.wallets), str(self.gateways), interpreter],
            cwd=self.checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} cannot be measured: its bench/served_ledger.py did not start")
        self._facts: dict[str, Any] = json.loads(line)
        self.port: int = self._facts["port"]
        self.issued = IssuedKey(self._facts["kid"], self._facts["secret"])
        self.sessions: list[str] = self._facts["sessions"]
        self.database_url: str = self._facts["database_url"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__(None, None, None)  # closes its input, at whose end it stops, and waits for that

    def gateway_cpu_s(self) -> float:
        return sum(map(process_cpu_s, self._facts["gateways"]))

    def postgres_cpu_s(self) -> float:
        return server_cpu_s(self._facts["postgres"], Path(self._facts["data"]))
