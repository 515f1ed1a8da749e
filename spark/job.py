"""The command line of a job: the archive or the topics that it reads, and where it runs."""

import argparse
import sys
from collections.abc import Callable

from pyspark.sql import SparkSession

from runtime.settings import Settings, load_settings
from sandbox.servers.artifacts import DownloadError
from schemas.registry import RegistryUnavailableError, SchemaMismatchError
from spark.java import NoJavaError
from spark.session import session

Job = Callable[[SparkSession, str | None, Settings | None], int]
"""Gets an archive's folder, or the settings of the topics; gives the exit code."""


def run(name: str, description: str, job: Job) -> int:
    """Run `python -m spark.<name>`. Gives the exit code; 2: it could not be read."""
    options = argparse.ArgumentParser(prog=f"python -m spark.{name}", description=description)
    options.add_argument("--archive", help="folder (or any file system's address) of an archive")
    options.add_argument("--topics", action="store_true", help="the topics of the environment's settings")
    options.add_argument("--master", default="local[*]", help="Spark's master; default: this machine")
    asked = options.parse_args()
    if bool(asked.archive) == asked.topics:
        options.error("say either --archive FOLDER or --topics")
    try:
        with session(name, asked.master) as spark:
            return job(spark, asked.archive, load_settings() if asked.topics else None)
    except (NoJavaError, DownloadError, RegistryUnavailableError, SchemaMismatchError) as error:
        print(error, file=sys.stderr)
        return 2
