"""The check that every test stands under can fail, and the cure it names works."""

import logging
import signal

import pytest
import structlog

from tests.support.process_state import demand_no_bound_loggers, demand_unchanged, logging_put_back, process_state

log = structlog.get_logger("tests")


def test_what_is_changed_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Logging, environment, folder and signals that are not as they were fail, by name; put back, they pass."""
    before = process_state()
    with logging_put_back(), monkeypatch.context() as patch:
        structlog.configure(cache_logger_on_first_use=True)
        logging.basicConfig(level=logging.CRITICAL, force=True)
        patch.setenv("WAGERLEDGER_KEY", "s3cret")
        patch.chdir(tmp_path)
        hangup = signal.signal(signal.SIGHUP, lambda *_: None)  # which `nohup` ignores
        with pytest.raises(AssertionError) as failure:
            demand_unchanged(before)
        signal.signal(signal.SIGHUP, hangup)
    for name in ("cache_logger_on_first_use", "level", "WAGERLEDGER_KEY", "working directory", "SIGHUP"):
        assert name in str(failure.value)
    assert "s3cret" not in str(failure.value)
    demand_unchanged(before)


def test_a_logger_that_is_bound_for_good_is_freed(capsys: pytest.CaptureFixture[str]) -> None:
    """One that was used while loggers are cached fails the check, and follows the configuration again afterwards."""
    with logging_put_back():
        structlog.configure(cache_logger_on_first_use=True, logger_factory=structlog.ReturnLoggerFactory())
        log.info("lost")
        with pytest.raises(AssertionError, match=__name__):
            demand_no_bound_loggers()
    demand_no_bound_loggers()
    log.info("heard")
    told = capsys.readouterr().out
    assert "heard" in told
    assert "lost" not in told
