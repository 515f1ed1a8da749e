"""What was released: `released/<event type>/<version>.avsc`, whole record schemas, locked by `released/SHA256SUMS`.

A released file never changes: bytes that it wrote stay in the log for ever. `python -m schemas.releases` releases what
is new; `wagerledger schemas check-compatibility` compares today's schemas with all that were ever released.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from schemas.compatibility import incompatibilities, same
from schemas.events import EVENTS, REFUSAL, RELEASED, VARIANTS, EventSchema, released, version_of

LOCK = "SHA256SUMS"

TYPES: dict[str, EventSchema] = EVENTS | VARIANTS | {REFUSAL.event_type: REFUSAL}
"""Today's schema of everything that is published in Avro."""


class SchemaFinding(NamedTuple):
    """A reason why today's schemas must not be released: the file or type, and what is wrong with it."""

    event_type: str
    problem: str


def check(types: Mapping[str, EventSchema] = TYPES, folder: Traversable = RELEASED) -> list[SchemaFinding]:
    """Compare `types` with everything that was released; no findings means that each may follow all of it."""
    findings = list(_changed_files(folder))
    known = {path.name for path in folder.iterdir() if path.is_dir()}
    findings += [
        SchemaFinding(gone, "was released and is gone; its bytes stay in the log")
        for gone in sorted(known - set(types))
    ]
    for today in types.values():
        findings += [SchemaFinding(today.event_type, problem) for problem in _problems(today, released(today, folder))]
    return findings


def release(types: Mapping[str, EventSchema] = TYPES, folder: Path = Path(str(RELEASED))) -> list[str]:
    """Write the files of versions that were not released yet. Gives the names of these files; what exists stays as it
    is.
    """
    written = []
    for today in types.values():
        path = folder / today.event_type / f"{today.schema_version}.avsc"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(today.schema, indent=1) + "\n")
            written.append(f"{today.event_type}/{path.name}")
    lines = [*_lock(folder).items(), *((name, _digest(folder, name)) for name in written)]
    (folder / LOCK).write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(lines)))
    return written


def _problems(today: EventSchema, versions: list[EventSchema]) -> Iterator[str]:
    version = today.schema_version
    own = next((one for one in versions if one.schema_version == version), None)
    if own is None:
        yield f"{version} is not released: run `python -m schemas.releases`"
    elif not same(own.schema, today.schema):
        yield f"is another than the released {version}: raise its schema_version"
    for one in versions:
        if version_of(one.schema_version) > version_of(version):
            yield f"{version} is older than the released {one.schema_version}"
        elif one is not own:
            yield from (
                f"{version} must not follow {one.schema_version}: {why}"
                for why in incompatibilities(one.schema, today.schema)
            )


def _changed_files(folder: Traversable) -> Iterator[SchemaFinding]:
    lock = _lock(folder)
    there = {f"{type_.name}/{path.name}" for type_ in folder.iterdir() if type_.is_dir() for path in type_.iterdir()}
    for name in sorted(there | set(lock)):
        event_type = name.partition("/")[0]
        if name not in there:
            yield SchemaFinding(event_type, f"the released {name} is gone; its bytes stay in the log")
        elif name not in lock:
            yield SchemaFinding(event_type, f"{name} is not in {LOCK}: run `python -m schemas.releases`, never by hand")
        elif _digest(folder, name) != lock[name]:
            yield SchemaFinding(event_type, f"the released {name} was changed; a change is a new version")


def _lock(folder: Traversable) -> dict[str, str]:
    lock = folder / LOCK
    lines = lock.read_text().splitlines() if lock.is_file() else []
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def _digest(folder: Traversable, name: str) -> str:
    return sha256(folder.joinpath(*name.split("/")).read_bytes()).hexdigest()


if __name__ == "__main__":
    for name in release():
        print(name)
