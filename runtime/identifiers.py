"""What a name from outside may look like."""

import re

ID = r"^[A-Za-z0-9_:.\-]{1,128}$"
PLAYER_ID = r"^[A-Za-z0-9_:.|\-]{1,128}$"
"""Some operators make theirs of several parts: 8|USDT|USD. A slash would end the part of a path, and of a Kafka key."""
CURRENCY = r"^[A-Z][A-Z0-9_]{2,15}$"

_id = re.compile(ID.removesuffix("$"))
_player_id = re.compile(PLAYER_ID.removesuffix("$"))
_currency = re.compile(CURRENCY.removesuffix("$"))
# National or international, bare or grouped. A shorter bare number is somebody's account number.
_phone = re.compile(r"(?:\+|00)?[0-9]+(?:[.\-][0-9]+)+|(?:\+|0)[0-9]+|[0-9]{10,15}")

NAME_FORM = "must not begin with -, which a command line takes for an option"
ID_RULE = "must be 1 to 128 of the characters A-Z a-z 0-9 _ : . -"
PLAYER_ID_RULE = f"{ID_RULE} |"


def is_id(text: str) -> bool:
    return _id.fullmatch(text) is not None


def name_fault(text: str) -> str | None:
    """Why `text` cannot name a brand, a region or a provider, or None when it can. Operators choose these and type them
    as arguments; ids that providers choose may begin as they like.
    """
    if not is_id(text):
        return ID_RULE
    return NAME_FORM if text.startswith("-") else None


def is_currency(text: str) -> bool:
    return _currency.fullmatch(text) is not None


def player_id_fault(text: str) -> str | None:
    """Why `text` cannot be a player's id, or None when it can. What looks like personal data is refused: it could never
    be erased from the log.
    """
    if "@" in text:
        return "looks like an e-mail address; send the operator's own opaque id"
    if any(map(_is_phone, text.split("|"))):
        return "looks like a phone number; send the operator's own opaque id, or put a letter before it"
    return None if _player_id.fullmatch(text) else PLAYER_ID_RULE


def _is_phone(text: str) -> bool:
    digits = sum(character.isdigit() for character in text)
    return 7 <= digits <= 15 and _phone.fullmatch(text) is not None
