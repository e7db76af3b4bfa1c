"""Everything that can be set from outside, as one frozen object read once at start-up.

Values come from the environment, then from a `.env` file in the working folder, then from the defaults here. Each field
says what it does: `.env.example`, the table in the README and `guestprefs doctor` are held to this list by tests.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "GUESTPREFS_"
DATABASE_URLS = r"^(postgresql(\+asyncpg)?://.+|sqlite:///.+|memory://)$"
DATABASE_FILE = "guestprefs.db"
KEYS_FILE = "keys.json"
CORS_ORIGINS = r"^(\*|(https?://[A-Za-z0-9.:\[\]-]+)(\s*,\s*https?://[A-Za-z0-9.:\[\]-]+)*)?$"
REDIS_URLS = r"^((redis|rediss|unix)://.+)?$"
CACHE_KEY_FILE = "cache.key"
ISSUER_URLS = r"^(\s*(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])\S+)*\s*$"
NETWORKS = r"^(\s*[0-9a-fA-F.:]+/[0-9]{1,3})*\s*$"
LEDGER_KEY_FILE = "ledger.key"
LEDGER_FOLDER = "ledger"
VAULT_FILE = "vault.json"
RECEIPT_KEYS_FILE = "receipts.json"
ERASURES_FILE = "erasures.jsonl"


def _sqlite_in(validated: dict[str, Any]) -> str:
    return f"sqlite:///{validated.get('data', Path('data')) / DATABASE_FILE}"


def _keys_in(validated: dict[str, Any]) -> Path:
    return Path(validated.get("data", Path("data"))) / KEYS_FILE


def _cache_key_in(validated: dict[str, Any]) -> Path:
    return Path(validated.get("data", Path("data"))) / CACHE_KEY_FILE


def _ledger_key_in(validated: dict[str, Any]) -> Path:
    return Path(validated.get("data", Path("data"))) / LEDGER_KEY_FILE


def _ledger_folder_in(validated: dict[str, Any]) -> Path:
    return Path(validated.get("data", Path("data"))) / LEDGER_FOLDER


def _vault_in(validated: dict[str, Any]) -> Path:
    return Path(validated.get("data", Path("data"))) / VAULT_FILE


def _receipt_keys_in(validated: dict[str, Any]) -> Path:
    return Path(validated.get("data", Path("data"))) / RECEIPT_KEYS_FILE


def _erasures_in(validated: dict[str, Any]) -> Path:
    return Path(validated.get("data", Path("data"))) / ERASURES_FILE


class Settings(BaseSettings):
    """Fields stand in the order a reader wants them; a default may use the fields above it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    data: Path = Field(
        default=Path("data"),
        description="Folder for the SQLite database, the key file and demo.json; made on the first start.",
    )
    database_url: str = Field(
        default_factory=_sqlite_in,
        validation_alias="DATABASE_URL",
        pattern=DATABASE_URLS,
        description="The database: postgresql+asyncpg://user:password@host/name or sqlite:///path. "
        "Empty: the file guestprefs.db in the data folder.",
    )
    redis_url: str = Field(
        default_factory=str,
        validation_alias="REDIS_URL",
        pattern=REDIS_URLS,
        description="The cache that processes share beside PostgreSQL, Redis or Valkey: "
        "redis://user:password@host:port. "
        "Empty: none. Not used with SQLite.",
    )
    cache_key: Path = Field(
        default_factory=_cache_key_in,
        description="File with the key that seals what Redis holds, 64 hexadecimal digits; every process needs "
        "the same one. Empty: cache.key in the data folder, made on the first start.",
    )
    ledger_key: Path = Field(
        default_factory=_ledger_key_in,
        description="File with the key that chains and signs the ledger, 64 hexadecimal digits; every process needs "
        "the same one, and without it the ledger cannot be verified. "
        "Empty: ledger.key in the data folder, made when first needed.",
    )
    ledger_checkpoints: Path = Field(
        default_factory=_ledger_folder_in,
        description="Folder for the ledger's signed checkpoints, one for each machine; best on another disk than the "
        "database. Empty: the folder ledger in the data folder.",
    )
    cache_mib: int = Field(
        default=64, ge=1, le=65536, description="Mebibytes that a process may keep in its memory of what it has read."
    )
    vault_file: Path = Field(
        default_factory=_vault_in,
        description="File with the wrapping keys of the vault; every process needs the same ones, and without them "
        "nothing that guests said can be read. Empty: vault.json in the data folder, made on the first start.",
    )
    vault_keys: str = Field(
        default_factory=str,
        repr=False,
        description="The wrapping keys themselves, instead of the file: what the file would hold.",
    )
    vault_command: str = Field(
        default_factory=str,
        repr=False,
        description="A command that prints the wrapping keys, instead of the file: for a key management service. "
        "Run at start, at most 10 seconds.",
    )
    sealing: bool = Field(
        default=True,
        description="Seal what is written; what is sealed is read in any case. Turn it off only while processes of a "
        "release without a vault still run beside this one, then run: guestprefs vault seal.",
    )
    keys: Path = Field(
        default_factory=_keys_in,
        description="JWK set file whose keys verify and sign bearer tokens. Empty: keys.json in the data folder.",
    )
    receipt_keys: Path = Field(
        default_factory=_receipt_keys_in,
        description="File with the keys that sign receipts and name erased guests; every process needs the same one, "
        "and it must not be lost. Empty: receipts.json in the data folder, made on the first start.",
    )
    erasures: Path = Field(
        default_factory=_erasures_in,
        description="File that remembers erasures where restoring the database does not reach; every process needs "
        "the same one. Empty: erasures.jsonl in the data folder.",
    )
    issuer: str = Field(
        default="guestprefs",
        min_length=1,
        description="Issuer (iss) that every bearer token must name.",
    )
    audience: str = Field(
        default="guestprefs",
        min_length=1,
        description="Audience (aud) that every bearer token must name.",
    )
    oidc_issuers: str = Field(
        default_factory=str,
        pattern=ISSUER_URLS,
        description="OpenID providers whose access tokens are accepted, by issuer, separated by spaces: "
        "https://id.example.com/hotel. Their keys are found by discovery. "
        "Empty: none, and the keys of GUESTPREFS_KEYS speak for everybody; else only for devices and stay links.",
    )
    oidc_jwks_urls: str = Field(
        default_factory=str,
        pattern=ISSUER_URLS,
        description="Addresses of the providers' JWK sets, in the order of the issuers. Empty: found by discovery.",
    )
    oidc_claims: str = Field(
        default_factory=str,
        description="Where providers' tokens name things otherwise than guestprefs: "
        "role=https://hotel.example/role, properties=hotel.ids. "
        "Of role, surface, properties, stay, scope, client_id and guest (by default sub).",
    )
    oidc_token_seconds: int = Field(
        default=600, ge=60, le=86400, description="Longest lifetime (exp - iat) of a provider's token, in seconds."
    )
    controller: str = Field(
        default="The operator of this service",
        min_length=1,
        max_length=200,
        description="Who is responsible for guests' data, as consent receipts name them.",
    )
    controller_contact: str = Field(
        default_factory=str,
        max_length=200,
        description="Where guests reach them about their data: an address or a URL.",
    )
    notice: str = Field(
        default="privacy-notice",
        min_length=1,
        max_length=80,
        description="Name of the privacy notice guests are shown.",
    )
    notice_version: str = Field(
        default="1.0",
        pattern=r"^\d{1,4}\.\d{1,4}$",
        description="Its version, major.minor. After a new major version guests are asked again; until then what they "
        "consented to holds.",
    )
    notice_url: str = Field(default_factory=str, max_length=400, description="Where the notice can be read.")
    jurisdiction: str = Field(
        default_factory=str, max_length=80, description="Law that consents are given under, such as EU."
    )
    consent_days: int = Field(
        default=730,
        ge=1,
        le=3650,
        description="Days that a consent holds unless it is renewed; then it counts as none.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    public_url: str = Field(
        default_factory=str,
        pattern=r"^(https?://\S+)?$",
        description="Address under which devices and guests reach the service, as https://prefs.hotel.example. "
        "Empty: as each request says, which is wrong behind a proxy that ends TLS.",
    )
    device_page: str = Field(
        default_factory=str,
        pattern=r"^(https?://\S+)?$",
        description="Page where staff types in the code that a new device shows; the device tells it. "
        "Empty: the service's own page, /device.",
    )
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(default=1, ge=1, le=256, description="Server processes.")
    requests_at_once: int = Field(
        default=16,
        ge=1,
        le=65536,
        description="Requests that a process works on at once: at most 2 in overload, and up to 64 while they only "
        "wait for a database. Others wait for a moment, then get 503 OVERLOADED. Reads that lie ready in memory do "
        "not count.",
    )
    caller_rate: int = Field(
        default=200,
        ge=0,
        le=1_000_000,
        description="Requests a second that one guest, member of staff or device may make over time, ten times as many "
        "at once; more get 429 RATE_LIMITED. 0: no limit.",
    )
    service_rate: int = Field(
        default=10_000, ge=0, le=1_000_000, description="The same for one service or operator. 0: no limit."
    )
    property_rate: int = Field(
        default=5_000,
        ge=0,
        le=1_000_000,
        description="The same for all staff and devices of one property together. 0: no limit.",
    )
    streams_per_caller: int = Field(
        default=8,
        ge=1,
        le=4096,
        description="Streams that one guest, member of staff or device may have open in a process, eight times as many "
        "for a service or operator; more get 429 RATE_LIMITED.",
    )
    webhook_networks: str = Field(
        default="",
        pattern=NETWORKS,
        description="Networks that webhooks may reach beside the public internet, as 10.1.2.0/24 192.168.7.9/32: there "
        "also without TLS and at any port. 127.0.0.0/8 is for development. Empty: none.",
    )
    head_timeout: float = Field(
        default=30.0,
        ge=0.1,
        le=600,
        description="Seconds after which a connection is closed on which no whole request head has come.",
    )
    body_timeout: float = Field(
        default=10.0, ge=0.1, le=600, description="Seconds that a body may take to come; then 408 TOO_SLOW."
    )
    cors_origins: str = Field(
        default="",
        pattern=CORS_ORIGINS,
        description="Origins of web pages that may call, with commas between: https://app.example.com. Empty: none.",
    )
    behind_tls: bool = Field(
        default=False,
        description="Whether callers come over TLS, ended by a proxy before this server: then answers tell browsers to "
        "come no other way.",
    )
    wipe_freed: bool = Field(
        default=False,
        description="Overwrite memory as soon as it is freed, so that a core file of a server process shows nothing of "
        "who was erased. Reads cost more CPU time. Needs Linux with glibc.",
    )
    drain_delay: float = Field(
        default=2.0,
        ge=0,
        le=300,
        validation_alias="DRAIN_DELAY",
        description="Seconds between telling load balancers to go elsewhere (/readyz answers 503) and stopping.",
    )
    stop_timeout: int = Field(
        default=8,
        ge=1,
        le=600,
        validation_alias="STOP_TIMEOUT",
        description="Seconds that running requests get to finish once stopping has begun.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        validation_alias="LOG_LEVEL",
        description="Least severity that is logged: debug, info, warning or error.",
    )

    @classmethod
    def variables(cls) -> Mapping[str, FieldInfo]:
        """Every field by the name of its environment variable."""
        return {_variable(name, field): field for name, field in cls.model_fields.items()}

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, so that another process reads the same ones."""
        named = {name: _variable(name, field) for name, field in type(self).model_fields.items()}
        return {variable: str(getattr(self, name)) for name, variable in named.items()}

    @property
    def origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def shares_a_cache(self) -> bool:
        return bool(self.redis_url) and self.database_url.startswith("postgresql")

    @property
    def on_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")


def _variable(name: str, field: FieldInfo) -> str:
    return str(field.validation_alias) if field.validation_alias else PREFIX + name.upper()
