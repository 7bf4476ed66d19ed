"""The audit trail as a list: what was decided, asked for and told."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from dashboard import words
from dashboard.components.basics import badge, icon, moment
from dashboard.queries.audit import Entry
from dashboard.words import Label

KINDS = {
    "decision": Label("Decision", "step", "open"),
    "answer": Label("Asked by people", "eye", "idle"),
    "delivery": Label("Delivery", "send", "idle"),
}
ANSWERS = {
    "accepted": Label("Accepted", "check", "good"),
    "replaced": Label("Accepted, replaced another", "check", "good"),
    "already_open": Label("Already open", "dots", "idle"),
}
_FAILED = {"refused", "expired", "exhausted"}
_LONGEST_BODY = 20_000


def trail(entries: Sequence[Entry]) -> html.Ol:
    """Entries in their order, each with the document behind it."""
    return html.Ol([_entry(entry) for entry in entries], className="trail")


def result_label(entry: Entry) -> Label:
    """How it ended, in a word."""
    if entry.kind == "answer":
        refused = Label(words.metric_title(entry.result), "stop", "bad")
        return ANSWERS.get(entry.result, refused)
    labels = words.DELIVERIES if entry.kind == "delivery" else words.OUTCOMES
    return words.label_of({str(k): v for k, v in labels.items()}, entry.result)


def resend_command(entry: Entry) -> str:
    """The command that sends a failed delivery again; empty where there is nothing to send."""
    if entry.kind != "delivery" or entry.result not in _FAILED:
        return ""
    decision = str(entry.body.get("decision", ""))
    command = ["coalmine", "webhook", "resend", decision, "--endpoints", "endpoints.yaml"]
    return shlex.join([*command, "--endpoint", entry.who])


def _entry(entry: Entry) -> html.Li:
    kind = KINDS[entry.kind]
    labels = words.REQUESTS if entry.kind == "answer" else words.ACTIONS
    action = words.label_of({str(k): v for k, v in labels.items()}, entry.action)
    return html.Li(
        [
            html.Div(moment(entry.time, "date_seconds"), className="trail-time"),
            html.Div([icon(kind.icon), kind.word], className="trail-kind"),
            html.Div(
                [
                    html.Span(
                        [
                            html.B(action.word),
                            " ",
                            _rollout(entry),
                            html.Span(f" · {entry.who}", className="dim") if entry.who else "",
                        ]
                    ),
                    html.Span(entry.text, className="dim-line trail-text"),
                    _document(entry),
                ],
                className="trail-what",
            ),
            html.Div([badge(result_label(entry)), *_again(entry)], className="trail-result"),
        ],
        className="trail-entry",
    )


def _again(entry: Entry) -> list[html.Button]:
    """The button of those who may ask for it; the style sheet hides it from the others."""
    if not resend_command(entry):
        return []
    decision = str(entry.body.get("decision", ""))
    name = {"type": "resend", "decision": decision, "endpoint": entry.who, "record": entry.id}
    return [
        html.Button([icon("send"), "Send again"], id=name, className="steer resend", n_clicks=0)
    ]


def _rollout(entry: Entry) -> Any:  # noqa: ANN401 - Dash components are untyped
    canary = str(entry.body.get("canary") or "")
    if canary:
        href = f"{words.rollout_path(entry.service, canary)}?rollout={entry.rollout}"
        return dcc.Link(f"{entry.service} {canary}", href=href)
    return html.Span(entry.rollout or entry.service)


def _document(entry: Entry) -> html.Details:
    body = dict(entry.body)
    sent = body.pop("body", "")
    parts: list[Any] = [html.Summary("Details")]
    if command := resend_command(entry):
        parts.append(
            html.P(
                [
                    "Send it again: ",
                    html.Code(command),
                    dcc.Clipboard(content=command, className="copy", title="Copy the command"),
                ]
            )
        )
    if sent:
        parts += [html.Div("What was sent", className="trail-head"), _text(_pretty(str(sent)))]
    parts += [html.Div("The record", className="trail-head"), _text(json.dumps(body, indent=2))]
    return html.Details(parts)


def _text(content: str) -> html.Pre:
    return html.Pre(content[:_LONGEST_BODY], className="stacktrace", tabIndex=0)


def _pretty(text: str) -> str:
    """JSON with line breaks; anything else as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
