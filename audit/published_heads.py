"""The tree heads that were published, from the topic or from files: only what a trusted key signed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from audit.findings import AuditReport, CannotCheckError
from audit.sources import Sources, reading_topics
from evidence.heads import HeadError, SignedHead
from evidence.keys import Keys


class PublishedHead(NamedTuple):
    """A head with a valid signature, and where it was published."""

    tree_size: int
    root: bytes
    generation: int
    where: str


def read_heads(sources: Sources, files: Sequence[Path], trusted: Keys, report: AuditReport) -> list[PublishedHead]:
    """The heads of this log, the smallest first: those of the files, or without any those of the topic.

    What is no head, or not signed, is a finding. Raises CannotCheckError, also where there is none at all.
    """
    log = sources.settings.anchor_log
    lines = _of_files(files) if files else _of_topic(sources)
    heads, hashes, previous = [], set[str](), dict[str, str]()
    for where, line in lines:
        try:
            signed = SignedHead.parse(line)
        except HeadError as error:
            if files and not line.endswith(b"\n"):
                report.notes.append(f"{where} is not whole: it is just being written, or a crash cut it off")
                continue
            report.find("anchor_unreadable", None, None, f"{where}: {error}")
            continue
        if signed.head.log != log:
            continue
        if not signed.valid(trusted):
            text = f"{where}: the head of {signed.tree_size} entries has no valid signature of a trusted key"
            report.find("anchor_forged", None, None, text)
            continue
        heads.append(PublishedHead(signed.tree_size, bytes.fromhex(signed.head.root), signed.head.generation, where))
        hashes.add(signed.hash)
        if signed.head.previous:
            previous[where] = signed.head.previous
    if not files:  # files may have been shipped one by one; the topic is whole
        for where, hash_ in previous.items():
            if hash_ not in hashes:
                report.find("anchor_missing", None, None, f"{where}: the head before it, {hash_}, is not in the topic")
    if not heads:
        source = ", ".join(map(str, files)) or f"topic {sources.topics.anchors}"
        raise CannotCheckError(
            f"{source} has no valid head of log {log}: is `wagerledger seal` running, and does "
            "WAGERLEDGER_ANCHOR_PUBLIC_KEYS hold its key?"
        )
    report.checked["anchors.heads"] = len(heads)
    return sorted(heads)


def _of_files(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    for path in files:
        try:
            with path.open("rb") as file:
                yield from ((f"{path} line {number}", line) for number, line in enumerate(file, 1) if line.strip())
        except OSError as error:
            raise CannotCheckError(f"{path} cannot be read: {error.strerror}") from error


def _of_topic(sources: Sources) -> Iterator[tuple[str, bytes]]:
    topic, reader = sources.topics.anchors, sources.records
    with reading_topics():
        for message in reader.read_to_end(topic):
            yield f"topic {topic} offset {message.offset()}", message.value() or b""
