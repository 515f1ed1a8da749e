"""Who signed: the body is `{"payload": "<JWS>"}`, by RS256 or ES256 and a key of the one (iss, aud), near our time."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.strict_json import MalformedJsonError, Number, parse_object

SKEW_S = 30

_PART = rb"([A-Za-z0-9_\-]+)"
_ENVELOPE = re.compile(rb'\s*\{\s*"payload"\s*:\s*"' + rb"\.".join([_PART] * 3) + rb'"\s*\}\s*')
_TIME = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,20})?")


class Token(NamedTuple):
    """What of a JWS says who signed; `signed` is what the signature covers. Nothing is verified, and of the payload
    nothing is read.
    """

    header: Mapping[str, Any]
    signature: bytes
    signed: bytes


def verify(call: Call) -> bytes:
    """A GET carries no token: the session key that it names is what proves it, and the ledger looks for that."""
    if call.method == "GET":
        if call.option("identify") != "on" or not call.query:
            raise Rejected("SIGNATURE_MISSING")
        return call.query
    token = _token_of(call.body)
    if token is None or not _is_signed(token, call.public_keys):
        raise Rejected("SIGNATURE_INVALID" if call.body else "SIGNATURE_MISSING")
    said = claims_of(call)
    if _parties(said) != {"iss": call.option("iss"), "aud": call.option("aud")}:
        raise Rejected("SIGNATURE_INVALID")
    _check_times(said, now=Decimal(call.received_at) / 1_000_000)
    return token.signed


def claims_of(call: Call) -> Mapping[str, Any]:
    """All that the token says. Raises Rejected MALFORMED_REQUEST."""
    envelope = _ENVELOPE.fullmatch(call.body)
    try:
        return parse_object(_decoded(envelope[2]) if envelope else b"")
    except (ValueError, MalformedJsonError) as error:
        raise Rejected("MALFORMED_REQUEST", reason="the claims are not one plain JSON object") from error


def parties(call: Call) -> dict[str, str]:
    """Issuer and audience as the token says them, proven or not. Empty where it has no single ones."""
    try:
        return _parties(claims_of(call))
    except Rejected:
        return {}


def _parties(said: Mapping[str, Any]) -> dict[str, str]:
    issuer, audience = said.get("iss"), said.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not (isinstance(issuer, str) and isinstance(audience, str) and issuer and audience):
        return {}
    return {"iss": issuer, "aud": audience}


def _token_of(body: bytes) -> Token | None:
    """The token in a body, or None where the body is not exactly one canonical compact JWS."""
    envelope = _ENVELOPE.fullmatch(body)
    if envelope is None:
        return None
    header, payload, signature = envelope.groups()
    try:
        signed = header + b"." + payload
        _decoded(payload)
        return Token(parse_object(_decoded(header)), _decoded(signature), signed)
    except (ValueError, MalformedJsonError):
        return None


def _decoded(text: bytes) -> bytes:
    """Raises ValueError unless `text` is the one spelling of its bytes."""
    value = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if urlsafe_b64encode(value).rstrip(b"=") != text:
        raise ValueError
    return value


def _is_signed(token: Token, keys: Iterable[object]) -> bool:
    """Only the two algorithms, and each only by its own kind of key: no `none`, no secret made of a public key."""
    algorithm = token.header.get("alg")
    if "crit" in token.header:  # asks for what we do not know (RFC 7515, 4.1.11)
        return False
    found = False
    for key in keys:
        if algorithm == "RS256" and isinstance(key, rsa.RSAPublicKey):
            found |= _is_rs256(key, token)
        elif algorithm == "ES256" and isinstance(key, ec.EllipticCurvePublicKey):
            found |= _is_es256(key, token)
    return found


def _is_rs256(key: rsa.RSAPublicKey, token: Token) -> bool:
    try:
        key.verify(token.signature, token.signed, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _is_es256(key: ec.EllipticCurvePublicKey, token: Token) -> bool:
    """A JWS has the two numbers of 32 bytes side by side (RFC 7518, 3.4)."""
    if not isinstance(key.curve, ec.SECP256R1) or len(token.signature) != 64:
        return False
    r, s = (int.from_bytes(half) for half in (token.signature[:32], token.signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _check_times(said: Mapping[str, Any], now: Decimal) -> None:
    """`exp` is a must; `iat` and `nbf` may not lie ahead. Seconds, whole or not."""
    times = {name: _time(said[name]) for name in ("exp", "iat", "nbf") if said.get(name) is not None}
    if "exp" not in times or None in times.values():
        raise Rejected("SIGNATURE_INVALID")
    ahead = [at for name, at in times.items() if name != "exp" and at is not None and at > now + SKEW_S]
    if ahead or (times["exp"] or 0) <= now - SKEW_S:
        raise Rejected("SIGNATURE_EXPIRED", window_s=SKEW_S)


def _time(value: object) -> Decimal | None:
    if not isinstance(value, Number) or _TIME.fullmatch(value.token) is None:
        return None
    return Decimal(value.token)
