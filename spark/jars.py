"""The connectors that the jobs need: pinned by `jars.lock`, fetched and checked as the jars of the embedded stack are.

`python -m spark.jars` resolves them anew and rewrites the lock.
"""

import hashlib
import tempfile
from pathlib import Path

from jgo.maven import MavenContext, PythonResolver

from sandbox.servers import artifacts
from sandbox.servers.process import StateReport, silent

LOCK_PATH = Path(__file__).with_name("jars.lock")
LOCK_HEADER = "# Made by `python -m spark.jars`: job, group, artifact, version, classifier, packaging, bytes, sha256.\n"

SPARK_VERSION = "4.0.0"
"""Later versions lack one of the connectors."""
COORDINATES = (
    ("org.apache.spark", "spark-avro_2.13", SPARK_VERSION),
    ("org.apache.spark", "spark-sql-kafka-0-10_2.13", SPARK_VERSION),
    ("org.apache.spark", "spark-token-provider-kafka-0-10_2.13", SPARK_VERSION),
    ("org.apache.kafka", "kafka-clients", "3.9.1"),
    ("org.apache.commons", "commons-pool2", "2.12.1"),
)
"""What spark-avro and spark-sql-kafka add to what PySpark brings along."""


def fetch(*, report: StateReport = silent) -> list[Path]:
    """The jars, in the cache. Raises sandbox.servers.artifacts.DownloadError."""
    jars = artifacts.read_lock(LOCK_PATH)
    artifacts.fetch(jars, report=report)
    return [jar.path for jar in jars]


def make_lock() -> str:
    lines = [LOCK_HEADER]
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(
            resolver=PythonResolver(),
            repo_cache=Path(folder),
            remote_repos=artifacts.remote_repositories(),
            timeout=artifacts.TIMEOUT_S,
        )
        for group, name, version in COORDINATES:
            content = Path(context.project(group, name).at_version(version).artifact("", "jar").resolve()).read_bytes()
            size, digest = len(content), hashlib.sha256(content).hexdigest()
            lines.append(f"spark {group} {name} {version} - jar {size} {digest}\n")
    return "".join(lines)


if __name__ == "__main__":
    LOCK_PATH.write_text(make_lock(), "utf-8")
