"""What was released is there for ever, and what follows it can read it and be read by it."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest

from schemas import releases
from schemas.compatibility import incompatibilities
from schemas.events import EVENTS, RELEASED
from schemas.releases import TYPES

SETTLED = EVENTS["bet.settled"]


def changed(change):
    """The schema of a settlement with its envelope and payload fields changed."""
    schema = deepcopy(SETTLED.schema)
    payload = next(field["type"]["fields"] for field in schema["fields"] if field["name"] == "payload")
    change(schema["fields"], payload)
    return schema


def field(fields, name):
    return next(one for one in fields if one["name"] == name)


MORE = {"name": "table_id", "type": ["null", "string"], "default": None, "doc": "Table."}
ALLOWED = {
    "a field more in the payload": lambda envelope, payload: payload.append(MORE),
    "a field more in the envelope": lambda envelope, payload: envelope.append(MORE),
    "a field more in a record inside": lambda envelope, payload: field(payload, "conversion")["type"][1][
        "fields"
    ].append(MORE),
    "another doc": lambda envelope, payload: payload[0].update(doc="Said better."),
}
FORBIDDEN = {
    "no default": lambda envelope, payload: payload.append({"name": "table_id", "type": "string"}),
    "removed": lambda envelope, payload: payload.remove(field(payload, "freespins_left")),
    "renamed": lambda envelope, payload: field(payload, "win_minor").update(name="won_minor"),
    "renamed with an alias": lambda envelope, payload: field(payload, "win_minor").update(
        name="won_minor", aliases=["win_minor"]
    ),
    "moved": lambda envelope, payload: payload.reverse(),
    "put between": lambda envelope, payload: payload.insert(1, MORE),
    "another type": lambda envelope, payload: field(payload, "kind").update(type="int"),
    "a wider type": lambda envelope, payload: field(payload, "exponent").update(type="long"),
    "null where it was not": lambda envelope, payload: field(payload, "win_minor").update(type=["null", "long"]),
    "another default": lambda envelope, payload: field(envelope, "operation").update(default="api"),
    "another hash": lambda envelope, payload: field(envelope, "previous_hash")["type"].update(size=64),
    "another record": lambda envelope, payload: field(payload, "conversion")["type"][1].update(name="Exchange"),
    "another meaning of a number": lambda envelope, payload: field(envelope, "occurred_at").update(
        type={"type": "long", "logicalType": "timestamp-millis"}
    ),
}


def test_todays_schemas_may_follow_all_that_were_released():
    """FULL_TRANSITIVE with every release, and no released file was touched; this is the check that CI runs."""
    assert releases.check() == []


@pytest.mark.parametrize("change", ALLOWED)
def test_what_readers_do_not_notice_is_allowed(change):
    """New fields at the end, with defaults; and words."""
    assert incompatibilities(SETTLED.schema, changed(ALLOWED[change])) == []


@pytest.mark.parametrize("change", FORBIDDEN)
def test_what_would_break_a_reader_is_refused(change):
    """Whoever reads with the released schema, or what it wrote, must never notice."""
    assert incompatibilities(SETTLED.schema, changed(FORBIDDEN[change])) != []


@pytest.fixture
def folder(tmp_path):
    """A folder of releases of its own, with one type in it."""
    releases.release({"bet.settled": SETTLED}, tmp_path)
    return tmp_path


def problems(folder, schema=SETTLED):
    return " ".join(finding.problem for finding in releases.check({schema.event_type: schema}, folder))


def test_releasing_twice_writes_once(folder):
    """The first run writes the schema and its hash, the second nothing."""
    assert releases.release({"bet.settled": SETTLED}, folder) == []
    assert json.loads((folder / "bet.settled" / "1.0.0.avsc").read_text()) == SETTLED.schema
    assert problems(folder) == ""


def test_a_change_needs_a_version_of_its_own(folder):
    """Under the released number nothing but words may change; under the next one it is released once more."""
    schema = changed(ALLOWED["a field more in the payload"])
    assert "raise its schema_version" in problems(folder, replace(SETTLED, schema=schema))
    next_one = replace(SETTLED, schema_version="1.1.0", schema=schema)
    assert "1.1.0 is not released" in problems(folder, next_one)
    assert releases.release({"bet.settled": next_one}, folder) == ["bet.settled/1.1.0.avsc"]
    assert problems(folder, next_one) == ""
    assert "older than the released 1.1.0" in problems(folder)
    assert problems(folder, replace(SETTLED, schema=changed(ALLOWED["another doc"]), schema_version="1.0.0")) != ""


def test_every_release_counts_and_not_the_last_alone(folder):
    """A field that came back with another default breaks readers of the one before the last."""
    first = replace(SETTLED, schema_version="1.1.0", schema=changed(ALLOWED["a field more in the payload"]))
    releases.release({"bet.settled": first}, folder)
    broken = replace(SETTLED, schema_version="1.2.0", schema=SETTLED.schema)
    assert "1.2.0 must not follow 1.1.0" in problems(folder, broken)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.write_text(path.read_text().replace("freespins_left", "free_spins_left")), "was changed"),
        (lambda path: path.unlink(), "is gone"),
        (lambda path: path.with_name("0.9.0.avsc").write_text(path.read_text()), "is not in SHA256SUMS"),
    ],
)
def test_a_released_file_never_changes(folder, harm, said):
    """A touched, lost or smuggled-in file is named."""
    harm(folder / "bet.settled" / "1.0.0.avsc")
    assert said in problems(folder)


def test_a_released_type_never_goes(folder):
    """Its bytes stay in the log and must be read."""
    assert any("was released and is gone" in finding.problem for finding in releases.check({}, folder))


def test_all_that_is_published_is_released():
    """Events, other forms and refusals, each under its version."""
    assert {path.name for path in RELEASED.iterdir() if path.is_dir()} == set(TYPES)
