"""A request as people may see it: what is secret is ``***``."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

from alerting.integrations.conversation import HttpRequest, Request
from alerting.settings import Endpoint


class Shown(msgspec.Struct, kw_only=True, frozen=True):
    """One request."""

    method: str
    """Of what is no HTTP request, what is done."""
    url: str
    headers: dict[str, str] = {}
    body: str = ""

    def __str__(self) -> str:
        lines = [f"{self.method} {self.url}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\n".join([*lines, "", self.body] if self.body else lines)


def shown(endpoint: Endpoint, request: Request) -> Shown:
    """A request without what is secret.

    Args:
        endpoint: where it goes.
        request: as it would be sent.
    """
    if not isinstance(request, HttpRequest):
        return Shown(method=request.shown, url=endpoint.shown_url, body=request.body.shown)
    query = urlencode({name: str(value) for name, value in request.query.items()}, safe="*")
    return Shown(
        method=request.method,
        url=endpoint.shown_url.rstrip("/") + request.path + (f"?{query}" if query else ""),
        headers={name: str(value) for name, value in request.headers.items()},
        body=request.body.shown,
    )
