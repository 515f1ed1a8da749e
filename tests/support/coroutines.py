"""Tests that are coroutines (`async def`) run in an event loop of their own; one that hangs fails."""

import inspect

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the test if it is a coroutine, with the fixtures that it names."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    from tests.support.journals import run

    named = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    run(lambda: test(**named))
    return True
