"""Casinos: one for all tests that leave everything running, one of its own for a module that kills it all or sets it back."""

from collections.abc import Iterator

import pytest

from tests.crash.casino import Casino, open_casino
from tests.support.seeds import seeded_random


@pytest.fixture(scope="package")
def casino(own_servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Casino]:
    with open_casino(tmp_path_factory.mktemp("casino"), seeded_random()) as opened:
        yield opened


@pytest.fixture(scope="module")
def own_casino(own_servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Casino]:
    with open_casino(tmp_path_factory.mktemp("casino"), seeded_random()) as opened:
        yield opened
