"""What the page loads."""

from __future__ import annotations

from pathlib import Path

from plotly.offline import get_plotlyjs_version

import dashboard

ASSETS = Path(dashboard.__file__).parent / "assets"


def test_the_bundle_of_plotly_is_of_the_version_that_plotly_has() -> None:
    """Whoever updates the one updates the other."""
    head = (ASSETS / "plotly-basic.min.js").read_text(encoding="utf-8")[:200]
    assert f"plotly.js (basic - minified) v{get_plotlyjs_version()}" in head


def test_the_browser_compiles_the_bundle_of_plotly_where_it_arrives() -> None:
    """A function in parentheses is compiled with its script, others again when they are called."""
    bundle = (ASSETS / "plotly-basic.min.js").read_text(encoding="utf-8")
    assert ": this, (() => {" in bundle[:600]
    assert bundle.rstrip().endswith("return Plotly;\n})));")
