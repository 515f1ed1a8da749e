"""Options: what an integration may say otherwise than others of its dialect."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of an integration, as `integration add --option name=value` takes it: text, never a secret."""

    help: str
    """For the operator: what the option says."""
    default: str = ""
    """The value where an integration says nothing."""
    choices: tuple[str, ...] = ()
    """All values that there are. Empty: any text that matches `pattern`."""
    required: bool = False
    """Whether each integration must say it."""
    pattern: str = ""
    """A regular expression for the whole value. Empty: any text."""


class OptionError(ValueError):
    """An option has a value that means nothing; the message says which and what it may be."""


def networks(text: str) -> tuple[Network, ...]:
    """The networks of a comma-separated list of networks or addresses, such as 203.0.113.0/24. Raises OptionError."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise OptionError(f"{error}: networks are written 203.0.113.0/24,2001:db8::/32") from error
