"""Small parts that every page uses: icons, badges, times, plots, cards, empty states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboard.words import Label

GRAPH_CONFIG = {
    "displaylogo": False,
    # plotly 7 offers "Share chart": an upload to a cloud
    "showSendToCloud": False,
    "showLink": False,
    "responsive": True,
    "scrollZoom": False,
    "displayModeBar": "hover",
    "modeBarButtonsToRemove": [
        "select2d",
        "lasso2d",
        "zoomIn2d",
        "zoomOut2d",
        "autoScale2d",
        "toImage",
    ],
}


def icon(name: str, *, large: bool = False) -> html.Span:
    """A decorative icon, drawn by the style sheet in the colour of the text."""
    size = " icon-large" if large else ""
    return html.Span(className=f"icon icon-{name}{size}", **{"aria-hidden": "true"})


def badge(label: Label) -> html.Span:
    """An outcome or status: icon and word, tinted by tone."""
    return html.Span([icon(label.icon), label.word], className=f"badge tone-{label.tone}")


def told(label: Label, sentence: str) -> html.Span:
    """How it went: a word and a sentence."""
    return html.Span([badge(label), " ", sentence])


def moment(ms: int | None, mode: str = "clock") -> Any:  # noqa: ANN401 - Dash components are untyped
    """A moment that the browser shows in the reader's zone, in UTC on hover.

    Args:
        ms: epoch milliseconds; None shows a dash.
        mode: ``clock`` (22:05:11), ``date`` (23 Nov, 22:05) or ``ago`` (3 min ago, kept current).
    """
    if ms is None:
        return html.Span("–")
    utc = datetime.fromtimestamp(ms / 1000, UTC)
    return html.Time(
        f"{utc:%H:%M:%S} UTC",
        dateTime=utc.isoformat(),
        title=f"{utc:%Y-%m-%d %H:%M:%S} UTC",
        **{"data-ms": str(ms), "data-mode": mode},
    )


def plot(name: str, figure: dict[str, Any], *, height: int = 236) -> dcc.Graph:
    """One figure that the page's live callback keeps current under its name."""
    return dcc.Graph(
        id={"type": "figure", "name": name},
        figure=figure,
        config=GRAPH_CONFIG,
        responsive=True,
        className="plot",
        style={"height": f"{height}px"},
    )


def slot(name: str, children: Any, **attributes: Any) -> html.Div:  # noqa: ANN401 - Dash components are untyped
    """A place whose content the page's live callback keeps current under its name."""
    return html.Div(children, id={"type": "slot", "name": name}, **attributes)


def card(title: Any, *children: Any, hint: Any = None, class_name: str = "") -> dmc.Paper:  # noqa: ANN401 - Dash components are untyped
    """A titled surface."""
    has_plot = any(_holds_plot(child) for child in children)
    head = html.Div(
        [
            html.H2(title, className="card-title"),
            html.Div(hint, className="card-hint"),
            _taking(title) if has_plot else None,
        ],
        className="card-head",
    )
    return dmc.Paper([head, *children], className=f"card {class_name}".strip(), withBorder=True)


def _holds_plot(component: Any) -> bool:  # noqa: ANN401 - Dash components are untyped
    if isinstance(component, dcc.Graph):
        return True
    children = getattr(component, "children", None)
    return isinstance(children, list) and any(_holds_plot(child) for child in children)


def _taking(title: Any) -> html.Div:  # noqa: ANN401 - Dash components are untyped
    """Buttons that give a plot's picture and its numbers; the browser does both by itself."""
    return html.Div(
        [
            html.Button(
                word,
                className="take",
                type="button",
                **{"data-take": word.lower(), "aria-label": f"{word} of {title}"},
            )
            for word in ("CSV", "PNG")
        ],
        className="takes",
    )


def choice(name: str, label: str, options: Mapping[str, str], chosen: str) -> html.Label:
    """One of some values, as a field of a form that goes into the address.

    Args:
        name: of the field.
        label: what it is called.
        options: words by value.
        chosen: the value.
    """
    shown = [
        html.Option(word, value=value, selected=value == chosen) for value, word in options.items()
    ]
    return html.Label([label, html.Select(shown, name=name)], className="field")


def message(icon_name: str, title: str, text: Any) -> html.Div:  # noqa: ANN401 - Dash components are untyped
    """What a page shows instead of content: empty, unknown or unavailable."""
    return html.Div(
        [
            icon(icon_name, large=True),
            html.H1(title, className="message-title"),
            html.P(text, className="message-text"),
        ],
        className="message",
        role="status",
    )


def skeleton() -> html.Div:
    """What a page shows before its first answer: the shape of what comes."""
    return html.Div(
        [
            dmc.Skeleton(height=132, radius="md"),
            dmc.SimpleGrid([dmc.Skeleton(height=260, radius="md") for _ in range(4)], cols=2),
        ],
        className="skeleton",
        **{"aria-busy": "true", "aria-label": "loading"},
    )
