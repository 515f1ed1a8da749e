"""Times as they are kept: whole microseconds since the epoch, UTC."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(time_us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC time, without passing through a float. A time that no calendar of
    ours can say becomes the nearest one that it can: one event never blinds the reader of all the others.
    """
    try:
        return _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if time_us > 0 else datetime.min.replace(tzinfo=UTC)


def to_us(time: datetime) -> int:
    """An aware time as microseconds since the epoch, without passing through a float."""
    return (time - _EPOCH) // timedelta(microseconds=1)
