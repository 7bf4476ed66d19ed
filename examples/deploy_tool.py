"""A small deploy tool that obeys Coalmine: it takes the webhook and empties the canary.

All it knows of Coalmine is the webhook (docs/webhooks.md). It shows what a receiver has to do:
verify the signature with a stock Standard Webhooks library, do each webhook id once, refuse what
is forged or stale, and answer 5xx when the router cannot be reached so that Coalmine tries again.

    python examples/deploy_tool.py --port 9200 --router http://127.0.0.1:9201 \
        --secret-file deploy-tool.secret --audit-log audit.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

_BODY_LIMIT = 1024 * 1024
_ROUTER_TIMEOUT_S = 5


class DeployTool:
    """What the tool does with a webhook: everything but HTTP.

    Args:
        secrets: any of them may have signed; two while one is being rotated.
        router: admin address of the router, where ``PUT /weights`` sets a release's share.
        audit_log: gets one JSON line for each webhook, and is where done ids are read from.
    """

    def __init__(self, secrets: list[str], router: str, audit_log: Path | None) -> None:
        self._verifiers = [Webhook(secret) for secret in secrets]
        self._router = router.rstrip("/").removesuffix("/weights") + "/weights"
        self._audit_log = audit_log
        self._done = _ids_done(audit_log)
        self._lock = threading.Lock()

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """Handle one webhook; returns the HTTP status and what was done."""
        webhook_id = headers.get("webhook-id", "")
        with self._lock:  # the same id twice at once must not act twice
            status, result, document = self._decide(webhook_id, headers, body)
            if result == "done":
                self._done.add(webhook_id)
            self._audit(webhook_id, status, result, document)
        return status, result

    def _decide(
        self, webhook_id: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, str, dict[str, Any]]:
        if not self._is_genuine(headers, body):
            return 401, "signature refused", {}
        try:
            data = json.loads(body)["data"]
            is_stale = datetime.fromisoformat(data["expires_at"]) <= datetime.now(UTC)
            action, canary = str(data["action"]), str(data["canary"])
        except (ValueError, KeyError, TypeError):
            return 400, "not a decision", {}
        if webhook_id in self._done:
            return 200, "already done", data
        if is_stale:
            return 410, "decision expired", data
        return *self._act(action, canary), data

    def _act(self, action: str, canary: str) -> tuple[int, str]:
        if action != "rollback":
            return 200, "noted"
        if not self._set_weight(canary, 0):
            return 502, "router not reached"
        return 200, "done"

    def _is_genuine(self, headers: dict[str, str], body: bytes) -> bool:
        for verifier in self._verifiers:
            try:
                verifier.verify(body, headers, json_parse=False)
            except (WebhookVerificationError, ValueError):
                # the library raises ValueError for a signature header that is no signature
                continue
            return True
        return False

    def _set_weight(self, release: str, weight: float) -> bool:
        request = urllib.request.Request(  # noqa: S310 - the operator's own address
            self._router,
            data=json.dumps({release: weight}).encode(),
            headers={"content-type": "application/json"},
            method="PUT",
        )
        try:
            with urllib.request.urlopen(request, timeout=_ROUTER_TIMEOUT_S) as answer:  # noqa: S310 - see above
                return int(answer.status) < 300
        except OSError:
            return False

    def _audit(self, webhook_id: str, status: int, result: str, data: dict[str, Any]) -> None:
        line = json.dumps(
            {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "webhook_id": webhook_id,
                "status": status,
                "result": result,
                **{name: data.get(name) for name in ("action", "service", "canary", "reason")},
            }
        )
        print(line, flush=True)
        if self._audit_log:
            with self._audit_log.open("a", encoding="utf-8") as log:
                log.write(line + "\n")
                log.flush()
                os.fsync(log.fileno())


def _ids_done(audit_log: Path | None) -> set[str]:
    if audit_log is None or not audit_log.exists():
        return set()
    lines = audit_log.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return {entry["webhook_id"] for entry in entries if entry["result"] == "done"}


def _handler(tool: DeployTool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isdigit() or int(length) > _BODY_LIMIT:
                self._answer(413, "body too large or of unknown length")
                return
            body = self.rfile.read(int(length))
            self._answer(*tool.take({k.lower(): v for k, v in self.headers.items()}, body))

        def do_GET(self) -> None:
            self._answer(200, "ready")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """The audit log says more."""

        def _answer(self, status: int, result: str) -> None:
            body = json.dumps({"result": result}).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Takes Coalmine's webhook, empties the canary.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--router", required=True, help="admin URL of the router")
    secret = parser.add_mutually_exclusive_group(required=True)
    secret.add_argument("--secret-env", help="environment variable with the whsec_… secret")
    secret.add_argument("--secret-file", type=Path, help="file with the whsec_… secret")
    parser.add_argument("--audit-log", type=Path, help="append one JSON line per webhook here")
    return parser.parse_args()


def _secrets(arguments: argparse.Namespace) -> list[str]:
    """The secret, or two of them separated by white space."""
    if arguments.secret_env:
        text = os.environ.get(arguments.secret_env, "")
    else:
        text = arguments.secret_file.read_text(encoding="utf-8")
    if not text.split():
        sys.exit("deploy tool: the secret is empty")
    return text.split()


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    arguments = _arguments()
    tool = DeployTool(_secrets(arguments), arguments.router, arguments.audit_log)
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), _handler(tool))

    def end(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
