"""The pages for providers say what their dialects do: options, policies, answers, and signatures that come out as printed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from math import inf
from pathlib import Path

import pytest

from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import Trace
from gateway.dialect.integration import Integration, SigningKey
from gateway.host.dialects import OPTIONS, load
from ledger.admin import policies
from ledger.admin.integrations import CANONICAL, POLICY_PREFIX
from ledger.core.money import MAX_AMOUNT_MINOR
from ledger.core.policy import Policy
from sandbox.drivers import driver_of
from sandbox.drivers.driver import Answer, Seat
from schemas.errors import ERRORS
from tests.support.pages import ROOT, blocks

FOLDER = ROOT / "docs" / "providers"
DIALECTS = sorted(set(load()) - {CANONICAL})

each_dialect = pytest.mark.parametrize("name", DIALECTS)


def page_of(name: str) -> Path:
    return FOLDER / f"{name}.md"


def test_every_dialect_has_its_page() -> None:
    """And every page its dialect."""
    assert sorted(path.stem for path in FOLDER.glob("*.md") if path.name != "README.md") == DIALECTS


@each_dialect
def test_the_greatest_amount_is_told(name: str) -> None:
    """In the wallet's smallest units, and as two currencies have them."""
    text = " ".join(page_of(name).read_text().split())
    told = f"10^15 of the wallet's smallest units: {MAX_AMOUNT_MINOR // 10**2:,}.00 EUR, or {MAX_AMOUNT_MINOR // 10**9:,} ETH"
    assert MAX_AMOUNT_MINOR == 10**15
    assert told in text


@each_dialect
def test_options_are_those_of_the_dialect(name: str) -> None:
    """The page names all its own options, and none that does not exist."""
    dialect, text = load()[name], page_of(name).read_text()
    known = {**OPTIONS, **dialect.options}
    named = set(re.findall(r"--option (?:'|\")?([\w.]+)=", text))
    named |= set(re.findall(r"^\| `([a-z_]+)` \|", section(text, "Options"), re.MULTILINE))
    assert {one for one in named if not one.startswith(POLICY_PREFIX)} <= set(known)
    assert {one for one in dialect.options if not re.search(rf"`{one}[`=]|--option {one}=", text)} == set()


@each_dialect
def test_policies_are_those_of_the_dialect(name: str) -> None:
    """The page tells every policy that differs from the general default, and each with its true value."""
    text = page_of(name).read_text()
    in_force = {key: str(value).lower() for key, value in asdict(load()[name].policy).items()}
    usual = {key: str(value).lower() for key, value in asdict(Policy()).items()}
    told = dict(re.findall(r"`([a-z_]+)=(\w+)`", section(text, "Policy")))
    assert {key: value for key, value in told.items() if key in policies.KINDS} == {
        key: in_force[key] for key in told if key in policies.KINDS
    }
    assert {key for key, value in in_force.items() if value != usual[key]} <= set(told)


@each_dialect
def test_answers_are_those_of_the_dialect(name: str) -> None:
    """Every status and code that a refusal can have stands on the page; and every code in the page's table is in the dialect."""
    text = section(page_of(name).read_text(), "Answers", "Statuses")
    ours = set(ERRORS) if "reference/errors.md" in text else set()
    for code, status, word in refusals(load()[name]):
        told = word in ours or re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
        assert told, f"{code} is told as {word}, of which the page says nothing"
        assert ours or re.search(rf"\b{status}\b", text), (
            f"{code} is told with HTTP {status}, of which the page says nothing"
        )
    source = "".join(path.read_text() for path in sorted((ROOT / "gateway" / "providers" / name).glob("*.py")))
    for listed in re.findall(r"^\|(?: \d{3} \|)+ `?([A-Za-z_\-]{4,}|\d+)`? \|", text, re.MULTILINE):
        assert listed in source, f"the page lists {listed}, which the dialect never says"


def refusals(dialect: Dialect) -> Iterator[tuple[str, int, str]]:
    """Each code of the catalogue with the status and word that the dialect has for it."""
    driver, seat = driver_of(dialect.name), Seat("p_1", "s_1")
    secret = driver.setup().secret
    keys = (SigningKey("k_1", secret.encode(), None, 0, inf),) if secret else ()
    integration = Integration(
        "b/EU/n", "b", "EU", "n", dialect.policy, enabled=True, keys=keys, dialect=dialect.name,
        options=dialect.default_options, key_kinds=dialect.keys,
    )  # fmt: skip
    asked = driver.signed(driver.balance(seat))
    headers = {key.lower().encode(): value.encode() for key, value in asked.headers.items()}
    call = Call(
        asked.method, asked.path, {}, asked.target("").encode(), asked.query.encode(), headers, asked.body, "127.0.0.1",
        Trace("0" * 32, None), integration,
    )  # fmt: skip
    for code, error in ERRORS.items():
        details: dict[str, object] = dict.fromkeys(re.findall(r"{(\w+)}", error.message), "1")
        reply = dialect.refuse(call, Rejected(code, **details))
        reading = driver.read(Answer(reply.status, {}, reply.body), seat)
        yield code, reply.status, reading.says.code


@each_dialect
def test_the_examples_come_out_as_printed(name: str, tmp_path: Path) -> None:
    """Every Python example, and every shell example of openssl, prints what stands beside it."""
    page = page_of(name)
    flat = " ".join(page.read_text().split())
    printed = 0
    for language, code in blocks(page, "python", "sh"):
        if language == "sh" and ("openssl" not in code or "curl" in code or shutil.which("openssl") is None):
            continue
        command = [sys.executable, "-"] if language == "python" else ["bash", "-euo", "pipefail", "-s"]
        done = subprocess.run(
            command,
            input=code,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            check=False,
            env={"PATH": os.environ["PATH"]},
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        for line in filter(None, map(str.strip, done.stdout.splitlines())):
            assert " ".join(line.split()) in flat, f"{line} is printed, and does not stand on the page"
            printed += 1
    traits = driver_of(name).traits
    assert printed or not (traits.signature_headers or traits.covers_body), "no example prints a signature"


def section(text: str, *titles: str) -> str:
    """What stands below a heading that begins with one of the titles."""
    found = re.findall(rf"^## (?:{'|'.join(titles)})\b.*?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return "\n".join(found)
