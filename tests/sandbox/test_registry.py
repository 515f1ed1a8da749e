"""The embedded schema registry never forgets an id: ids stand in messages forever."""

import json

import pytest

from sandbox.servers.registry import Registry
from tests.support.strangers import Robbed, started


@pytest.fixture(scope="module")
def registry(own_servers, tmp_path_factory):
    """One whose management's port a stranger took in the last moment."""
    with started([server := RobbedRegistry(tmp_path_factory.mktemp("registry"))]):
        yield server


class RobbedRegistry(Robbed, Registry):
    coveted = (1,)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_ids_survive(registry, end):
    """After a stop and after a SIGKILL each id names the schema that it named, and new schemas get new ids."""
    registry.start()
    first = register(registry, f"first-{end}")
    second = register(registry, f"second-{end}")
    getattr(registry, end)()
    registry.start()
    assert json.loads(registry.call("GET", f"/schemas/ids/{second}")["schema"])["name"] == name(f"second-{end}")
    assert register(registry, f"first-{end}") == first
    assert register(registry, f"third-{end}") > second


def test_compatibility_is_full_transitive(registry):
    """No schema can be registered that an old reader or an old event does not fit."""
    registry.start()
    assert registry.call("GET", "/config") == {"compatibilityLevel": "FULL_TRANSITIVE"}
    register(registry, "strict")
    with pytest.raises(OSError, match="409"):
        register(registry, "strict", fields=[{"name": "without_default", "type": "long"}])


def register(registry, subject, fields=()):
    schema = json.dumps({"type": "record", "name": name(subject), "fields": list(fields)})
    return registry.call("POST", f"/subjects/{subject}/versions", {"schema": schema})["id"]


def name(subject):
    return subject.replace("-", "_")
