"""Does the suite always say the same? Run it again and again beside busy neighbours, and count what fails how often.

Each run takes the next Python of this machine and the next number of workers, and its files in another order. What is
green leaves nothing; of a run that is not, its output, the order of its tests and the logs of its servers stay.

Usage: python -m tests.soak RUNS [-- arguments for pytest]     (`make soak RUNS=3 ARGS=tests/ledger/core`)
"""

import argparse
import contextlib
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree as ET

from sandbox.servers.artifacts import cache_folder
from sandbox.servers.process import spawn
from tests.support import seeds, traces

ROOT = Path(__file__).parents[1]
OLDEST = 3, 11
WORKERS = 1, 2, 3
RUN_LIMIT_S = 4 * 60 * 60
END_LIMIT_S = 120
ASK_VERSION = "import sys, venv, ensurepip; print(*sys.version_info[:3])"

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Run:
    number: int
    python: Version
    workers: int
    seed: int

    def __str__(self) -> str:
        python = ".".join(map(str, self.python))
        return f"run {self.number}: Python {python}, {self.workers} workers, {seeds.VARIABLE}={self.seed}"


def plan(count: int, pythons: Sequence[Version], seed: int) -> list[Run]:
    """Every Python meets every number of workers, if there are runs enough."""
    rng = random.Random(seed)
    rounds = [divmod(number, len(pythons)) for number in range(count)]
    return [
        Run(number, pythons[python], WORKERS[(turn + python) % len(WORKERS)], rng.randrange(2**32))
        for number, (turn, python) in enumerate(rounds, 1)
    ]


def failed_in(junit_xml: str) -> list[str]:
    """The ids of the tests that failed, or whose set-up or tear-down did, each once."""
    cases = ET.fromstring(junit_xml).iter("testcase")
    return sorted({id_of(case) for case in cases if any(case.find(end) is not None for end in ("failure", "error"))})


def id_of(case: ET.Element) -> str:
    """As pytest takes it. What failed while it was collected has no class, its name is the file's."""
    file, name = case.get("classname"), case.get("name", "")
    return f"{file.replace('.', '/')}.py::{name}" if file else f"{name.replace('.', '/')}.py"


def what_failed(code: int, junit: Path) -> list[str]:
    """What a run is remembered for; nothing when all was green. A run that broke off is no green one."""
    failed = failed_in(junit.read_text()) if junit.exists() else []
    return failed or ([f"(the run itself, which ended with {code})"] if code else [])


def summary(failures: Mapping[Run, Sequence[str]], runs: int) -> list[str]:
    """Which test failed how often, the most frequent first."""
    failed_at = defaultdict[str, list[int]](list)
    for run, tests in failures.items():
        for test in tests:
            failed_at[test].append(run.number)
    lines = [f"{len(failures)} of {runs} runs failed"]
    for test, numbers in sorted(failed_at.items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append(f"  {len(numbers)} of {runs} (run {', '.join(map(str, numbers))}): {test}")
    return lines


def pythons_here() -> dict[Version, Path]:
    """The newest of each Python 3.x here that can make environments; of that of `.venv` the very one."""
    names = [shutil.which(f"python3.{minor}") for minor in range(OLDEST[1], 30)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found: dict[tuple[int, ...], tuple[Version, Path]] = {}
    for path in (*filter(None, names), *pyenv.glob("versions/*/bin/python3")):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run([path, "-c", ASK_VERSION], capture_output=True, text=True, timeout=30, check=True)
            major, minor, micro = map(int, told.stdout.split())
            if (major, minor) >= OLDEST:
                version = major, minor, micro
                found[version[:2]] = max(found.get(version[:2], (version, Path(path))), (version, Path(path)))
    found[sys.version_info[:2]] = sys.version_info[:3], Path(sys.executable)
    return dict(sorted(found.values()))


def environment_of(python: Path) -> Path:
    """The interpreter of an environment with everything that is pinned, made once, outside of the checkout."""
    if python == Path(sys.executable):
        return python
    folder = cache_folder() / "soak" / sha256(f"{ROOT} {python.resolve()}".encode()).hexdigest()[:16]
    content = [ROOT / name for name in ("requirements/dev.txt", "requirements/install.py", "pyproject.toml")]
    complete = folder / f"made-of-{sha256(b''.join(path.read_bytes() for path in content)).hexdigest()[:16]}"
    if not complete.exists():
        subprocess.run([python, ROOT / "requirements" / "install.py", folder], check=True, timeout=RUN_LIMIT_S)
        complete.touch()
    return folder / "bin" / "python"


@contextlib.contextmanager
def busy_neighbours() -> Iterator[None]:
    """A process for each core that does nothing but keep it; they end with us, whatever ends us."""
    with contextlib.ExitStack() as started:
        for _ in os.sched_getaffinity(0):
            neighbour = spawn(
                [sys.executable, "-c", "while True: pass"], cwd=ROOT, environment={}, output=subprocess.DEVNULL
            )
            started.callback(neighbour.wait, END_LIMIT_S)
            started.callback(neighbour.kill)
        yield


def run_once(run: Run, python: Path, arguments: Sequence[str], folder: Path) -> list[str]:
    """Run pytest, all it says in `output.txt`; what failed."""
    folder.mkdir(mode=0o700)
    junit = folder / "results.xml"
    options = ["-n", str(run.workers), "--shuffle-files", f"--junitxml={junit}", "-p", "no:cacheprovider"]
    environment = os.environ | {seeds.VARIABLE: str(run.seed), traces.VARIABLE: str(folder)}
    with (
        (folder / "output.txt").open("w") as output,
        subprocess.Popen(
            [python, "-m", "pytest", *options, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=output
        ) as tests,
    ):
        try:
            code = tests.wait(RUN_LIMIT_S)
        except subprocess.TimeoutExpired:
            code = -signal.SIGTERM
        finally:
            end(tests)
    return what_failed(code, junit)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def soak(runs: Sequence[Run], pythons: Mapping[Version, Path], arguments: Sequence[str], folder: Path) -> int:
    """0 when all was green, else 1."""
    failures: dict[Run, list[str]] = {}
    for run in runs:
        print(f"{run} …", flush=True)
        begun, home = time.monotonic(), folder / f"run-{run.number}"
        failed = run_once(run, pythons[run.python], arguments, home)
        said = (home / "output.txt").read_text(errors="replace").strip().rpartition("\n")[2].strip("= ")
        print(f"  {'failed' if failed else 'green'} after {time.monotonic() - begun:.0f} s: {said}", flush=True)
        if failed:
            failures[run] = failed
            again = ["-n", str(run.workers), "--shuffle-files", *arguments]
            print(f"  again: {seeds.VARIABLE}={run.seed} {pythons[run.python]} -m pytest {shlex.join(again)}")
            print(f"  output, order of tests and servers' logs: {home}", flush=True)
        else:
            shutil.rmtree(home)
    print(*summary(failures, len(runs)), sep="\n")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=int)
    parser.add_argument("arguments", nargs="*", help="for pytest, after --")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = int(os.environ.get(seeds.VARIABLE) or random.SystemRandom().randrange(2**32))
    folder = Path(tempfile.mkdtemp(prefix="wagerledger-soak-"))
    try:
        here = pythons_here()
        runs = plan(asked.runs, list(here), seed)
        pythons = {version: environment_of(here[version]) for version in sorted({run.python for run in runs})}
        print(f"{asked.runs} runs from {seeds.VARIABLE}={seed}; what fails leaves its traces in {folder}", flush=True)
        with busy_neighbours():
            return soak(runs, pythons, asked.arguments, folder)
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


if __name__ == "__main__":
    sys.exit(main())
