"""One gateway with every dialect mounted, shared by all tests of dialects."""

from collections.abc import Iterator, Mapping
from copy import copy
from importlib import import_module

import pytest
from pydantic import SecretStr

from gateway.dialect.dialect import Dialect
from ledger.admin.secrets import new_secrets_key
from runtime.settings import Settings
from sandbox.drivers import driver_of
from tests.gateway.providers.calls import Calls
from tests.gateway.providers.checks import Tables
from tests.support.house import FINE, House, Table
from tests.support.pages import ROOT
from tests.support.servers import Servers, fresh_database

PROVIDERS = ROOT / "gateway" / "providers"
FOLDERS = tuple(sorted(path.parent.name for path in PROVIDERS.glob("*/__init__.py")))
"""Of the dialects, as they are on disk: what has no driver or test is found missing."""
TENANTS = "home", "other", FINE
TWINS = "twin", "twin_brand"


def settings_of(database_url: str) -> Settings:
    return Settings(database_url=SecretStr(database_url), secrets_key=SecretStr(new_secrets_key()))


def dialects_that_load() -> tuple[dict[str, Dialect], dict[str, str]]:
    """By name; and what is wrong with the others, so that a broken folder fails its own tests and nobody else's."""
    good, broken = {}, {}
    for name in FOLDERS:
        try:
            good[name] = import_module(f"gateway.providers.{name}").DIALECT
            driver_of(name)
        except Exception as error:  # noqa: BLE001  # told by the tests of that dialect
            broken[name] = repr(error)
    return good, broken


def mounted_everywhere(house: House, base: str, name: str) -> dict[str, Table]:
    """For all tenants, and for the first of them in another region, with keys of their own; but the twins are two brands
    that were given one key.
    """
    known_as = {"name": name, "dialect": name}
    tables = {tenant: house.mount(driver_of(base, f"{tenant} {name}"), tenant, **known_as) for tenant in TENANTS}
    abroad = house.mount(driver_of(base, f"abroad {name}"), "home", region="US", **known_as)
    key = driver_of(base, f"twin {name}")
    return tables | {"abroad": abroad} | {tenant: house.mount(copy(key), tenant, **known_as) for tenant in TWINS}


def laid(
    house: House, dialects: Mapping[str, Dialect], mounted: Mapping[str, Mapping[str, Table]], calls: Calls
) -> dict[str, Tables]:
    """What the checks play with, once the house is open."""
    return {
        name: Tables(**tables, dialect=dialects[name], integration=house.integration(tables["home"]), calls=calls)
        for name, tables in mounted.items()
    }


@pytest.fixture(scope="session")
def house_of_all(servers: Servers, ledger_template: str) -> Iterator[tuple[dict[str, Tables], dict[str, str]]]:
    """Every dialect is mounted for several tenants and for one of them in another region; the EUR of `fine` has four decimals."""
    (found, broken), calls = dialects_that_load(), Calls()
    dialects = {name: calls.watched(dialect) for name, dialect in found.items()}
    with fresh_database(servers.database_url, template=ledger_template) as url:
        house = House(settings_of(url), dialects)
        mounted = {name: mounted_everywhere(house, name, name) for name in dialects if name not in broken}
        with house:
            yield laid(house, dialects, mounted, calls), broken


@pytest.fixture
def all_tables(house_of_all: tuple[dict[str, Tables], dict[str, str]]) -> Iterator[dict[str, Tables]]:
    """By dialect."""
    found, _ = house_of_all
    with next(iter(found.values())).home.house.recorded():
        yield found


@pytest.fixture
def tables(request: pytest.FixtureRequest, house_of_all: tuple[dict[str, Tables], dict[str, str]]) -> Iterator[Tables]:
    """Of the dialect that the test is parametrised with, or whose folder the test is in. A test that fails shows the
    gateway's log.
    """
    name = getattr(request, "param", None) or request.path.parent.name
    found, broken = house_of_all
    assert name not in broken, f"gateway/providers/{name} with sandbox/drivers/{name}.py cannot be used: {broken[name]}"
    house = found[name].home.house
    start = house.log.tell()
    with house.recorded():
        yield found[name]
    print(house.log.getvalue()[start:][-6000:])
