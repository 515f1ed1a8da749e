"""JSON as RFC 8259 has it and nothing else, with numbers kept as they were written: no float ever touches an amount."""

import json
from typing import Any, NoReturn

MAX_DEPTH = 32


class MalformedJsonError(ValueError):
    """The bytes are not one plain JSON object. The message says why, without quoting them."""


class Number:
    """A JSON number as it was written: its token, such as 1.50."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    def __repr__(self) -> str:
        return self.token


def parse_object(body: bytes) -> dict[str, Any]:
    """The object in `body`; its numbers are `Number`. Raises MalformedJsonError, also for repeated names, lone
    surrogates and deep nesting.
    """
    try:
        text = body.decode()
        value = _decoder.decode(text)
    except UnicodeDecodeError as error:
        raise MalformedJsonError(f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise MalformedJsonError(f"{error.msg.lower()} at character {error.pos}") from error
    except RecursionError as error:
        raise MalformedJsonError(_TOO_DEEP) from error
    if not isinstance(value, dict):
        raise MalformedJsonError("it must be an object")
    # Both checks walk the whole value, so they run only where the text could fail them.
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise MalformedJsonError(_TOO_DEEP)
    if "\\u" in text and not _is_unicode(value):
        raise MalformedJsonError("a surrogate stands alone")
    return value


_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedJsonError("a name is repeated within one object")
    return value


def _no_constant(token: str) -> NoReturn:
    raise MalformedJsonError(f"{token} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_no_constant
)


def _depth(value: Any) -> int:
    """Breadth first: the nesting is the caller's, the stack is ours."""
    depth, level = 0, [value]
    while level:
        level = [inner for outer in level for inner in _inner(outer) if isinstance(inner, dict | list)]
        depth += 1
    return depth


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_unicode(value: Any) -> bool:
    level = [value]
    while level:
        outer = level.pop()
        if isinstance(outer, dict):
            level.extend(outer)
        level.extend(_inner(outer))
        if isinstance(outer, str):
            try:
                outer.encode()
            except UnicodeEncodeError:
                return False
    return True


def dump(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8; a `Number` is written as its token, so that a decimal stays what it is."""
    return _dumped(value).encode()


def _dumped(value: Any) -> str:
    # The usual ones first, and no detour over `json.dumps`: every answer of every dialect comes by here.
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{_quoted(name)}:{_dumped(one)}" for name, one in value.items()]) + "}"
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, Number):
        return value.token
    assert isinstance(value, list | tuple), f"{type(value).__name__} has no JSON here; an amount is never a float"
    return "[" + ",".join(map(_dumped, value)) + "]"


_quoted = json.encoder.encode_basestring
_WORDS = {None: "null", True: "true", False: "false"}
