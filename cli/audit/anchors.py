"""`wagerledger seal`, `anchor-key` and `audit prove`: tree heads over the log, and proofs under them."""

import json
from typing import Annotated, Any

import typer

from cli.database import on_ledger
from cli.options import Json
from cli.output import COULD_NOT, FINDING, fail, show
from cli.settings import settings_or_fail


def seal(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Seal what is there, sign, publish, and end: for a scheduler.")
    ] = False,
) -> None:
    """Seal the log: every interval a signed tree head over all entries, to the topic and to WAGERLEDGER_ANCHOR_PATH,
    until SIGTERM or Ctrl-C. Exit code 1: another sealer seals it (with --once); 2: what was published contradicts the
    database.
    """
    from evidence.keys import AnchorKeyError
    from runtime.telemetry import configure_logging
    from sealer.sealer import run

    settings = settings_or_fail()
    configure_logging(settings, "sealer")
    try:
        code = run(settings, once=once)
    except (AnchorKeyError, OSError) as error:
        fail(str(error))
    raise typer.Exit(code)


def anchor_key(
    *,
    public: Annotated[
        bool, typer.Option("--public", help="Print the public key of WAGERLEDGER_ANCHOR_KEY instead of a new pair.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key pair for tree heads and archives. The private key is for the sealer alone; the public one is for
    auditors, from a place where nobody who could change the log can write.
    """
    from evidence.keys import AnchorKeyError, key_id, new_key, signing_key, to_text

    try:
        key = signing_key(settings_or_fail()) if public else new_key()
    except AnchorKeyError as error:
        fail(str(error))
    content = {} if public else {"private_key": to_text(key)}
    content |= {"public_key": to_text(key.public_key()), "key_id": key_id(key.public_key())}
    lines = [] if public else [f"WAGERLEDGER_ANCHOR_KEY={content['private_key']}"]
    lines.append(f"WAGERLEDGER_ANCHOR_PUBLIC_KEYS={content['public_key']}")
    show(content, as_json=as_json, text="\n".join(lines))


def prove(
    id_: Annotated[str | None, typer.Argument(metavar="[ID]", help="Of an event or of an administrative act.")] = None,
    *,
    command: Annotated[
        tuple[str, str, str] | None,
        typer.Option(help="Scope (the integration), operation and idempotency key of a command, refused or not."),
    ] = None,
    later: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Also prove that the head of this many entries, such as one you hold, extends it; 0: the newest.",
        ),
    ] = None,
) -> None:
    """Prove that one event, command, refusal or act is in the log: JSON for docs/check_inclusion.py. Exit code 1: there
    is no such proof.
    """
    from psycopg import Connection

    from evidence import proof
    from evidence.anchors import AnchorsError
    from evidence.keys import AnchorKeyError, trusted_keys

    if (id_ is None) == (command is None):
        fail("give the id of an event or an act, or --command SCOPE OPERATION KEY")
    settings = settings_or_fail()

    def proven(connection: Connection[Any]) -> dict[str, Any]:
        connection.execute("set transaction isolation level repeatable read, read only")
        if command:
            content = proof.prove_command(connection, *command, trusted)
        else:
            content = proof.prove_id(connection, str(id_), trusted)
        if later is not None:
            size = content["signed_head"]["head"]["tree_size"]
            content["later"] = proof.prove_extension(connection, size, later or None)
        return content

    try:
        trusted = trusted_keys(settings)
        content = on_ledger(proven)
    except (proof.ProofError, AnchorsError) as error:
        fail(str(error), FINDING)
    except AnchorKeyError as error:
        fail(str(error), COULD_NOT)
    print(json.dumps(content, indent=2))


def add_to(app: typer.Typer, audit: typer.Typer) -> None:
    app.command()(seal)
    app.command()(anchor_key)
    audit.command()(prove)
