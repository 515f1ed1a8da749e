"""The jars of the embedded stack: pinned by `artifacts.lock`, fetched once, checked against their sha256, cached.

The cache is content-addressed: a file or folder whose name is there was complete and verified when it got that name, so
an interrupted download never poisons it. `python -m sandbox.servers.artifacts` resolves
everything anew and rewrites the lock.
"""

import contextlib
import hashlib
import os
import shutil
import ssl
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
from jgo.maven import Artifact as MavenArtifact
from jgo.maven import MavenContext, PythonResolver

from sandbox.servers.file_lock import FileLock
from sandbox.servers.process import StartError, StateReport, silent

LOCK_PATH = Path(__file__).with_name("artifacts.lock")
LOCK_HEADER = "# Made by `make lock`: server, group, artifact, version, classifier, packaging, bytes, sha256.\n"
CA_BUNDLE = "REQUESTS_CA_BUNDLE"
ATTEMPTS = 3
TIMEOUT_S = 60
CHUNK_BYTES = 1024 * 1024
MEGABYTE = 1_000_000

# group, artifact, version
# Not 4.3.0 to 4.4.0: they skip the transaction markers of a partition that is without a leader for a moment
# (KAFKA-20734), so aborted records become visible or committed ones are lost. See docs/operations.md.
KAFKA = ("org.apache.kafka", "kafka_2.13", "4.2.1")
# Brings the broker's log lines to its log; without it they are dropped in silence.
LOG_BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")
REGISTRY = ("io.apicurio", "apicurio-registry-app", "3.3.3")


class DownloadError(StartError):
    """An artifact could not be fetched, or what came is not what the lock says."""


@dataclass(frozen=True, slots=True)
class Artifact:
    server: str
    group: str
    artifact: str
    version: str
    classifier: str
    packaging: str
    size_bytes: int
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}{self.classifier and '-' + self.classifier}.{self.packaging}"

    @property
    def path(self) -> Path:
        return cache_folder() / "artifacts" / self.sha256 / self.filename


def cache_folder() -> Path:
    """The folder of downloads: `$XDG_CACHE_HOME/wagerledger`, else `~/.cache/wagerledger`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "wagerledger"


def read_lock(path: Path = LOCK_PATH) -> list[Artifact]:
    artifacts = []
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            *names, size_bytes, sha256 = ("" if field == "-" else field for field in line.split())
            server, group, artifact, version, classifier, packaging = names
            artifacts.append(
                Artifact(
                    server, group, artifact, version, classifier, packaging, size_bytes=int(size_bytes), sha256=sha256
                )
            )
    return artifacts


def of_server(server: str) -> list[Artifact]:
    return [artifact for artifact in read_lock() if artifact.server == server]


def fetch(
    artifacts: list[Artifact], *, report: StateReport = silent, local_repositories: list[Path] | None = None
) -> None:
    """Bring all artifacts into the cache; no network where they are there already.

    Two processes at once are fine. `local_repositories` are Maven repositories on disk to look into before the network.
    Raises DownloadError.
    """
    if all(artifact.path.exists() for artifact in artifacts):
        return
    with exclusive_cache() as folder, _trusting_as_the_machine_does():
        missing = [artifact for artifact in artifacts if not artifact.path.exists()]
        progress = DownloadProgress(sum(artifact.size_bytes for artifact in missing), report)
        for artifact in missing:
            _fetch_one(artifact, folder, progress, local_repositories or [])


@contextlib.contextmanager
def _trusting_as_the_machine_does() -> Iterator[None]:
    """Trust the authorities of this machine, perhaps a company's own, as pip does; requests alone has a fixed list. It
    looks for another one in the environment, which is everybody's: afterwards it is as it was.
    """
    authorities = ssl.get_default_verify_paths().cafile
    if not authorities or CA_BUNDLE in os.environ:
        yield
        return
    os.environ[CA_BUNDLE] = authorities
    try:
        yield
    finally:
        del os.environ[CA_BUNDLE]


@contextlib.contextmanager
def exclusive_cache() -> Iterator[Path]:
    """Hold the cache alone, with a temporary folder inside that is gone afterwards, or when the next one comes."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        unfinished = cache / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            yield unfinished
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


class DownloadProgress:
    """How much of all downloads has come, reported in steps of five per cent."""

    def __init__(self, total_bytes: int, report: StateReport) -> None:
        self.total_bytes = total_bytes
        self.report = report
        self.done_bytes = 0
        self.step = -1

    def add(self, count_bytes: int) -> None:
        self.done_bytes += count_bytes
        step = 20 * self.done_bytes // max(self.total_bytes, 1)
        if step != self.step:
            self.step = step
            self.report("download", f"{self.done_bytes // MEGABYTE} of {self.total_bytes // MEGABYTE} MB")

    @contextlib.contextmanager
    def file(self, filename: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """The form in which jgo reports a file."""
        yield self.add


def _fetch_one(artifact: Artifact, folder: Path, progress: DownloadProgress, local_repositories: list[Path]) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        before_bytes = progress.done_bytes
        # A new folder for each attempt: jgo takes a half-written file of an earlier one for the real thing.
        with tempfile.TemporaryDirectory(dir=folder) as attempt_folder:
            try:
                _store(artifact, _resolve(artifact, Path(attempt_folder), progress, local_repositories), folder)
            except (DownloadError, requests.RequestException, RuntimeError, OSError) as error:
                if attempt == ATTEMPTS:
                    raise DownloadError(f"cannot fetch {artifact.filename}, tried {ATTEMPTS} times: {error}") from error
                progress.done_bytes = before_bytes
                time.sleep(attempt)
            else:
                progress.done_bytes = before_bytes
                progress.add(artifact.size_bytes)
                return


def _resolve(artifact: Artifact, folder: Path, progress: DownloadProgress, local_repositories: list[Path]) -> Path:
    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress.file),
        repo_cache=folder,
        local_repos=local_repositories,
        remote_repos=remote_repositories(),
        timeout=TIMEOUT_S,
    )
    wanted = (artifact.group, artifact.artifact, artifact.version, artifact.classifier, artifact.packaging)
    return Path(_artifact(context, *wanted).resolve())


def remote_repositories() -> dict[str, str] | None:
    """Maven Central, or the mirror that WAGERLEDGER_MAVEN_REPOSITORY_URL names."""
    url = os.environ.get("WAGERLEDGER_MAVEN_REPOSITORY_URL")
    return {"mirror": url.rstrip("/")} if url else None


def _store(artifact: Artifact, source: Path, folder: Path) -> None:
    """Copy, check, and only then give it its name."""
    sha256 = hashlib.sha256()
    copy = folder / "copy"
    with source.open("rb") as reader, copy.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            sha256.update(chunk)
            writer.write(chunk)
        os.fsync(writer.fileno())
    if sha256.hexdigest() != artifact.sha256:
        raise DownloadError(f"its sha256 is {sha256.hexdigest()}, the lock says {artifact.sha256}; it was not kept")
    artifact.path.parent.mkdir(parents=True, exist_ok=True)
    copy.replace(artifact.path)


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    """Unpack below `target` and nowhere else. Raises tarfile.TarError for an archive that wants more."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(target, filter="data")
        return
    for member in archive.getmembers():  # Python before 3.11.4 has no filters
        path = Path(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name} would be unpacked outside of its folder, or is no plain file")
    archive.extractall(target)  # noqa: S202  # checked just now


def unpacked(artifact: Artifact, *, report: StateReport = silent) -> Path:
    """The folder with the content of a fetched tar archive."""
    target = cache_folder() / "unpacked" / artifact.sha256
    if not target.exists():
        with exclusive_cache() as folder:
            if not target.exists():
                report("download", f"unpacking {artifact.filename}")
                with tarfile.open(artifact.path) as archive:
                    _extract(archive, folder / "content")
                target.parent.mkdir(exist_ok=True)
                (folder / "content").replace(target)
    return target


def make_lock() -> str:
    """Resolve the roots with everything they need, and write down what came."""
    lines = [LOCK_HEADER]
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), remote_repos=remote_repositories(), timeout=TIMEOUT_S)
        # Each root on its own: resolved together, the managed versions of one would replace dependencies of the other.
        direct, transitive = context.resolver.resolve([context.create_dependency(":".join(KAFKA))])
        kafka = [dependency.artifact for dependency in (*direct, *transitive)]
        lines += sorted(_lock_line("kafka", artifact) for artifact in (*kafka, _artifact(context, *LOG_BINDING)))
        lines.append(_lock_line("registry", _artifact(context, *REGISTRY, classifier="all", packaging="tar.gz")))
    return "".join(lines)


def _artifact(
    context: MavenContext, group: str, name: str, version: str, classifier: str = "", packaging: str = "jar"
) -> MavenArtifact:
    return context.project(group, name).at_version(version).artifact(classifier, packaging)


def _lock_line(server: str, artifact: MavenArtifact) -> str:
    content = Path(artifact.resolve()).read_bytes()
    names = (artifact.groupId, artifact.artifactId, artifact.version, artifact.classifier or "-", artifact.packaging)
    return " ".join((server, *names, str(len(content)), hashlib.sha256(content).hexdigest())) + "\n"


if __name__ == "__main__":
    LOCK_PATH.write_text(make_lock(), "utf-8")
