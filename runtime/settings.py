"""All settings, from environment variables `WAGERLEDGER_*`; a variable with `_FILE` appended names a file that holds
the value.

`python -m runtime.settings` prints their page of the reference.
"""

import os
import re
from ipaddress import ip_network
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, NonNegativeInt, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from patience import Patience
from runtime.residency import Residency

PREFIX = "WAGERLEDGER_"


class Settings(BaseSettings):
    """The settings of a process. Every field is described here once, and in docs/reference/settings.md."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: SecretStr = Field(
        SecretStr("postgresql://wagerledger@127.0.0.1:5432/wagerledger"), description="The ledger's PostgreSQL."
    )
    bi_database_url: SecretStr = Field(
        SecretStr("postgresql://wagerledger@127.0.0.1:5433/wagerledger_bi"),
        description="The read models' PostgreSQL: another instance.",
    )
    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers.")
    schema_registry_url: SecretStr = Field(
        SecretStr("http://127.0.0.1:8081"), description="Confluent-compatible schema registry."
    )
    topic_prefix: str = Field("", description="Put before every topic's name.", pattern=r"[A-Za-z0-9._-]{0,64}")
    topic_partitions: PositiveInt = Field(6, description="Partitions of new topics; never changed after the first use.")
    topic_replication: PositiveInt = Field(1, description="Replicas of new topics; 3 in production.")
    secrets_key: SecretStr | None = Field(
        None, description="32 bytes, base64: encrypts the integrations' secrets at rest."
    )

    regions: str = Field(
        "",
        description="Regions whose data this deployment may hold, separated by commas; integrations, commands and "
        "events of another are refused. Empty: every region.",
    )

    gateway_host: str = Field("127.0.0.1", description="Address the gateway listens on.")
    gateway_port: int = Field(8080, description="Port the gateway listens on; 0 takes a free one.")
    gateway_reuse_port: bool = Field(
        False,
        description="Let several gateways of this machine share the port; the kernel spreads connections over them.",
    )
    gateway_connections: PositiveInt = Field(
        4096,
        description="Most connections of one gateway process, fewer where it may not open as many files; one more is "
        "closed at once.",
    )
    gateway_keep_alive_s: PositiveInt = Field(
        75,
        description="Seconds until an idle connection is closed. A balancer before the gateway must give idle "
        "connections up sooner.",
    )
    gateway_public_url: str = Field(
        "", description="Where providers reach the gateway, such as https://wallet.example. Default: host and port."
    )
    trusted_proxies: str = Field(
        "",
        description="Networks of our own proxies, separated by commas. Only they may say by X-Forwarded-For and "
        "X-Client-Certificate-SHA256 who calls.",
    )
    metrics_host: str = Field("127.0.0.1", description="Internal address of /metrics.")
    metrics_port: int | None = Field(
        None, description="Internal port of /metrics; 0 takes a free one, unset serves none."
    )
    body_limit_bytes: PositiveInt = Field(64 * 1024, description="Largest callback body.")
    signature_window_s: PositiveInt = Field(300, description="How far a signature's time may be from ours.")
    session_ttl_s: PositiveInt = Field(3600, description="How long a session takes bets; play moves its end.")
    rate_limit_per_s: int = Field(0, ge=0, description="Callbacks per second and integration; 0 is no limit.")

    journal_writers: PositiveInt = Field(
        1,
        description="Writers per gateway process, each with one database connection; more make smaller batches.",
    )
    journal_batch: PositiveInt = Field(128, description="Most callbacks of one database transaction.")
    journal_queue: PositiveInt = Field(4096, description="Most callbacks that wait; past it the answer is 503.")
    journal_queue_per_integration: PositiveInt = Field(
        2048, description="Most callbacks of one integration that wait; past it the answer is 503."
    )
    journal_deadline_ms: PositiveInt = Field(5000, description="Longest that a callback waits for its commit.")

    dual_write: str = Field(
        "",
        description="Other forms of event types that are written too while readers move, such as bet.settled.v2; "
        "separated by commas.",
    )

    relay_shard: int = Field(0, ge=0, description="Shard of this relay.")
    relay_shards: PositiveInt = Field(1, description="Shards in all; changing it is a stop-and-migrate.")
    relay_batch_rows: PositiveInt = Field(2000, description="Most events of one Kafka transaction.")
    relay_batch_bytes: PositiveInt = Field(
        4 * 1024 * 1024, description="Most bytes of one Kafka transaction, per face."
    )
    relay_poll_ms: PositiveInt = Field(50, description="Longest pause between two polls of an idle log.")

    projector_group: str = Field("wagerledger-projector", description="Kafka consumer group of the projectors.")
    projector_batch: PositiveInt = Field(5000, description="Most events of one projection transaction.")
    projector_page_host: str = Field(
        "127.0.0.1",
        description="Address of the projector's web page. It asks nobody who they are: put your own proxy before it.",
    )
    projector_page_port: int | None = Field(
        None, description="Port of the projector's web page; 0 takes a free one, unset serves none."
    )
    projector_page_database_url: SecretStr | None = Field(
        None,
        description="The read models as the web page reads them; a role of its own limits what it shows. Default: "
        "as the projector, in transactions that cannot write.",
    )

    anchor_key: SecretStr | None = Field(
        None, description="Ed25519 private key, 32 bytes in base64: signs tree heads and archives; only for the sealer."
    )
    anchor_public_keys: str = Field(
        "",
        description="Ed25519 public keys in base64, separated by commas, that heads and archives are checked with: the "
        "sealer's, and those before it. Default: that of the private key.",
    )
    anchor_log: str = Field(
        "wagerledger", description="Name of this log in its tree heads.", pattern=r"[A-Za-z0-9._/-]{1,200}"
    )
    anchor_interval_s: PositiveInt = Field(60, description="Seconds between two tree heads.")
    anchor_path: str = Field(
        "", description="File that tree heads are appended to, for storage outside; empty writes none."
    )

    patience_s: NonNegativeInt = Field(
        30,
        description="How long a command tries again what may pass, such as a server that restarts; 0 tries once. "
        "Processes wait for as long as it takes.",
    )

    log_format: str = Field("json", pattern="json|console", description="json for machines, console for people.")
    log_level: str = Field("info", description="debug, info, warning or error.")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for part in filter(None, map(str.strip, text.split(","))):
            try:
                ip_network(part)
            except ValueError as error:
                raise ValueError(f"{error}: networks are written 203.0.113.0/24,2001:db8::/32") from error
        return text

    @field_validator("regions")
    @classmethod
    def _are_regions(cls, text: str) -> str:
        Residency.parse(text)
        return text

    @field_validator("dual_write")
    @classmethod
    def _are_variants(cls, names: str) -> str:
        from schemas import dual_write

        dual_write.chosen(names)
        return names

    @property
    def residency(self) -> Residency:
        return Residency.parse(self.regions)

    @property
    def patience(self) -> Patience:
        return Patience(self.patience_s)

    @property
    def gateway_url(self) -> str:
        """The URL at which providers reach the gateway: the public one, else host and port."""
        host = f"[{self.gateway_host}]" if ":" in self.gateway_host else self.gateway_host
        return self.gateway_public_url.rstrip("/") or f"http://{host}:{self.gateway_port}"

    @field_validator("database_url", "bi_database_url", "projector_page_database_url")
    @classmethod
    def _is_database_url(cls, url: SecretStr | None) -> SecretStr | None:
        """Check a database URL here, because the drivers quote what they cannot read, and that is most often the
        password.
        """
        if url is None:
            return None
        try:
            parts = conninfo_to_dict(url.get_secret_value())
        except psycopg.ProgrammingError:
            parts = None
        if parts is None or any("@" in str(parts.get(name, "")) for name in ("host", "dbname")):
            raise ValueError(
                "is no PostgreSQL URL (postgresql://user:password@host:port/database); "
                "special characters of the password must be percent-encoded"
            )
        return url

    @field_validator("schema_registry_url")
    @classmethod
    def _is_registry_url(cls, url: SecretStr) -> SecretStr:
        """Check the registry's URL here, because the client quotes what it cannot read, credentials and all."""
        if not all(re.fullmatch(r"https?://[^/]\S*", one.strip()) for one in url.get_secret_value().split(",")):
            raise ValueError("is no URL of a schema registry (http://host:port/path)")
        return url


def load_settings() -> Settings:
    """Settings from the environment. Raises ValueError, naming the variable: a bad value or an unreadable `_FILE`."""
    from_files = {}
    for name in Settings.model_fields:
        variable = f"{PREFIX}{name.upper()}_FILE"
        if path := os.environ.get(variable):
            try:
                from_files[name] = Path(path).read_text().strip()
            except OSError as error:
                raise ValueError(f"{variable}: cannot read {path}: {error.strerror}") from error
    return Settings(**from_files)  # type: ignore[arg-type]  # pydantic reads the text


def reference_page() -> str:
    """The text of docs/reference/settings.md: every variable with its default and meaning."""
    lines = [
        "# Settings",
        "",
        "Environment variables, read once at start. With `_FILE` appended a variable names a file that holds the",
        "value, as secrets should be given. `wagerledger doctor` tries them and names the one that is wrong.",
        "",
        "Made from `runtime/settings.py` by `python -m runtime.settings`.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = "" if default in (None, "") else f"`{default}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference_page(), end="")
