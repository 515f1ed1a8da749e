"""No personal data: whatever a provider sends besides the fields that we list is kept nowhere."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pyarrow.parquet as pq
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from pydantic import SecretStr

from gateway.host import dialects
from ledger.admin.integrations import CANONICAL
from runtime.settings import Settings
from sandbox.drivers import driver_of
from sandbox.drivers.driver import Request
from schemas import registry, topics
from schemas.topics import Topics
from tests.gateway.providers.conftest import dialects_that_load, settings_of
from tests.support.caller import on_board
from tests.support.house import House, Play
from tests.support.read_models import ReadModels
from tests.support.relays import running
from tests.support.seals import archive, opened, seal
from tests.support.servers import Servers, fresh_topic_prefix
from tests.support.wrong_hand import disarm

CANARY = "Cleo-Canary-7f3a"
PLAYER = "p_90210775"
"""How each player's id begins; one provider's is a number."""
PERSONAL = {
    "name": CANARY, "full_name": CANARY, "email": f"{CANARY}@mail.example", "ip": f"10.9.8.7 {CANARY}",
    "user_agent": f"Mozilla/5.0 {CANARY}", "phone": f"+4912345678 {CANARY}", "birthday": f"1990-01-01 {CANARY}",
    "address": f"{CANARY} street 1", "iban": f"DE00 {CANARY}", "x_remark": CANARY,
}  # fmt: skip
HEADERS = {
    "User-Agent": CANARY, "X-Forwarded-For": f"203.0.113.7, {CANARY}", "X-Real-IP": CANARY, "From": f"{CANARY}@mail.example",
    "Cookie": f"user={CANARY}", "Referer": f"https://casino.example/{CANARY}", "Accept-Language": CANARY, "X-Player-Name": CANARY,
    "Baggage": f"user={CANARY}",
}  # fmt: skip
TABLES = """
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' order by 1
"""
# Bytes of a column are shown in hex, and text in base64 or hex might hide in either.
HOLDS = "select count(*) from {} t where t::text ilike any(array[%s, %s])"


@dataclass
class Stores:
    """All places where something of a callback could be kept."""

    settings: Settings
    house: House
    archive: Path

    def found(self) -> set[str]:
        """Where the canary is."""
        return {*self._databases(), *self._topics(), *self._files(), *self._logs()}

    def _databases(self) -> Iterator[str]:
        for url in (self.settings.database_url, self.settings.bi_database_url):
            with psycopg.connect(url.get_secret_value()) as connection:
                tables = [row[0] for row in connection.execute(TABLES)]
                assert len(tables) > 10, tables
                for table in tables:
                    words = [f"%{CANARY}%", f"%{CANARY.encode().hex()}%"]
                    if connection.execute(HOLDS.format(table), words).fetchone() != (0,):
                        yield table

    def _topics(self) -> Iterator[str]:
        for topic, record in records(self.settings):
            if CANARY.encode().lower() in record.lower():
                yield topic

    def _files(self) -> Iterator[str]:
        entries = opened(self.archive)
        for one in entries.segments:
            for entry in entries.read(one):
                if CANARY.encode().lower() in b"".join([entry.body, (entry.traceparent or "").encode()]).lower():
                    yield f"archive: {entry.kind}"
        for path in filter(Path.is_file, self.archive.rglob("*")):
            content = (
                str(pq.read_table(path).to_pylist())
                if path.suffix == ".parquet"
                else path.read_bytes().decode("latin-1")
            )
            if CANARY.lower() in content.lower():
                yield f"archive: {path.suffix}"

    def _logs(self) -> Iterator[str]:
        assert self.house.log.getvalue()
        if CANARY.lower() in self.house.log.getvalue().lower():
            yield "log"


def records(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Every record of every topic of ours, of aborted transactions too, with its key and headers, as bytes."""
    options = {
        "bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "canary", "log_level": 0,
        "isolation.level": "read_uncommitted", "enable.partition.eof": True, "enable.auto.commit": False,
    }  # fmt: skip
    with contextlib.closing(Consumer(options)) as consumer:
        known = consumer.list_topics(timeout=10).topics
        names = Topics(settings.topic_prefix).all
        left = {(name, number) for name in names for number in known[name].partitions}
        consumer.assign([TopicPartition(*one, OFFSET_BEGINNING) for one in left])
        while left:
            for message in consumer.consume(1000, timeout=0.5):
                if error := message.error():
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    left.discard((message.topic(), message.partition()))
                    continue
                texts = [part for pair in message.headers() or [] for part in pair]
                parts = [part.encode() if isinstance(part, str) else part for part in texts]
                yield message.topic(), b"|".join([message.key() or b"", message.value() or b"", *parts])


def laced(request: Request) -> Request:
    """The same call with personal data wherever no field of ours is: headers, query, and every object of the body."""
    body = request.body
    if body.startswith(b"{"):
        body = json.dumps(with_more(json.loads(body)), separators=(",", ":")).encode()
    elif body:
        body += b"&" + urlencode(PERSONAL).encode()
    return replace(request, body=body, headers={**request.headers, **HEADERS})


def with_more(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: with_more(value) for name, value in content.items()} | PERSONAL | {"player_details": PERSONAL}
    return [with_more(one) for one in content] if isinstance(content, list) else content


def play(play: Play) -> list[bool]:
    """A bet, its win, one that is too large, one that is rolled back, and broken ones. Tells whether the first was taken."""
    send = lambda request: play.send(laced(request))  # noqa: E731  # a name for one line
    taken = [send(play.a_bet()).reading.ok, send(play.a_win()).reading.ok]
    send(play.a_bet("large", "5000", "round-2"))
    send(play.a_bet("undone", "1", "round-3"))
    send(play.a_cancel("undo", "undone", "1", "round-3"))
    broken = replace(laced(play.a_bet("broken")), body=b'{"name": "' + CANARY.encode())
    elsewhere = replace(broken, path=f"/{CANARY}", query=f"q={CANARY}")
    for request in (play.driver.signed(broken), laced(play.a_bet("unsigned")), elsewhere):
        play.table.house.run(play.table.sending_raw(request))
    return taken


def call_canonical(house: House) -> None:
    """The same by the canonical API."""
    caller = on_board(house)
    house.open_wallet(caller.tenant_id, f"{PLAYER}99")
    told = {name.lower().replace("-", "_"): value for name, value in HEADERS.items()}

    def post(target: str, content: dict[str, Any], status: int) -> Any:
        reply = caller.send("POST", target, with_more(content), **told)
        assert reply.status == status, (target, reply)
        return reply.json

    session = post("/v1/sessions", {"player_id": f"{PLAYER}99", "game_id": "g", "currency": "EUR"}, 201)["session_id"]
    bet = {"session_id": session, "round_id": "r"}
    post("/v1/bets/authorize", bet | {"bet_id": "b1", "amount": {"amount": "2", "currency": "EUR"}}, 200)
    post("/v1/bets/authorize", bet | {"bet_id": "b2", "amount": {"amount": "9999", "currency": "EUR"}}, 402)
    caller.send("POST", f"/v1/{CANARY}?q={CANARY}", {"name": CANARY}, **told)


@pytest.fixture(scope="module")
def stores(
    servers: Servers,
    ledger_database_of_module: str,
    bi_database_of_module: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stores]:
    """All dialects have been called, and everything that follows has been made of it."""
    settings = settings_of(ledger_database_of_module).model_copy(
        update={
            "bi_database_url": SecretStr(bi_database_of_module),
            "kafka_bootstrap_servers": servers.kafka_bootstrap_servers,
            "schema_registry_url": SecretStr(servers.schema_registry_url),
            "topic_prefix": fresh_topic_prefix(),
        }
    )
    names = Topics(settings.topic_prefix)
    topics.apply(settings.kafka_bootstrap_servers, names, partitions=2, replication=1)
    with registry.connect(servers.schema_registry_url) as client:
        registry.register(client, names)
    hosted, broken = dialects_that_load()
    house = House(settings, {CANONICAL: dialects.CANONICAL_API, **hosted})
    tables = [house.mount(driver_of(name, "home"), "home") for name in hosted if name not in broken]
    with house, house.recorded():
        for number, table in enumerate(tables, 10):
            seated = table.sit(player_id=f"{PLAYER}{number}")
            assert all(play(seated)), f"{table} refuses a call for fields that it does not list"
            if table.driver.name == "bgaming":
                issue = {"issue_id": f"{seated.seat.player_id}/EUR/summer", "status": "over", "total_amount": 500}
                assert seated.send(Request("/freespins", json.dumps(issue).encode())).reading.ok
        call_canonical(house)
        read_models = ReadModels(settings)
        ((events,),) = house.rows("select count(*) from wagerledger.event_log")
        ((refusals,),) = house.rows("select count(*) from wagerledger.refusals")
        assert min(events, refusals) > len(tables)
        with running(settings), read_models.kept_up():
            read_models.wait_until(f"select sum(version) = {events} from projections.streams")
            read_models.wait_until(f"select count(*) = {refusals} from bi.refusals")
        seal(ledger_database_of_module)
        folder = tmp_path_factory.mktemp("archive")
        assert archive(ledger_database_of_module, folder, parquet=True)
        yield Stores(settings, house, folder)


def test_what_is_not_listed_is_kept_nowhere(stores: Stores) -> None:
    """Names, addresses, IPs and browsers in headers, queries, paths, broken bodies and every object of a call of any dialect are in no table, topic, file or log of ours: accepted or refused."""
    assert stores.found() == set()


IDS = "select player_id from wagerledger.wallets union select session_id from wagerledger.sessions"
MASKED = "select table_name from information_schema.views where table_schema = 'bi_masked' order by 1"


def unmasked(stores: Stores) -> set[str]:
    """The masked views and their columns in which the id of a player or session stands, as it is or within something."""
    with psycopg.connect(stores.settings.database_url.get_secret_value()) as ledger:
        ids = [f"%{one.removeprefix('p_')}%" for (one,) in ledger.execute(IDS)]
    assert len(ids) > 25, ids
    found = set()
    with psycopg.connect(stores.settings.bi_database_url.get_secret_value()) as bi:
        views = [name for (name,) in bi.execute(MASKED)]
        assert len(views) > 12, views
        for view in views:
            cells = "select distinct key from bi_masked.{} v cross join to_jsonb(v) j cross join jsonb_each_text(j) e"
            rows = bi.execute(f"{cells.format(view)} where value like any(%s)", [ids])
            found |= {f"{view}.{column}" for (column,) in rows}
    return found


def test_a_masked_view_holds_no_id(stores: Stores) -> None:
    """After calls of every dialect no cell of any masked view holds the id of a player or a session, alone or as a part of another id: a new view and a new dialect are looked at too."""
    assert unmasked(stores) == set()


def test_a_column_that_is_not_masked_is_found(stores: Stores) -> None:
    """The search would see it: a provider that makes its ids of the player's."""
    url = stores.settings.bi_database_url.get_secret_value()
    with psycopg.connect(url) as connection:
        connection.execute(
            "create table wins_as_they_were as select integration_id, settlement_id, win_id from projections.wins"
        )
        connection.execute("update projections.wins set win_id = player_id || '/EUR/' || win_id")
    try:
        assert unmasked(stores) == {"wins.win_id"}
    finally:
        with psycopg.connect(url) as connection:
            connection.execute(
                "update projections.wins w set win_id = o.win_id from wins_as_they_were o "
                "where (w.integration_id, w.settlement_id) = (o.integration_id, o.settlement_id)"
            )
            connection.execute("drop table wins_as_they_were")


def planted_in_ledger(stores: Stores) -> str:
    with psycopg.connect(stores.settings.database_url.get_secret_value()) as connection:
        disarm(connection)
        connection.execute(
            "update wagerledger.refusals set details = json_build_object('who', %s::text) "
            "where refusal_id = (select min(refusal_id) from wagerledger.refusals)", [CANARY]
        )  # fmt: skip
    return "wagerledger.refusals"


def planted_in_bytes(stores: Stores) -> str:
    with psycopg.connect(stores.settings.bi_database_url.get_secret_value()) as connection:
        connection.execute("update projections.streams set tail_hashes = %s", [CANARY.encode()])
    return "projections.streams"


def planted_in_topic(stores: Stores) -> str:
    topic = Topics(stores.settings.topic_prefix).dead_letters
    producer = Producer({"bootstrap.servers": stores.settings.kafka_bootstrap_servers, "log_level": 0})
    producer.produce(topic, key=b"k", value=b"\x00" + CANARY.encode())
    assert producer.flush(30) == 0
    return topic


def planted_in_archive(stores: Stores) -> str:
    (stores.archive / "notes.txt").write_text(CANARY)
    return "archive: .txt"


def planted_in_log(stores: Stores) -> str:
    stores.house.log.write(CANARY)
    return "log"


PLANTS: list[Callable[[Stores], str]] = [
    planted_in_ledger, planted_in_bytes, planted_in_topic, planted_in_archive, planted_in_log
]  # fmt: skip


def test_a_planted_leak_is_found(stores: Stores) -> None:
    """The search would see it: in text and bytes of either database, in a record, a file and the log."""
    planted = {plant(stores) for plant in PLANTS}
    assert stores.found() == planted
