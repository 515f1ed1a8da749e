"""Settings that are wrong are named, and never quoted."""

import pytest

from runtime.settings import load_settings


@pytest.mark.parametrize("password", ["s3cr%zzet", "s3cr/et", "s3c@ret", "s3c ret"])
def test_a_password_that_makes_no_url_is_not_repeated(monkeypatch, password):
    """The drivers would quote it in their errors, and so in logs: it is refused before they see it."""
    monkeypatch.setenv("WAGERLEDGER_DATABASE_URL", f"postgresql://u:{password}@127.0.0.1:1/ledger")
    with pytest.raises(ValueError, match="is no PostgreSQL URL") as caught:
        load_settings()
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize("url", ["u:s3cret@registry:8081", "https://", "http://registry:8081,u:s3cret@registry"])
def test_what_is_no_registry_is_not_repeated(monkeypatch, url):
    """The client would quote it with its credentials, and not in our words."""
    monkeypatch.setenv("WAGERLEDGER_SCHEMA_REGISTRY_URL", url)
    with pytest.raises(ValueError, match="is no URL of a schema registry") as caught:
        load_settings()
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40ss@127.0.0.1:5432/ledger",
        "postgresql://u@[::1]/ledger?sslmode=require",
        "postgresql://u@a,b:5433/ledger?target_session_attrs=read-write",
    ],
)
def test_whole_urls_are_taken(monkeypatch, url):
    """With an encoded password, an IPv6 address, options, several hosts."""
    monkeypatch.setenv("WAGERLEDGER_DATABASE_URL", url)
    assert load_settings().database_url.get_secret_value() == url
