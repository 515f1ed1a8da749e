"""The download cache holds what the lock says, or nothing. Maven repositories on disk stand in for the network."""

import hashlib
import io
import os
import tarfile
import threading

import pytest

from sandbox.servers import artifacts
from sandbox.servers.artifacts import Artifact, DownloadError, fetch, read_lock, unpacked

CONTENT = b"a jar, more or less"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of our own, and nobody out there who could answer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WAGERLEDGER_MAVEN_REPOSITORY_URL", "http://127.0.0.1:1/")
    monkeypatch.setattr(artifacts, "ATTEMPTS", 1)
    return tmp_path / "cache" / "wagerledger"


@pytest.fixture
def repository(tmp_path):
    return tmp_path / "repository"


def published(repository, content, *, packaging="jar", expected=None):
    """Put a file into a Maven repository and return what a lock says of it."""
    folder = repository / "org" / "example" / "thing" / "1.0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"thing-1.0.{packaging}").write_bytes(content)
    sha256 = hashlib.sha256(content if expected is None else expected).hexdigest()
    return Artifact("kafka", "org.example", "thing", "1.0", "", packaging, len(content), sha256)


def test_good_file_is_kept(repository):
    """A file with the right checksum comes into the cache, and is taken from there ever after."""
    artifact = published(repository, CONTENT)
    fetch([artifact], local_repositories=[repository])
    assert artifact.path.read_bytes() == CONTENT
    fetch([artifact], local_repositories=[])


def test_a_download_leaves_the_environment_as_it_was(repository, monkeypatch):
    """Whom a download trusts is said in the environment while it lasts, and to nobody afterwards."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    before = dict(os.environ)
    fetch([published(repository, CONTENT)], local_repositories=[repository])
    assert dict(os.environ) == before


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b" and a worm"])
def test_wrong_file_is_refused(repository, cache, content):
    """A file that is cut short or changed is refused with both checksums, and nothing of it stays."""
    artifact = published(repository, content, expected=CONTENT)
    with pytest.raises(DownloadError, match=artifact.sha256):
        fetch([artifact], local_repositories=[repository])
    assert [path for path in cache.rglob("*") if path.name != "lock"] == []


def test_refused_file_is_fetched_again(repository):
    """After a bad download, the next attempt with a good one works."""
    artifact = published(repository, b"garbage", expected=CONTENT)
    with pytest.raises(DownloadError):
        fetch([artifact], local_repositories=[repository])
    published(repository, CONTENT)
    fetch([artifact], local_repositories=[repository])
    assert artifact.path.exists()


def test_unreachable_repository_is_told(repository):
    """Without network the error names the file that is missing."""
    artifact = published(repository, CONTENT)
    with pytest.raises(DownloadError, match=r"thing-1\.0\.jar"):
        fetch([artifact], local_repositories=[])


def test_remains_of_an_interrupted_download_do_no_harm(repository, cache):
    """What a killed download left behind is swept away, never used."""
    (cache / "unfinished" / "old").mkdir(parents=True)
    (cache / "unfinished" / "copy").write_bytes(b"half")
    artifact = published(repository, CONTENT)
    fetch([artifact], local_repositories=[repository])
    assert not (cache / "unfinished").exists()
    assert artifact.path.read_bytes() == CONTENT


def test_many_at_once_do_not_collide(repository):
    """Eight that fetch the same file at once all find it whole."""
    artifact = published(repository, CONTENT * 100_000)
    failures = []

    def work():
        try:
            fetch([artifact], local_repositories=[repository])
            assert len(artifact.path.read_bytes()) == artifact.size_bytes
        except (AssertionError, DownloadError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_archive_is_unpacked_once(repository):
    """An archive becomes a folder, complete or not there at all."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("app/run.jar")
        entry.size = len(CONTENT)
        archive.addfile(entry, io.BytesIO(CONTENT))
    artifact = published(repository, buffer.getvalue(), packaging="tar.gz")
    fetch([artifact], local_repositories=[repository])
    folder = unpacked(artifact)
    assert (folder / "app" / "run.jar").read_bytes() == CONTENT
    assert unpacked(artifact) == folder


def test_archive_cannot_write_elsewhere(repository, cache):
    """An archive whose entries point outside of its folder is refused."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../../escaped"))
    artifact = published(repository, buffer.getvalue(), packaging="tar.gz")
    fetch([artifact], local_repositories=[repository])
    with pytest.raises(tarfile.TarError):
        unpacked(artifact)
    assert not list(cache.rglob("escaped"))


def test_progress_reaches_the_end(repository):
    """Whoever waits sees how much there is, and that it has all come."""
    heard = []
    artifact = published(repository, CONTENT * 100_000)
    fetch([artifact], report=lambda name, state: heard.append((name, state)), local_repositories=[repository])
    assert heard[-1] == ("download", "1 of 1 MB")


def test_lock_names_each_file_once_with_its_checksum():
    """Every artifact of the stack is pinned to one version and one checksum, and all of Kafka to the same version."""
    lock = read_lock()
    assert len({(each.group, each.artifact) for each in lock}) == len(lock)
    assert all(len(each.sha256) == 64 and each.size_bytes > 0 for each in lock)
    assert {each.version for each in lock if each.group == "org.apache.kafka"} == {"4.2.1"}
    assert [each.artifact for each in lock if each.server == "registry"] == ["apicurio-registry-app"]
