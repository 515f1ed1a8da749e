"""`wagerledger up` and `down` as an operator uses them: kill -9 of everything, start again on the same folder, and nothing is lost."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from sandbox.servers.kafka_reader import read_all
from schemas.topics import Topics
from tests.crash.casino import remove_data
from tests.support.load import Call, Load, Wallet
from tests.support.seeds import seeded_random
from tests.support.waiting import until

START_TIMEOUT_S = 180.0


class Up:
    """One `wagerledger up` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = _wagerledger("up", "--data-dir", folder)

    def wait_ready(self) -> dict[str, Any]:
        """What sandbox.json says, once the gateway that it names answers."""
        path = self.folder / "sandbox.json"

        def ready() -> bool:
            assert self.process.poll() is None, self.process.communicate()[0]
            return path.exists() and self._is_ours(path)

        until(ready, f"a system that is up; see {self.folder / 'log'}", limit_s=START_TIMEOUT_S)
        return json.loads(path.read_text())

    def wait_ended(self) -> int:
        """The exit code, once it has ended by itself."""
        self.process.communicate(timeout=90)
        return self.process.returncode

    def _is_ours(self, path: Path) -> bool:
        """A file that a killed one left is not the word of this one."""
        return path.stat().st_mtime > psutil.Process(self.process.pid).create_time()

    def kill_everything(self) -> None:
        """SIGKILL the supervisor; what it started must go with it."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.communicate()
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive, f"these outlived their supervisor: {alive}"


def _wagerledger(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=_environment(),
    )


def _run(*arguments: object) -> tuple[int, str]:
    process = _wagerledger(*arguments)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def _environment() -> dict[str, str]:
    """Ours, without settings that point to other servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WAGERLEDGER_")}


@pytest.fixture
def folder(own_servers: None, tmp_path: Path) -> Iterator[Path]:
    """A data folder; what still runs on it afterwards is stopped."""
    yield tmp_path / "data"
    _run("down", "--data-dir", tmp_path / "data")
    remove_data(tmp_path / "data")


def _play(description: dict[str, Any], rng: random.Random, history: list[Call], answers: int) -> Load:
    wallets = [Wallet(player["player_id"], player["currency"], 0) for player in description["players"]]
    load = Load([description["gateway_url"]], description["integration"], wallets, rng, clients=8, pause_s=0.05)
    load.history = history
    with load:
        load.until_answered(answers)
    return load


def _events(description: dict[str, Any]) -> dict[str, bytes]:
    with psycopg.connect(description["admin_database_url"]) as connection:
        return {
            str(event_id): bytes(body)
            for event_id, body in connection.execute("select event_id, body from wagerledger.event_log")
        }


def _schema_ids(description: dict[str, Any]) -> dict[str, set[bytes]]:
    """The schema ids that stand in the messages of each topic."""
    return {
        topic: {message.value()[:5] for message in read_all(description["kafka_bootstrap_servers"], topic)}
        for topic in Topics().of_types
    }


def _decode_with_confluents_own(description: dict[str, Any]) -> set[str]:
    """The event types that a reader which knows nothing of us decodes, from all topics."""
    types = set()
    with SchemaRegistryClient({"url": description["schema_registry_url"], "timeout": 10}) as client:
        decode = AvroDeserializer(client)
        for topic in [Topics().events, *Topics().of_types]:
            for message in read_all(description["kafka_bootstrap_servers"], topic):
                event = decode(message.value(), SerializationContext(topic, MessageField.VALUE))
                assert isinstance(event, dict)
                assert event["event_type"] in (topic, topic == Topics().events and event["event_type"])
                types.add(event["event_type"])
    return types


@pytest.mark.slow
def test_up_recovers_from_a_kill_of_everything_and_keeps_the_schema_ids(folder: Path) -> None:
    """After kill -9 of the supervisor with all it started, `up` on the same folder loses nothing, tells its new address, answers repeats byte for byte, and strangers decode all old and new messages; `down` from elsewhere stops it, a second `up` meanwhile is refused."""
    rng, history = seeded_random(), list[Call]()
    up = Up(folder)
    before = up.wait_ready()
    _play(before, rng, history, 300)
    told = [call for call in history if call.accepted]
    assert len(told) > 50
    events = _events(before)
    code, output = _run("up", "--data-dir", folder)
    assert (code, "in use" in output) == (2, True), output

    up.kill_everything()
    up = Up(folder)
    after = up.wait_ready()
    kept = _events(after)
    assert {event_id: kept.get(event_id) for event_id in events} == events
    for name in ("integration", "players", "secrets_key"):
        assert after[name] == before[name]
    load = _play(after, rng, history, 100)
    load.repeat(told)
    for call in told:
        answers = {attempt.raw for attempt in call.attempts if attempt.accepted}
        assert len(answers) == 1, f"{call.key} heard {answers}"
    ids = _schema_ids(after)

    code, output = _run("down", "--data-dir", folder)
    assert code == 0, output
    assert up.wait_ended() == 0
    assert not (folder / "sandbox.json").exists()
    up = Up(folder)
    again = up.wait_ready()
    load = _play(again, rng, history, 100)
    _wait_for_topics(again)
    new_ids = _schema_ids(again)
    assert {topic: new_ids[topic] for topic, known in ids.items() if known} == {
        topic: known for topic, known in ids.items() if known
    }
    assert _decode_with_confluents_own(again) >= {
        "bet.authorized",
        "bet.settled",
        "bet.rolled_back",
        "bet.tombstoned",
        "session.started",
        "wallet.opened",
        "wallet.credit.deposit",
    }
    code, output = _run("down", "--data-dir", folder)
    assert code == 0, output
    assert up.wait_ended() == 0
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
    ]


def _wait_for_topics(description: dict[str, Any]) -> None:
    count = len(_events(description))
    until(
        lambda: sum(1 for _ in read_all(description["kafka_bootstrap_servers"], Topics().events)) == count,
        "topics that have caught up",
    )


@pytest.mark.slow
def test_ctrl_c_during_the_start_leaves_nothing(folder: Path) -> None:
    """Whoever changes their mind while `up` is starting finds the folder free and nothing running."""
    up = Up(folder)
    until(lambda: len(list((folder / "run").glob("*.json"))) >= 2, "the first two servers")
    up.process.send_signal(signal.SIGINT)
    up.wait_ended()
    code, output = _run("down", "--data-dir", folder)
    assert (code, "Nothing was running" in output) == (0, True), output
