"""The dashboard's app: reads the settings, builds the client, joins pages and server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dash_ag_grid
import httpx
import structlog
import uvicorn
from dash import ClientsideFunction, Dash, Input, Output
from dash.backends._fastapi import FastAPIDashServer
from dash.fingerprint import build_fingerprint
from elasticsearch import ApiError, Elasticsearch, TransportError

from contracts.clock import SystemClock
from contracts.indices import ROLLOUTS
from contracts.settings import (
    ElasticsearchSettings,
    KafkaSettings,
    absent_releases,
    elasticsearch_settings,
    kafka_settings,
)
from dashboard import metrics
from dashboard.access.gate import Gate
from dashboard.access.headers import SafeHeaders, content_security_policy, script_hash
from dashboard.access.settings import Access, Place, check_place
from dashboard.assets_gzip import App as AsgiApp
from dashboard.assets_gzip import PackedAssets
from dashboard.components.shell import shell
from dashboard.live import beating
from dashboard.pages import (
    audit,
    compare,
    components,
    crash_group,
    crashes,
    fleet,
    hosts,
    logs,
    pipeline,
    releases,
    resending,
    rollout,
    steering,
)
from dashboard.queries.page_reader import PageReader
from dashboard.queries.parts import PartsReader
from dashboard.queries.reader import Reader
from dashboard.queries.search_reader import SearchReader
from dashboard.steering import Steering
from health import heap
from health.address import Address
from health.server import serve
from health.vitals import Vitals

log = structlog.get_logger()

REQUEST_TIMEOUT_S = 2.0
GRACEFUL_SHUTDOWN_S = 2
_BEAT_S = 2
_LOOP_LIMIT_S = 30.0
_HERE = Path(__file__).parent
_PAGES = (
    *("fleet", "rollout", "compare", "crashes", "crash", "logs"),
    *("hosts", "components", "audit", "pipeline", "releases"),
)
_GRID = "dash_ag_grid.min.js"
_UNUSED = ("/dash_table/", "/deps/polyfill@")

_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
{%favicon%}
<script>{%first%}</script>
{%css%}
<link rel="preload" as="fetch" href="/_dash-layout" crossorigin="anonymous">
<link rel="preload" as="fetch" href="/_dash-dependencies" crossorigin="anonymous">
<link rel="preload" as="script" href="/_dash-component-suites/dash/dcc/async-graph.js">
</head>
<body>
{%app_entry%}
<footer hidden>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""


class _HttpServer(FastAPIDashServer):  # type: ignore[misc]  # Dash ships no types
    """The FastAPI backend without its WebSocket: the page asks by plain HTTP, which comes back by
    itself after a restart, where a dropped socket leaves a page stale for ever.
    """

    websocket_capability = False


class _AsyncDash(Dash):  # type: ignore[misc]  # Dash ships no types
    """Dash whose callbacks and layouts are coroutines that read in threads.

    FastAPI runs plain callbacks on its event loop, where one slow search would stop every viewer.
    Dash's own switch (``use_async``) only asks whether asgiref is installed, and uses none of it.
    """

    _use_async = property(lambda _self: True, lambda _self, _value: None)

    def _setup_plotlyjs(self) -> None:
        """Nothing: the page has the part of plotly.js that it needs among its assets, a quarter."""

    def _generate_scripts_html(self) -> str:
        """The scripts of a page, but for the grid's, which the page fetches behind its first plots,
        and those of Dash's own table, which no page has.
        """
        for script in dash_ag_grid._js_dist:  # noqa: SLF001 - where Dash, too, looks
            if script["relative_package_path"] == _GRID:
                script["async"] = "lazy"
        scripts = str(super()._generate_scripts_html()).splitlines()
        return "\n".join(
            one.replace("<script ", "<script defer ")
            for one in scripts
            if not any(part in one for part in _UNUSED)
        )

    def _generate_renderer(self) -> str:
        """Starts the page: a module, which waits for the scripts before it."""
        return f'<script type="module" id="_dash-renderer">{self.renderer}</script>'


def build(
    settings: ElasticsearchSettings,
    kafka: KafkaSettings | None = None,
    targets: Path | None = None,
) -> Dash:
    """The Dash app over one Elasticsearch; ``build(…).server`` is the ASGI app.

    Args:
        settings: where Elasticsearch is.
        kafka: where commands to rollouts are written.
        targets: file that names the health ports of the other processes.
    """
    client = Elasticsearch(
        **settings.client_options(),
        request_timeout=REQUEST_TIMEOUT_S,
        max_retries=0,
        retry_on_timeout=False,
    )
    app = _AsyncDash(
        "dashboard",
        backend=_HttpServer,
        use_pages=True,
        pages_folder="",
        assets_folder=str(_HERE / "assets"),
        assets_ignore="first.js",
        compress=True,
        serve_locally=True,
        suppress_callback_exceptions=True,
        update_title="",
        title="Coalmine",
        health_endpoint="healthz",
        index_string=_INDEX.replace("{%first%}", _first()),
        on_error=_log_error,
        meta_tags=[
            {"name": "viewport", "content": "width=device-width, initial-scale=1"},
            {"name": "color-scheme", "content": "light dark"},
            {"name": "coalmine-grid", "content": _grid_address()},
        ],
    )
    clock = SystemClock()
    reader = Reader(client, clock)
    searches = SearchReader(client, clock, absent_releases())
    app.layout = shell()
    fleet.register(app, reader)
    rollout.register(app, reader)
    crashes.register(app, searches)
    crash_group.register(app, searches)
    logs.register(app, searches)
    pages = PageReader(client, clock)
    asking = Steering(kafka or KafkaSettings(), clock)
    steering.register(app, pages, asking)
    resending.register(app, pages, asking)
    compare.register(app, pages)
    hosts.register(app, pages)
    releases.register(app, pages)
    components.register(app, pages)
    audit.register(app, pages)
    pipeline.register(app, pages, PartsReader(targets, clock))
    _join_shell(app)
    _watch(app, pages)
    return app


def _first() -> str:
    """The script that stands in the page itself: its requests wait for no other."""
    return (_HERE / "assets" / "first.js").read_text(encoding="utf-8")


def _grid_address() -> str:
    """Where the grid's script is: with its version and time, so that browsers keep it."""
    changed = int((Path(dash_ag_grid.__file__).parent / _GRID).stat().st_mtime)
    name = build_fingerprint(_GRID, dash_ag_grid.__version__, changed)
    return f"/_dash-component-suites/dash_ag_grid/{name}"


def run(
    host: str,
    port: int,
    health: Address | None = None,
    access: Access | None = None,
    targets: Path | None = None,
) -> None:
    """Serve the dashboard until SIGTERM or SIGINT.

    Args:
        host: address to listen on.
        port: port to listen on.
        health: where it tells of its health.
        access: who may look; by default everybody on this machine.
        targets: file that names the health ports of the other processes.

    Raises:
        ConfigError: the environment names no usable Elasticsearch or Kafka, or strangers could
            look.
    """
    place = Place(host, port, access or Access())
    check_place(place)
    settings = elasticsearch_settings()
    app = build(settings, kafka_settings(), targets)
    asyncio.run(_warm_up(app))
    heap.freeze()
    vitals = Vitals()
    config = uvicorn.Config(
        guarded(app, place),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the gate believes the proxies it was told of, no others
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        callback_notify=_Beat(settings, vitals),
        timeout_notify=_BEAT_S,
    )
    log.info("dashboard_started", url=f"http://{host}:{port}")
    with serve(health, vitals, metrics.REGISTRY):
        uvicorn.Server(config).run()
    log.info("dashboard_stopped")


def guarded(app: Dash, place: Place) -> AsgiApp:
    """The app behind its gate, with the headers that every answer needs."""
    policy = content_security_policy([*app.csp_hashes(), script_hash(_first())])
    gate = Gate(PackedAssets(app.server), place, SystemClock())
    return metrics.measured(SafeHeaders(gate, policy))


class _Beat:
    """Called by the server's loop every few seconds: it moves, and Elasticsearch is asked."""

    def __init__(self, settings: ElasticsearchSettings, vitals: Vitals) -> None:
        self._client = Elasticsearch(**settings.client_options(), max_retries=0)
        self._pulse = vitals.pulse("event loop", _LOOP_LIMIT_S)
        self._answers = False
        vitals.need("elasticsearch answers", lambda: self._answers)

    async def __call__(self) -> None:
        self._pulse.beat()
        self._answers = await asyncio.to_thread(self._ask)

    def _ask(self) -> bool:
        try:
            # what pages ask for, too: a key that may only read is enough
            client = self._client.options(request_timeout=REQUEST_TIMEOUT_S)
            client.count(index=ROLLOUTS.pattern, terminate_after=1)
        except (ApiError, TransportError):
            return False
        return True


async def _warm_up(app: Dash) -> None:
    """Let Dash finish its set-up, which it leaves to the first request of ``/``.

    A deep link as first request would otherwise get a page without our scripts and titles.
    """
    transport = httpx.ASGITransport(app=app.server)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        (await client.get("/")).raise_for_status()


def _watch(app: Dash, pages: PageReader) -> None:
    """On every page: whether anything new could be read."""
    beating(app, "watch")

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output("watch", "data"),
        Input("watch-beat", "data"),
        running=[(Output("watch-tick", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def watch(_beat: int) -> dict[str, str]:
        return {"error": (await asyncio.to_thread(pages.reachable)).error}


def _log_error(error: Exception) -> None:
    """A callback failed: the page keeps what it has, and the log says why."""
    log.error("dashboard_callback_failed", error=repr(error), exc_info=error)


def _join_shell(app: Dash) -> None:
    """What the browser does by itself: no request leaves it."""
    for page in _PAGES:
        app.clientside_callback(
            ClientsideFunction("coalmine", "fresh"),
            Output("fresh", "data", allow_duplicate=True),
            Input(f"{page}-fresh", "data"),
            prevent_initial_call="initial_duplicate",
        )
    app.clientside_callback(
        ClientsideFunction("coalmine", "age"),
        Output("age", "children"),
        Output("age", "className"),
        Output("stale", "children"),
        Output("stale", "hidden"),
        Input("clock", "n_intervals"),
        Input("fresh", "data"),
        Input("watch", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("coalmine", "crumbs"),
        Output("crumbs", "children"),
        Input("_pages_location", "pathname"),
    )
    app.clientside_callback(
        ClientsideFunction("coalmine", "who"),
        Output("who", "children"),
        Output("sign-out", "hidden"),
        Input("_pages_location", "pathname"),
    )
    app.clientside_callback(
        ClientsideFunction("coalmine", "zone"),
        Output("zone", "className"),
        Input("zone", "value"),
    )
