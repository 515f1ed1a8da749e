import contextlib
import re
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from confluent_kafka import Producer
from prometheus_client import REGISTRY
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from evidence import keys
from evidence.heads import sign
from projector import grants
from projector.page import figures, http_protocol, labels, watch
from projector.page.figures import Choice, Figures
from projector.page.server import PageServer
from projector.page.view import page as page_of
from projector.page.view import state_of
from projector.page.watch import Seen, Watch, rates
from runtime.settings import Settings
from schemas import topics
from schemas.topics import Topics
from tests.projector.direct_fold import fold
from tests.support.commands import BY
from tests.support.random_ledger import decoded, random_ledger
from tests.support.seeds import seeded_random
from tests.support.servers import Servers, fresh_database, fresh_topic_prefix
from tests.support.waiting import until

HALF_AN_HOUR_US = 30 * 60 * 10**6
HIDDEN = "player-hidden-by-the-page"
KEY = keys.new_key()


@dataclass
class Served:
    """A page over the read models of one history."""

    server: PageServer
    settings: Settings
    database_url: str
    last: str
    """Last day of the history."""

    def get(self, query: str = "", *, method: str = "GET", host: str | None = None) -> tuple[int, str, Any]:
        return get(self.server.url + query, method=method, host=host)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement, parameters or None).fetchall()


def get(url: str, *, method: str = "GET", host: str | None = None) -> tuple[int, str, Any]:
    request = urllib.request.Request(url, method=method, headers={"Host": host} if host else {})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            return response.status, response.read().decode(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


@pytest.fixture(scope="module")
def served(servers: Servers) -> Iterator[Served]:
    rng = seeded_random()
    settings = Settings(
        kafka_bootstrap_servers=servers.kafka_bootstrap_servers,
        topic_prefix=fresh_topic_prefix(),
        anchor_public_keys=keys.to_text(KEY.public_key()),
    )
    topics.apply(settings.kafka_bootstrap_servers, Topics(settings.topic_prefix), partitions=2, replication=1)
    tell(settings)
    with fresh_database(servers.bi_database_url) as url:
        with fold(url, decoded(random_ledger(rng, 400, HALF_AN_HOUR_US).recorded), rng) as folded:
            keep_books(folded.connection)
        settings = settings.model_copy(update={"bi_database_url": SecretStr(url)})
        with PageServer(settings, 0) as server:
            with psycopg.connect(url) as connection:
                ((last,),) = connection.execute("select max(day)::text from bi.revenue_by_day").fetchall()
            yield Served(server, settings, url, last)


def keep_books(connection: psycopg.Connection) -> None:
    """As a projector that is up to date, with one stream parked."""
    connection.execute(
        "insert into projections.checkpoints select 'ledger.events', n, 1200 + n, 1, 1203 + n, now() - interval '2 s',"
        " now() - interval '2 s', now() - interval '1 s' from generate_series(0, 2) n"
    )
    connection.execute(
        "insert into projections.streams values ('brand-7', 'player', %s, 5, '', 'gap', now() - interval '3 min')",
        [HIDDEN],
    )


def tell(settings: Settings) -> None:
    """Two dead letters, and a tree head."""
    names = Topics(settings.topic_prefix)
    head = sign(KEY, log="wagerledger", generation=1, tree_size=48211, root=bytes(32), previous=None)
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for topic, value in ((names.dead_letters, b"1"), (names.dead_letters, b"2"), (names.anchors, head.line.encode())):
        producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0


def wait_for_the_watch(served: Served) -> str:
    until(lambda: served.server._page.watch.seen.kafka is None, "a watch that has seen Kafka")
    return served.get(f"?last={served.last}")[1]


def test_the_page_shows_what_the_views_say(served):
    """Revenue by day and provider, open bets and player funds are those of schema bi, in every currency."""
    status, page, _ = served.get(f"?last={served.last}&days=31")
    assert status == 200
    shown = unescape(page)
    sums = served.query(
        "select currency, max(exponent), sum(ggr_minor)::bigint from bi.revenue_by_day group by currency"
    )
    assert sums
    for currency, exponent, ggr_minor in sums:
        assert f"GGR by day in {currency}: {labels.money(ggr_minor, exponent)} {currency}" in shown
    for day, currency, exponent, ggr_minor in served.query(
        "select day, currency, max(exponent), sum(ggr_minor)::bigint from bi.revenue_by_day group by day, currency"
    ):
        assert f"{day:%a %d %b %Y}: {labels.money(ggr_minor, exponent)} {currency}" in shown
    for provider, held in served.query("select provider_id, null from bi.revenue_by_day union select age, held_minor::text from bi.open_holds"):  # fmt: skip
        assert provider is None or provider in shown, held
    for exponent, funds_minor in served.query(
        "select exponent, sum(funds_minor)::bigint from (select distinct on (tenant_id, region, currency) * "
        "from bi.liability order by tenant_id, region, currency, day desc) l group by currency, exponent"
    ):
        assert labels.money(funds_minor, exponent) in shown


def test_the_page_tells_how_fresh_it_is(served):
    """Partitions, models, parked streams, dead letters and the last tree head are told, and what is wrong comes first."""
    page = wait_for_the_watch(served)
    shown = re.sub(r"<[^>]+>", " ", page)
    assert "1 stream parked" in shown
    assert "2 dead letters" in shown
    assert "48,211 entries, signature valid" in shown
    assert "ledger.events" in shown
    for (model,) in served.query("select model from bi.models where model <> 'projector'"):
        assert model in shown
    assert "not everything is in order" in shown


def test_the_page_filters_by_tenant(served):
    """A tenant's page has the sums of that tenant alone; a tenant that is not there has none."""
    for tenant, currency, exponent, ggr_minor in served.query(
        "select tenant_id, currency, max(exponent), sum(ggr_minor)::bigint from bi.revenue_by_day group by 1, 2"
    ):
        shown = unescape(served.get(f"?last={served.last}&days=31&tenant={tenant}&currency={currency}")[1])
        assert f"GGR by day in {currency}: {labels.money(ggr_minor, exponent)} {currency}" in shown
        assert shown.count("GGR by day in ") == 2  # heading and label of one chart
    shown = served.get(f"?last={served.last}&tenant=%3Cscript%3Ealert(1)%3C/script%3E'+or+true")[1]
    assert "No bets of real money" in shown
    assert "<script" not in shown


def test_a_role_of_its_own_limits_the_page(served):
    """Over a role that was granted one tenant, without players, the page knows that tenant alone."""
    role = f"page_{secrets.token_hex(4)}"
    with psycopg.connect(served.database_url) as connection:
        connection.execute(f"create role {role} login password 'page'")
        grants.grant(connection, role, "brand-a", "*", may_see_players=False, by=BY)
    limited = SecretStr(make_conninfo(served.database_url, user=role, password="page"))
    with PageServer(served.settings.model_copy(update={"projector_page_database_url": limited}), 0) as server:
        status, page, _ = get(f"{server.url}?last={served.last}&days=31")
        hidden = get(f"{server.url}?last={served.last}&days=31&tenant=brand-b")[1]
    assert status == 200
    shown = unescape(page)
    for currency, exponent, ggr_minor in served.query(
        "select currency, max(exponent), sum(ggr_minor)::bigint from bi.revenue_by_day where tenant_id = 'brand-a' group by 1"
    ):
        assert f"GGR by day in {currency}: {labels.money(ggr_minor, exponent)} {currency}" in shown
    assert "brand-b" not in shown
    assert "ledger.events" in shown
    assert "No bets of real money" in hidden
    with psycopg.connect(served.database_url) as connection:
        connection.execute(f"drop owned by {role}; drop role {role}")


def test_no_player_is_named(served):
    """No id of a player, bet or stream is on the page."""
    page = served.get(f"?last={served.last}&days=31")[1]
    ids = served.query("select player_id from bi.balances union select bet_id from bi.bets union select stream_id from bi.parked_streams")  # fmt: skip
    assert (HIDDEN,) in ids
    assert [one for (one,) in ids if one in page] == []


def test_the_page_stands_alone(served):
    """It names nothing to load, and its policy would let nothing run; other methods, hosts and addresses are refused."""
    _, page, headers = served.get()
    assert not re.search(r"<script|src=|href=|@import|url\(|https?://|style=", page)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert [served.get(method=method)[0] for method in ("POST", "PUT", "DELETE", "HEAD")] == [405, 405, 405, 200]
    assert served.get("elsewhere")[0] == 404
    assert served.get(host="ledger.example")[0] == 400
    for query in ("?days=0", "?days=x", "?last=soon", "?tenant=%00"):
        status, page, _ = served.get(query)
        assert status == 400
        assert "cannot be shown" in page


def test_the_page_cannot_write(served):
    """Its connection refuses every statement that writes, whatever the role may do."""
    with (
        contextlib.closing(figures.connect(SecretStr(served.database_url))) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("delete from projections.bets")


def test_no_database_gives_a_clear_page(served):
    """Where the database is away, or has no read models yet, the page says so with 503, without a secret."""
    away = SecretStr("postgresql://somebody:unsaid@127.0.0.1:1/nothing")
    with PageServer(served.settings.model_copy(update={"bi_database_url": away}), 0) as server:
        status, page, _ = get(server.url)
    assert status == 503
    assert "does not answer" in page
    assert "unsaid" not in page
    empty = make_conninfo(served.database_url, dbname="postgres")
    with PageServer(served.settings.model_copy(update={"projector_page_database_url": SecretStr(empty)}), 0) as server:
        status, page, _ = get(server.url)
    assert status == 503
    assert "no read models yet" in page


def test_who_says_nothing_keeps_nobody_away(served):
    """Twice as many silent connections as the page serves at once are there, and it answers the next one."""
    at = urlsplit(served.server.url)
    with contextlib.ExitStack() as stack:
        for _ in range(128):
            stack.enter_context(socket.create_connection((at.hostname, at.port), timeout=60))
        assert served.get("healthz")[0] == 200


def test_a_connection_without_a_head_ends(served, monkeypatch):
    """After a while, whether it says nothing, sends its head byte by byte, or was answered before."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.3)
    at = urlsplit(served.server.url)
    for said in (b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n"):
        with socket.create_connection((at.hostname, at.port), timeout=60) as connection:
            connection.sendall(said)
            heard = b"".join(iter(lambda: connection.recv(4096), b""))  # read before the next
        assert heard.startswith(b"HTTP/1.1 200" if said.endswith(b"\n") else b""), said


def test_the_watch_outlives_a_fault(served, monkeypatch):
    """What nobody foresaw is counted and told on the page, and the next look goes on."""
    failures = lambda: REGISTRY.get_sample_value("wagerledger_projector_page_watch_failures_total") or 0  # noqa: E731
    before = failures()
    folded, faults = figures.folded_records, [ZeroDivisionError("nobody foresaw it")]

    def failing(*args: Any) -> int | None:
        if faults:
            raise faults.pop()
        return folded(*args)

    monkeypatch.setattr(figures, "folded_records", failing)
    monkeypatch.setattr(watch, "EVERY_S", 0.2)
    one = Watch(served.settings, served.settings.bi_database_url)
    said: set[str | None] = set()
    one.start()
    deadline = time.monotonic() + 60
    while one.seen.kafka is not None or failures() == before:
        said.add(one.seen.kafka)
        assert time.monotonic() < deadline, one.seen
        time.sleep(0.02)
    one.stop()
    assert failures() == before + 1
    assert any("ZeroDivisionError" in str(text) for text in said)


NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def looked(*, moved_s: float | None, caught_up_s: float | None, waiting: int = 0, stopped: bool = False) -> Figures:
    """A look at one partition and one model; times are seconds ago."""
    moved, caught_up = (None if ago is None else NOW - timedelta(seconds=ago) for ago in (moved_s, caught_up_s))
    partition = SimpleNamespace(
        topic="ledger.events", partition=0, next_offset=5, end_offset=5 + waiting, waiting_records=waiting,
        as_of=moved, moved_at=moved, caught_up_at=caught_up, complete_until=caught_up or moved,
    )  # fmt: skip
    model = SimpleNamespace(model="bets", version=3, since=NOW, stopped_at=NOW if stopped else None)
    return Figures(NOW, [partition], [model], [], [], [], [], [], [])


@pytest.mark.parametrize(
    ("figures", "seen", "kind", "text"),
    [
        (looked(moved_s=None, caught_up_s=None), Seen(), "warn", "folded nothing yet"),
        (looked(moved_s=9, caught_up_s=3), Seen(dead_letters=0, kafka=None), "good", "up to date"),
        (looked(moved_s=3, caught_up_s=9, waiting=2), Seen(kafka=None), "good", "up to date"),
        (looked(moved_s=11, caught_up_s=60, waiting=9000), Seen(), "warn", "up to 9,000 records wait"),
        (looked(moved_s=200, caught_up_s=180), Seen(), "bad", "not reported for 3 min"),
        (looked(moved_s=9, caught_up_s=3, stopped=True), Seen(), "bad", "wagerledger project rebuild bets"),
        (looked(moved_s=9, caught_up_s=3), Seen(head_is_valid=False), "bad", "no valid signature"),
        (looked(moved_s=9, caught_up_s=3), Seen(dead_letters=1, kafka=None), "bad", "1 dead letter:"),
        (looked(moved_s=9, caught_up_s=3), Seen(dead_letters=0, kafka="Kafka does not answer."), "bad", "as last seen"),
    ],
)
def test_what_is_wrong_is_said_first(figures, seen, kind, text):
    """A projector that is empty, late or silent, a model that stands still, dead letters, a head that nobody signed, and Kafka away are each told."""
    found, title, alarms = state_of(figures, seen)
    assert found == kind
    assert text in " ".join([title, *alarms])
    assert page_of(figures, seen, Choice()).count("<h2>") == 4


def test_a_rebuilt_rate_is_never_negative():
    """Events per second are those between two samples; a rebuild, which begins anew, shows as none."""
    assert rates([(0.0, 100), (5.0, 600), (10.0, 20), (12.0, 40)]) == [100.0, 0.0, 10.0]


@pytest.mark.parametrize(
    ("width", "colours"),
    [(1280, "blink-settings=preferredColorScheme=1"), (390, "blink-settings=preferredColorScheme=0")],
)
def test_chromium_shows_the_page(served, tmp_path, width, colours):
    """A real browser paints the page without complaint: its policy lets the style in, and nothing is fetched."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on the path: apt-get install chromium")
    wait_for_the_watch(served)
    picture = tmp_path / "page.png"
    done = screenshot(chromium, f"{served.server.url}?last={served.last}", picture, width, colours)
    assert picture.exists(), done.stderr
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20]) == width
    assert len(content) > 40_000, "it is almost blank"
    assert "CONSOLE" not in done.stderr, done.stderr


def screenshot(chromium: str, url: str, picture: Path, width: int, *more: str) -> subprocess.CompletedProcess[str]:
    options = (
        "headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-dev-shm-usage",
        "no-first-run", "hide-scrollbars", "enable-logging=stderr", f"user-data-dir={picture.parent / 'profile'}",
        "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "no-proxy-server", f"window-size={width},2400",
        f"screenshot={picture}",
    )  # fmt: skip
    return subprocess.run(
        [chromium, *(f"--{option}" for option in (*options, *more)), url],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
