"""What an attempt came to and what to do about it, in plain sentences."""

from __future__ import annotations

from alerting.conversing import Exchange
from alerting.integrations.conversation import Answer, Delivered, Refused
from alerting.settings import Endpoint
from coalmine.webhooks.attempt import NOT_SENT

_FAILURES = {
    "name": "The name {host} has no address here: check the url, and this machine's DNS.",
    "connection": (
        "Nothing accepted the connection to {host}: check the port, a firewall, and whether the "
        "receiver runs."
    ),
    "tls": (
        "TLS failed: the certificate of {host} is not trusted, has expired, or names another host. "
        "ca_file names an authority of your own."
    ),
    "timeout": ("No answer within {timeout:g} s: the receiver hangs, or a firewall drops packets."),
    "protocol": "What {host} answered is not HTTP: check the port, and http or https in the url.",
    "forbidden address": (
        "{host} has an address that this endpoint may not reach: allow_private names the private "
        "and loopback networks that may be a target; link-local and metadata addresses never are."
    ),
}

_STATUSES = {
    400: "It did not understand the request: compare its shape with --dry-run.",
    401: (
        "It did not accept the credentials or the signature: both sides need the same secret, "
        "clocks within five minutes, and the receiver must verify the raw bytes."
    ),
    403: "It knows who asks and does not permit it: look at the permissions that it needs.",
    404: "There is nothing at this path: check the url, and what the options name.",
    405: "This path takes another method: check the url and the preset.",
    409: "The request conflicts with what is under way there.",
    410: (
        "It says that it is gone, or that the decision has expired there: remove the endpoint, or "
        "compare the clocks."
    ),
    413: "The body is too large for it.",
    415: "It does not take this content type: check the preset.",
    422: "It understood the request but not its values: compare them with --dry-run.",
    429: "It is asked too often.",
    502: "A proxy before the receiver got no usable answer from it.",
    503: "It cannot take requests now.",
    504: "A proxy before the receiver waited for it in vain.",
}

_LATER = "The alerter would try again until the decision expires."
_NEVER = "The alerter would not try again, and call people."


def explained(endpoint: Endpoint, exchange: Exchange) -> list[str]:
    """Sentences for people: what came, what it means, what the alerter would do.

    Args:
        endpoint: who was asked; its address is shown without what may be secret.
        exchange: what was said.
    """
    answer = exchange.answer or Answer()
    if isinstance(exchange.ending, Delivered):
        asked = f", {len(exchange.steps)} requests" if len(exchange.steps) > 1 else ""
        status = f"{exchange.status} after " if exchange.status else ""
        return [f"{endpoint.name} took it: {status}{exchange.duration_ms:.0f} ms{asked}."]
    if answer.failure == NOT_SENT:
        return [_looked(endpoint, len(exchange.steps) - 1)]
    is_final = isinstance(exchange.ending, Refused)
    reason = endpoint.redacted(exchange.ending.reason)
    return [*_said(endpoint, answer, reason), _NEVER if is_final else _LATER]


def _looked(endpoint: Endpoint, answered: int) -> str:
    if not answered:
        return (
            f"Nothing was sent to {endpoint.name}, because its first request would change "
            "something: --dry-run shows it, --act sends it."
        )
    only = "1 request that only looks" if answered == 1 else f"{answered} requests that only look"
    return (
        f"{endpoint.name} answered {only}; the next one would change something: --dry-run shows "
        "it, --act sends it."
    )


def _said(endpoint: Endpoint, answer: Answer, reason: str) -> list[str]:
    if answer.failure:
        host = endpoint.shown_url.partition("://")[2].partition("/")[0]
        known = _FAILURES.get(answer.failure, "The attempt failed: {failure}.")
        values = {"host": host, "timeout": endpoint.timeout_s, "failure": answer.failure}
        return [known.format(**values)]
    sentences = [f"{endpoint.name} did not take it: {reason}."]
    if answer.status is not None and not answer.is_ok:
        sentences.append(_of_status(answer.status))
    if asked := answer.headers.get("retry-after"):
        sentences.append(f"It asks to wait: Retry-After {asked}.")
    return sentences


def _of_status(status: int) -> str:
    if 300 <= status < 400:
        return (
            "Redirects are refused, because a signed request must not be led elsewhere: give the "
            "final address."
        )
    fallback = "It failed: look at its log." if status >= 500 else "It refused."
    return _STATUSES.get(status, fallback)
