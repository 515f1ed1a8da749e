"""A Spark session for a job."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from spark import jars
from spark.java import find_java


@contextmanager
def session(name: str, master: str) -> Iterator[SparkSession]:
    """Open a session with the connectors of `spark.jars`. Raises NoJavaError, DownloadError."""
    os.environ["JAVA_HOME"] = str(find_java())
    # Its launcher reads these; a session of another version elsewhere on the machine is not meant.
    os.environ.pop("SPARK_HOME", None)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = (
        SparkSession.builder.appName(f"wagerledger {name}")
        .master(master)
        .config("spark.jars", ",".join(map(str, jars.fetch())))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.ansi.enabled", "true")  # an overflow is an error, never another number
        .config("spark.log.level", "ERROR")
        .config("spark.ui.showConsoleProgress", str(sys.stderr.isatty()).lower())
    )
    if master.startswith("local"):
        builder = builder.config("spark.sql.shuffle.partitions", "4")  # its 200 are for a cluster
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()
