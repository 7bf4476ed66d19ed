"""Whether the servers take us for who we are, and whether they are who they should be.

The clients of Kafka try for ever and do not tell a wrong password from a server that is away. So
every process asks once before it starts. A server that is away is no error here: the processes
wait for it by themselves.
"""

from __future__ import annotations

import asyncio
import ssl

from contracts.errors import ConfigError
from contracts.settings import ElasticsearchSettings, KafkaSettings

_TIMEOUT_S = 5


def check_kafka(settings: KafkaSettings) -> None:
    """Connect once to each broker named, where TLS or a password is used.

    Raises:
        ConfigError: the broker refuses us, or its certificate is not to be trusted.
    """
    if settings.uses_tls or settings.uses_sasl:
        for address in settings.bootstrap.split(","):
            asyncio.run(_connect(settings, address))


async def _connect(settings: KafkaSettings, address: str) -> None:
    from aiokafka.conn import create_conn  # noqa: PLC0415 - slow to import, needed only here
    from aiokafka.errors import (  # noqa: PLC0415 - see above
        KafkaError,
        SaslAuthenticationFailed,
        UnsupportedSaslMechanismError,
    )

    host, _, port = address.rpartition(":")
    try:
        connection = await create_conn(
            host,
            int(port),
            request_timeout_ms=_TIMEOUT_S * 1000,
            security_protocol=settings.security_protocol,
            ssl_context=ssl.create_default_context(cafile=settings.ca_file)
            if settings.uses_tls
            else None,
            sasl_mechanism=settings.sasl_mechanism if settings.uses_sasl else None,
            sasl_plain_username=settings.user,
            sasl_plain_password=settings.password.reveal(),
        )
    except ssl.SSLError as error:
        raise _distrust(str(error), f"Kafka at {address}", "COALMINE_KAFKA") from error
    except (SaslAuthenticationFailed, UnsupportedSaslMechanismError) as error:
        expected = f"Kafka at {address} refuses the user {settings.user!r} or the password: {error}"
        raise ConfigError("COALMINE_KAFKA_USER", expected) from error
    except (KafkaError, OSError, TimeoutError):
        return
    connection.close()


def check_elasticsearch(settings: ElasticsearchSettings) -> None:
    """Ask once, where TLS, a password or a key is used.

    Raises:
        ConfigError: Elasticsearch refuses us, or its certificate is not to be trusted.
    """
    is_secured = settings.url.startswith("https:") or settings.user or settings.api_key.reveal()
    if not is_secured:
        return
    import elasticsearch  # noqa: PLC0415 - slow to import, needed only here
    from elastic_transport import TlsError  # noqa: PLC0415 - see above

    client = elasticsearch.Elasticsearch(
        **settings.client_options(), request_timeout=_TIMEOUT_S, max_retries=0
    )
    try:
        client.cluster.health()
    except elasticsearch.AuthenticationException as error:
        name = "COALMINE_ELASTICSEARCH_" + ("API_KEY" if settings.api_key.reveal() else "PASSWORD")
        raise ConfigError(name, f"Elasticsearch at {settings.url} refuses it") from error
    except TlsError as error:
        what = f"Elasticsearch at {settings.url}"
        # the client says no more than "TLS error" itself: its causes tell
        detail = " ".join(map(str, (error.message, *error.errors)))
        raise _distrust(detail, what, "COALMINE_ELASTICSEARCH") from error
    except (elasticsearch.ApiError, elasticsearch.TransportError):
        return
    finally:
        client.close()


def _distrust(detail: str, what: str, variable: str) -> ConfigError:
    if "certificate verify failed" not in detail:
        return ConfigError(variable, f"{what} does not speak TLS as we do: {detail}")
    reason = detail.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
    return ConfigError(
        f"{variable}_CA_FILE",
        f"the certificate of {what} is not to be trusted: {reason or detail}",
    )
