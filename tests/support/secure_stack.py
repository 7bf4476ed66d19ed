"""Kafka and Elasticsearch as careful operators run them: TLS, SCRAM, users and API keys."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import shutil
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from coalmine.stack.cache import Cache, cache_directory
from coalmine.stack.elasticsearch_server import ElasticsearchServer
from coalmine.stack.kafka_server import KafkaServer
from coalmine.stack.ports import LOOPBACK, free_port
from coalmine.stack.runtime import server_user
from tests.support.certificates import Authority

_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_LISTENERS = """
listeners=PLAINTEXT://{host}:{port},SASL_SSL://{host}:{secure_port},\
EXPIRED://{host}:{expired_port},CONTROLLER://{host}:{inner}
advertised.listeners=PLAINTEXT://{host}:{port},SASL_SSL://{host}:{secure_port},\
EXPIRED://{host}:{expired_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,EXPIRED:SSL,\
CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram}
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={pem}
listener.name.expired.ssl.keystore.type=PEM
listener.name.expired.ssl.keystore.location={expired}
"""

_SECURITY = """
xpack.security.enabled: true
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: {certificate}
xpack.security.http.ssl.key: {key}
xpack.security.transport.ssl.enabled: false
xpack.security.authc.api_key.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.license.self_generated.type: basic
"""


_OURS = "coalmine-*"
ROLES: dict[str, object] = {
    "indexer": {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [
            {
                "names": [_OURS],
                "privileges": [
                    *("create_index", "index", "create", "delete_index"),
                    *("view_index_metadata", "monitor", "read"),
                ],
            }
        ],
    },
    "dashboard": {
        "cluster": ["monitor"],
        "indices": [{"names": [_OURS], "privileges": ["read", "view_index_metadata"]}],
    },
}
"""The least rights, as docs/security.md has them."""


class SecureKafka(KafkaServer):
    """A broker with two further listeners: TLS and SCRAM, and TLS with an expired certificate."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder, cache=Cache(cache_directory()), user=server_user())
        self.authority = authority
        # a port that nobody listens on yet may be given twice
        taken = {self.port, self._inner_port}
        while len(taken) < 4:
            taken.add(free_port())
        self.secure_port, self.expired_port = taken - {self.port, self._inner_port}
        self._pems = {
            "pem": authority.certificate("kafka"),
            "expired": authority.certificate("expired", days=-1),
        }

    def _configure(self, home: Path) -> Path:
        properties = super()._configure(home)
        files = {name: _readable(pem, home) for name, pem in self._pems.items()}
        text = _LISTENERS.format(
            host=LOOPBACK,
            port=self.port,
            secure_port=self.secure_port,
            expired_port=self.expired_port,
            inner=self._inner_port,
            scram=_SCRAM,
            **files,
        )
        with properties.open("a", encoding="utf-8") as file:
            file.write(text)
        return properties

    def add_user(self, user: str, password: str) -> None:
        """Let a user in, by SCRAM."""
        from kafka import KafkaAdminClient  # noqa: PLC0415 - warns while it is imported

        client = KafkaAdminClient(bootstrap_servers=self.address)
        try:
            client.alter_user_scram_credentials([_upsertion(user, password)])
        finally:
            client.close()


class SecureElasticsearch(ElasticsearchServer):
    """A node that speaks TLS only, to users only.

    The fetched distribution cannot make API keys: their index needs a filter that it lacks.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder, cache=Cache(cache_directory()), user=server_user())
        self._pem = authority.certificate("elasticsearch")
        self._tls = ssl.create_default_context(cafile=authority.file)
        self.user, self.password = "coalmine", secrets.token_urlsafe(18)
        self.limited = {name: secrets.token_urlsafe(18) for name in ROLES}

    @property
    def url(self) -> str:
        """Base URL, for clients."""
        return f"https://{LOOPBACK}:{self.port}"

    def _configure(self, home: Path, program: Path) -> None:
        super()._configure(home, program)
        config = home / "config"
        settings = config / "elasticsearch.yml"
        text = settings.read_text(encoding="utf-8").replace("xpack.security.enabled: false\n", "")
        key, begin, chain = self._pem.read_text(encoding="utf-8").partition("-----BEGIN CERT")
        parts = {"certificate": begin + chain, "key": key}
        for name, part in parts.items():
            (config / f"{name}.pem").write_text(part, encoding="utf-8")
        files = {name: config / f"{name}.pem" for name in parts}
        settings.write_text(text + _SECURITY.format(**files), encoding="utf-8")
        passwords = {self.user: self.password, **self.limited}
        users = [f"{name}:{_hashed(password)}\n" for name, password in passwords.items()]
        roles = [f"superuser:{self.user}\n", *(f"{name}:{name}\n" for name in ROLES)]
        (config / "users").write_text("".join(users), encoding="utf-8")
        (config / "users_roles").write_text("".join(roles), encoding="utf-8")
        # in blocks: its reader takes each line that begins at the margin for a new role
        (config / "roles.yml").write_text(yaml.safe_dump(ROLES), encoding="utf-8")

    def _answers(self) -> bool:
        try:
            health = self._ask("/_cluster/health?wait_for_status=yellow&timeout=2s")
        except (OSError, ValueError):
            return False
        return health.get("status") in ("yellow", "green")

    def _ask(self, path: str, body: object = None) -> dict[str, object]:
        user = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Basic {user}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=10) as answer:  # noqa: S310 - see above
                found: dict[str, object] = json.load(answer)
        except urllib.error.HTTPError as error:
            raise OSError(f"{path}: {error.code} {error.read().decode()[:500]}") from error
        return found


def _readable(pem: Path, folder: Path) -> Path:
    """A copy that the server's user can read."""
    copy = folder / pem.name
    shutil.copy(pem, copy)
    copy.chmod(0o644)
    return copy


def _hashed(password: str) -> str:
    salt = secrets.token_bytes(32)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 10_000, 32)
    return "{PBKDF2}10000$" + "$".join(base64.b64encode(x).decode() for x in (salt, digest))


def _upsertion(user: str, password: str) -> object:
    from kafka.admin import ScramMechanism, UserScramCredentialUpsertion  # noqa: PLC0415

    sha512 = ScramMechanism.SCRAM_SHA_512
    return UserScramCredentialUpsertion(user, sha512, password, iterations=4096)
