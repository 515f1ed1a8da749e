"""Make an environment with the locked requirements and this project in it. Standard library only: it comes first.

Usage: python3 requirements/install.py [folder, by default .venv]
"""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
LOCK = ROOT / "requirements" / "dev.txt"


def main() -> None:
    if not usable():
        say(f"virtual environment with Python {sys.version.split()[0]}")
        venv.create(VENV, clear=True, with_pip=True)
    names = re.findall(r"^([A-Za-z0-9_.-]+(?:\[[^]]*\])?)==", LOCK.read_text("utf-8"), re.MULTILINE)
    say(f"{len(names)} pinned packages, each checked against its hash")
    pip("--require-hashes", "--only-binary", ":all:", "-r", str(LOCK), expected=len(names))
    # The build backend came with the lock, so nothing else is fetched here.
    pip("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    say(f"ready: {os.path.relpath(VENV)}/bin/wagerledger --help")


def usable() -> bool:
    """Tell whether the environment is there, works, and was made for this folder (its scripts carry absolute paths)."""
    config = VENV / "pyvenv.cfg"
    if not config.is_file() or not PYTHON.exists() or str(VENV) not in config.read_text("utf-8"):
        return False
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([PYTHON, "-c", check], check=False, capture_output=True).returncode == 0


def pip(*arguments: str, expected: int = 0) -> None:
    """Run `pip install`, showing one moving line on a terminal, and pip's own words when it fails."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments]
    output: list[str] = []
    seen = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                seen += 1
                name = line.removeprefix("Requirement already satisfied: ").removeprefix("Collecting ").split()[0]
                progress(f"{min(seen, expected)}/{expected} {name}")
            elif line.startswith("Installing collected"):
                progress("unpacking")
    progress("")
    if process.returncode != 0:
        sys.stderr.write("".join(output[-40:]))
        sys.exit(f"setup: pip failed with code {process.returncode}, see above; another `make setup` takes it up again")


def progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text and 'setup:   ' + text[:70]}")
        sys.stderr.flush()


def say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
