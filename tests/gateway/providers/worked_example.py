"""The worked example of signing on a provider's page: it must run, and the dialect must accept what it prints."""

import subprocess
import sys

from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.incoming import Trace
from gateway.dialect.integration import Integration, SigningKey
from tests.support.pages import ROOT, blocks, code_spans


def signature_on_page(dialect: str) -> str:
    """What the page's Python prints: the same as its shell, and as the page says."""
    page = ROOT / "docs" / "providers" / f"{dialect}.md"
    shell = next(code for language, code in blocks(page, "sh") if "openssl" in code)
    ((_, python),) = blocks(page, "python")
    printed = [
        subprocess.run(command, input=code, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
        for command, code in ((["bash", "-euo", "pipefail"], shell), ([sys.executable, "-I", "-"], python))
    ]
    assert printed[0] == printed[1], printed
    assert printed[0] in code_spans(page), f"{page} does not say {printed[0]}"
    return printed[0]


def signed_call(
    dialect: Dialect, secret: str, headers: dict[str, str], body: bytes, *, at_s: float = 0, **options: str
) -> Call:
    """A call as the gateway would hand it over, at an integration with one secret."""
    key = SigningKey("kid", secret.encode(), None, 0, float("inf"))
    defaults = {name: option.default for name, option in dialect.options.items()}
    integration = Integration(
        "brand/EU/name", "brand", "EU", "name", dialect.policy, enabled=True, keys=(key,), dialect=dialect.name,
        options=defaults | options,
    )  # fmt: skip
    sent = {name.lower().encode(): value.encode("latin-1") for name, value in headers.items()}
    return Call(
        "POST", "", {}, b"/", b"", sent, body, "127.0.0.1", Trace("0" * 32, None), integration, int(at_s * 1_000_000)
    )
