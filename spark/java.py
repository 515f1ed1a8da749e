"""Which Java the jobs run on: a full one. The trimmed one that the embedded servers run on lacks what Spark needs.

`python -m spark.java` prints its home, or why there is none.
"""

import os
import shutil
import sys
from pathlib import Path

VERSIONS = "17", "21"
"""What Spark 4.0.0 runs on."""
MODULES = {"java.base", "java.logging", "java.management", "java.naming", "java.security.jgss", "java.sql", "java.xml"}
"""Some of the Java modules that Spark needs and that a trimmed Java lacks."""
INSTALLED = Path("/usr/lib/jvm")


class NoJavaError(Exception):
    """There is no full Java 17 or 21. The message says where it was looked for."""


def find_java() -> Path:
    """The home of a full Java 17 or 21: JAVA_HOME, else the `java` of the path, else what the system has installed.

    Raises NoJavaError.
    """
    named, found = os.environ.get("JAVA_HOME"), shutil.which("java")
    homes = [Path(named)] if named else []
    homes += [Path(found).resolve().parent.parent] if found else []
    homes += sorted(INSTALLED.iterdir()) if INSTALLED.is_dir() else []
    for home in homes:
        if _is_full(home):
            return home
    raise NoJavaError(
        f"no full Java {' or '.join(VERSIONS)} in JAVA_HOME, on the path or below {INSTALLED}: install one, "
        "such as the package openjdk-17-jre-headless"
    )


def _is_full(home: Path) -> bool:
    """Whether its `release` file says so."""
    try:
        lines = (home / "release").read_text().splitlines()
    except OSError:
        return False
    told = {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    major = told.get("JAVA_VERSION", "").partition(".")[0]
    modules = set(told.get("MODULES", "").split())
    return major in VERSIONS and modules >= MODULES and (home / "bin" / "java").exists()


if __name__ == "__main__":
    try:
        print(find_java())
    except NoJavaError as error:
        sys.exit(str(error))
