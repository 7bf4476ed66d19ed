"""What surrounds every page: head, time zone and colour switches, freshness, stale banner."""

from __future__ import annotations

import dash
import dash_mantine_components as dmc
from dash import dcc, html

from dashboard.components.basics import icon

FONTS = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
"""Fonts of the reader's machine: none is fetched."""

_PAGES = (
    ("Rollouts", "/"),
    ("Releases", "/releases"),
    ("Compare", "/compare"),
    ("Crashes", "/crashes"),
    ("Logs", "/logs"),
    ("Hosts", "/hosts"),
    ("Components", "/components"),
    ("Decisions", "/decisions"),
    ("Pipeline", "/pipeline"),
)

THEME = {
    "fontFamily": FONTS,
    "fontFamilyMonospace": "ui-monospace, 'JetBrains Mono', 'Liberation Mono', monospace",
    "primaryColor": "blue",
    "defaultRadius": "md",
}


def shell() -> dmc.MantineProvider:
    """The layout of the app; the page of the address stands inside."""
    return dmc.MantineProvider(
        [
            # every second, in the browser only: ages, the stale banner, local times
            dcc.Interval(id="clock", interval=1000),
            dcc.Store(id="fresh"),
            # on every page, also where nothing else asks: does Elasticsearch answer?
            dcc.Interval(id="watch-tick", interval=5000),
            dcc.Store(id="watch-beat"),
            dcc.Store(id="watch", data={}),
            _head(),
            html.Div(id="stale", className="stale", role="alert", hidden=True),
            html.Main(dash.page_container, id="content"),
        ],
        theme=THEME,
        defaultColorScheme="auto",
    )


def _head() -> html.Header:
    return html.Header(
        [
            dcc.Link(
                [html.Span(className="logo", **{"aria-hidden": "true"}), "Coalmine"],
                href="/",
                className="brand",
                title="All rollouts",
            ),
            html.Nav(
                [dcc.Link(word, href=href, className="nav-link") for word, href in _PAGES],
                className="nav",
                **{"aria-label": "Pages"},
            ),
            html.Nav(id="crumbs", className="crumbs", **{"aria-label": "Breadcrumb"}),
            html.Div(
                [
                    html.Span("connecting", id="age", className="age", **{"aria-live": "off"}),
                    html.Button(
                        "Copy link",
                        type="button",
                        className="take take-link",
                        **{"data-take": "link"},
                    ),
                    dmc.SegmentedControl(
                        id="zone",
                        data=[
                            {"value": "local", "label": "Local"},
                            {"value": "utc", "label": "UTC"},
                        ],
                        value="local",
                        size="xs",
                        persistence=True,
                        **{"aria-label": "Time zone"},
                    ),
                    html.Form(
                        html.Button(["Sign out ", html.Span(id="who")], type="submit"),
                        id="sign-out",
                        method="post",
                        action="/logout",
                        hidden=True,
                    ),
                    dmc.ColorSchemeToggle(
                        id="scheme",
                        lightIcon=icon("moon"),
                        darkIcon=icon("sun"),
                        variant="default",
                        size="md",
                        **{"aria-label": "Switch between dark and light"},
                    ),
                ],
                className="tools",
            ),
        ],
        className="head",
    )
