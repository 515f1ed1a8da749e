"""compose.yml and the image, as far as they can be checked without a Docker engine."""

import re

import yaml

from runtime.settings import PREFIX, Settings
from tests.docs.test_pages import COMMANDS
from tests.support.pages import PACKAGES, ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yml").read_text())
SERVICES = COMPOSE["services"]


def test_services_run_commands_that_exist() -> None:
    """Each of our services runs a command of `wagerledger`."""
    ours = [service for service in SERVICES.values() if service["image"].startswith("wagerledger")]
    assert len(ours) == 5
    for service in ours:
        text = " ".join(service["command"])
        commands = re.findall(r"-m cli ([a-z ]+[a-z])", text) or [text]
        assert set(commands) <= set(COMMANDS), commands


def test_services_set_variables_that_exist() -> None:
    """A mistyped variable would be ignored in silence."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for service in SERVICES.values():
        assert {name for name in service.get("environment", {}) if name.startswith(PREFIX)} <= known


def test_services_wait_for_services_that_exist() -> None:
    """And use volumes and files that exist."""
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), volume


def test_no_secret_stands_in_the_file() -> None:
    """Passwords and keys come from the environment, and are demanded."""
    text = (ROOT / "compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "WAGERLEDGER_SECRETS_KEY", "WAGERLEDGER_ANCHOR_KEY"):
        assert all(value.startswith(f"${{{name}:?") for value in re.findall(rf"^ +{name}: (.+)$", text, re.MULTILINE))


def test_the_image_has_every_package() -> None:
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(PACKAGES)
