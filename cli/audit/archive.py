"""`wagerledger audit export | restore | detach`, and what all commands that read an archive have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import on_ledger
from cli.options import AdminActor, AdminReason, Json, by_or_fail
from cli.output import COULD_NOT, FINDING, fail, show
from cli.progress import stage
from cli.settings import settings_or_fail
from cli.trouble import naming, patiently
from runtime.settings import Settings

if TYPE_CHECKING:
    from evidence.archive.reader import Archive
    from evidence.keys import Keys

Folder = Annotated[Path, typer.Argument(help="Folder of the archive.")]
Unsigned = Annotated[
    bool, typer.Option("--unsigned", help="Do not ask for signatures: then nobody vouches for the archive.")
]


def keys_or_fail(settings: Settings, *, unsigned: bool) -> "Keys | None":
    """The public keys that an archive must be signed with; None where nobody asks for signatures."""
    from evidence.keys import AnchorKeyError, trusted_keys

    if unsigned:
        return None
    try:
        return trusted_keys(settings)
    except AnchorKeyError as error:
        fail(f"{error} (or say --unsigned)")


def open_or_fail(settings: Settings, folder: Path, *, unsigned: bool) -> "Archive":
    from evidence.archive.reader import open_filled

    with archive_errors():
        return open_filled(folder, keys_or_fail(settings, unsigned=unsigned))


@contextmanager
def archive_errors() -> Iterator[None]:
    """What is wrong with an archive is a finding; what cannot be read, or is not there, is not known."""
    from evidence.archive.segment import ArchiveError, NoArchiveError

    try:
        yield
    except NoArchiveError as error:
        fail(str(error), COULD_NOT)
    except ArchiveError as error:
        fail(str(error), FINDING)
    except OSError as error:
        fail(f"{error.filename or 'the archive'}: {error.strerror or error}", COULD_NOT)


def export(
    folder: Folder,
    *,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write the events as Parquet as well, for BI.")] = False,
    codec: Annotated[
        str, typer.Option(help="null, or deflate: a third of the size, some 2 µs more for each entry that is read.")
    ] = "null",
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Do not sign: then nobody vouches for it.")] = False,
    as_json: Json = False,
) -> None:
    """Write what is sealed and not archived yet: Avro segments and a manifest signed with WAGERLEDGER_ANCHOR_KEY. Each
    segment is read back and proven with the signed tree heads. What a stopped run left is taken up.
    """
    from evidence.archive.export import Options
    from evidence.archive.export import export as run
    from evidence.archive.segment import CODECS
    from evidence.keys import AnchorKeyError, signing_key

    settings = settings_or_fail()
    if codec not in CODECS:
        fail(f"--codec is {codec!r}; known are {' and '.join(CODECS)}")
    try:
        key = None if unsigned else signing_key(settings)
    except AnchorKeyError as error:
        fail(f"{error} (or say --unsigned)")
    options = Options(key, keys_or_fail(settings, unsigned=unsigned), parquet=parquet, codec=codec)
    url = settings.database_url.get_secret_value()
    with archive_errors(), naming("WAGERLEDGER_DATABASE_URL"), stage("export") as progress:
        added = patiently(lambda: run(url, folder, options, progress), "PostgreSQL")
    if added is None:
        show({"entries": 0}, as_json=as_json, text="Nothing new is sealed (`wagerledger seal` does that).")
        return
    content = {
        "manifest": added.file,
        "first_leaf": added.first_leaf,
        "tree_size": added.tree_size,
        "root": added.root,
        "segments": len(added.segments),
        "entries": added.tree_size - added.first_leaf,
    }
    text = (
        f"{content['entries']} entries in {content['segments']} segment(s); the archive holds {added.tree_size} "
        f"entries, root {added.root}"
    )
    show(content, as_json=as_json, text=text)


def restore(
    folder: Folder, actor: AdminActor, reason: AdminReason, *, unsigned: Unsigned = False, as_json: Json = False
) -> None:
    """Fill an empty, migrated database from an archive: events, commands, refusals, acts, anchors and the state that
    follows. WAGERLEDGER_DATABASE_URL must name the role that migrates. Then give the secrets again (`integration
    restore-secret`) and let `relay recover` find the relay's position.
    """
    import psycopg

    from evidence.archive.restore import BrokenOffError
    from evidence.archive.restore import restore as run

    settings = settings_or_fail()
    by = by_or_fail(actor, reason)
    archive = open_or_fail(settings, folder, unsigned=unsigned)
    url = settings.database_url.get_secret_value()
    with archive_errors(), naming("WAGERLEDGER_DATABASE_URL"), stage("restore") as progress:
        try:
            patiently(lambda: run(url, archive, by, progress, settings.residency), "PostgreSQL")
        except BrokenOffError as error:
            fail(str(error))
        except psycopg.errors.InsufficientPrivilege as error:
            fail(f"WAGERLEDGER_DATABASE_URL must name the role that migrates: {error}")
    content = {"entries": archive.tree_size, "root": archive.root}
    text = f"{archive.tree_size} entries are back. Now run `wagerledger audit verify --no-topics`."
    show(content, as_json=as_json, text=text)


def detach(
    month: Annotated[datetime, typer.Option(help="A month that is over.", formats=["%Y-%m"])],
    folder: Annotated[Path, typer.Option("--archive", help="Folder of the archive that has the month.")],
    actor: AdminActor,
    reason: AdminReason,
    *,
    unsigned: Unsigned = False,
    as_json: Json = False,
) -> None:
    """Take a month out of the event log, when the archive has each of its events byte for byte and every relay is past
    it. Its table stays, outside of the log, until somebody drops it. WAGERLEDGER_DATABASE_URL must name the role that
    migrates.
    """
    import psycopg

    from evidence.archive.detached_months import detach as run
    from evidence.archive.detached_months import prove
    from ledger.relay_position import PositionError, positions_in
    from runtime.topics_reader import TopicsReader
    from schemas.topics import Topics

    settings = settings_or_fail()
    by = by_or_fail(actor, reason)
    archive, url = open_or_fail(settings, folder, unsigned=unsigned), settings.database_url.get_secret_value()
    reader, topic = TopicsReader(settings.kafka_bootstrap_servers), Topics(settings.topic_prefix).relay_position
    try:
        positions = patiently(lambda: positions_in(reader.read_to_end(topic)), "Kafka")
    except PositionError as error:
        fail(f"where the relays are cannot be read: {error}")
    published = min((position.cursor for position in positions.values()), default=(0, 0))
    with archive_errors(), naming("WAGERLEDGER_DATABASE_URL"):
        try:
            proven = patiently(lambda: prove(url, archive, month.date(), published), "PostgreSQL")
            on_ledger(lambda connection: run(connection, archive, month.date(), by, proven))
        except psycopg.errors.InsufficientPrivilege as error:
            fail(f"WAGERLEDGER_DATABASE_URL must name the role that migrates: {error}")
    content = {"month": f"{month:%Y-%m}", "events": proven.events, "table": f"wagerledger.event_log_{month:%Y_%m}"}
    text = (
        f"{proven.events} events of {month:%Y-%m} are in {folder} and no longer in the log. Keep the archive: `audit "
        f"verify --archive` needs it. The table {content['table']} can be dropped."
    )
    show(content, as_json=as_json, text=text)


def add_to(app: typer.Typer) -> None:
    app.command()(export)
    app.command()(restore)
    app.command()(detach)
