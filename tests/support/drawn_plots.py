"""What a browser has drawn of a figure, and where the figure's numbers belong: both in pixels.

The places are computed here, from the figure and the ranges of its axes, not by plotly.js: a plot
that shows something else than its figure says (a unit mistaken for another, a lost point, a trace
on the wrong axis, a cut that nobody asked for) is then found by comparing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Page

Points = npt.NDArray[np.float64]
"""Shape (n, 2): pixels from the left and from the top of the plot's area."""

READ = """() => [...document.querySelectorAll(".js-plotly-plot")].map((plot) => {
  const layout = plot._fullLayout;
  const axes = {};
  for (const name of ["xaxis", "yaxis", "yaxis2"]) {
    const axis = layout[name];
    if (axis) axes[name] = { type: axis.type, range: axis.range, length: axis._length };
  }
  const of = (node) => node.__data__[0].trace.index;
  const paths = (trace, kind) => [...trace.querySelectorAll(kind)].map((p) => p.getAttribute("d"));
  const found = (kind, path) =>
    [...plot.querySelectorAll(kind)].map((trace) => [of(trace), paths(trace, path)]);
  return {
    name: JSON.parse(plot.parentElement.closest("[id*=figure]").id).name,
    axes,
    lines: found(".scatterlayer > .trace", ".js-line"),
    bars: found(".barlayer > .trace", ".point > path"),
  };
})"""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis as the browser has laid it out."""

    type: str
    range: tuple[float, float]
    length: float

    @classmethod
    def read(cls, told: dict[str, Any]) -> Axis:
        """An axis out of ``READ``."""
        start, end = (_number(one, told["type"], is_range=True) for one in told["range"])
        return cls(told["type"], (start, end), float(told["length"]))

    def pixels(self, values: list[Any]) -> npt.NDArray[np.float64]:
        """Pixels from the axis' start; NaN for a gap."""
        start, end = self.range
        numbers = np.array([_number(value, self.type) for value in values], np.float64)
        return (numbers - start) / (end - start) * self.length


def _number(value: Any, kind: str, *, is_range: bool = False) -> float:
    if value is None:
        return float("nan")
    if kind == "date":
        return datetime.fromisoformat(str(value)).replace(tzinfo=UTC).timestamp()
    number = float(value)
    return float(np.log10(number)) if kind == "log" and not is_range else number


def drawn(page: Page) -> list[dict[str, Any]]:
    """All plots of a page, as ``READ`` tells them."""
    found: list[dict[str, Any]] = page.evaluate(READ)
    return found


def figures_of(content: Any) -> dict[str, dict[str, Any]]:
    """All figures of an answer, by name."""
    if isinstance(content, list):
        return {name: figure for one in content for name, figure in figures_of(one).items()}
    if not isinstance(content, dict):
        return {}
    properties = content.get("props", {})
    if content.get("type") == "Graph":
        return {properties["id"]["name"]: properties["figure"]}
    return {name: figure for one in content.values() for name, figure in figures_of(one).items()}


def differences(figure: dict[str, Any], plot: dict[str, Any]) -> list[str]:
    """What a plot shows otherwise than its figure says, by more than a pixel and a half."""
    axes = {name: Axis.read(told) for name, told in plot["axes"].items()}
    lines, bars = dict(plot["lines"]), dict(plot["bars"])
    told: list[str] = []
    for number, trace in enumerate(figure["data"]):
        place = f"{plot['name']}, {trace.get('name') or number}"
        xaxis, yaxis = axes["xaxis"], axes[trace.get("yaxis", "y").replace("y", "yaxis")]
        if trace["type"] == "bar":
            told += _bars(place, trace, xaxis, yaxis, bars.get(number, []))
        elif trace.get("line", {}).get("width") != 0:
            told += _line(place, trace, xaxis, yaxis, lines.get(number, []))
    return told


_NEAR_PX = 1.5


def _line(place: str, trace: dict[str, Any], x: Axis, y: Axis, paths: list[str]) -> list[str]:
    """A line passes through every point of its trace, and nowhere else."""
    points = np.column_stack([x.pixels(trace["x"]), y.length - y.pixels(trace["y"])])
    runs = [run for run in _runs(points) if len(run) > 1]
    if trace.get("line", {}).get("shape") == "hv":
        runs = [_steps(run) for run in runs]
    shown = [_vertices(path) for path in paths if path]
    area = (x.length, y.length)
    told = []
    for what, inside, others in (("misses", runs, shown), ("adds", shown, runs)):
        for one in inside:
            far = [p for p in _within(one, area) if _distance(p, others) > _NEAR_PX]
            told += [f"{place}: {what} {p[0]:.1f}, {p[1]:.1f}" for p in far[:3]]
    return told


def _bars(place: str, trace: dict[str, Any], x: Axis, y: Axis, paths: list[str]) -> list[str]:
    """Each bar is as high as its number, and stands where its moment is."""
    heights = np.abs(y.pixels(trace["y"]) - y.pixels([0]))
    starts = x.pixels(trace["x"])
    keeps = np.isfinite(heights)
    boxes = [_vertices(path) if path else np.zeros((1, 2)) for path in paths]
    if len(boxes) != int(keeps.sum()):
        return [f"{place}: {len(boxes)} bars for {int(keeps.sum())} numbers"]
    told = []
    for height, start, box in zip(heights[keeps], starts[keeps], boxes, strict=True):
        seen = float(np.ptp(box[:, 1]))
        if abs(seen - height) > _NEAR_PX:
            told.append(f"{place}: a bar of {seen:.1f} pixels in place of {height:.1f}")
        is_there = box[:, 0].min() - _NEAR_PX <= start <= box[:, 0].max() + _NEAR_PX
        if height > _NEAR_PX and not is_there:
            told.append(f"{place}: a bar beside {start:.1f}")
    return told


def _runs(points: Points) -> list[Points]:
    """The points between gaps."""
    ends = np.flatnonzero(~np.isfinite(points).all(axis=1))
    pieces = np.split(points, ends)
    return [piece[np.isfinite(piece).all(axis=1)] for piece in pieces]


def _steps(run: Points) -> Points:
    """The corners of a line that goes on level until the next point."""
    corners = np.column_stack([run[1:, 0], run[:-1, 1]])
    return np.vstack([np.stack([run[:-1], corners], axis=1).reshape(-1, 2), run[-1:]])


def _vertices(path: str) -> Points:
    """Corners of an SVG path of straight pieces, all absolute."""
    found: list[tuple[float, float]] = []
    for command, numbers in re.findall(r"([MLHVZ])([^MLHVZ]*)", path):
        values = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", numbers)]
        if command in "ML":
            found += zip(values[::2], values[1::2], strict=True)
        elif command in "HV":
            left, top = found[-1]
            found += [(v, top) if command == "H" else (left, v) for v in values]
    return np.array(found, np.float64).reshape(-1, 2)


def _within(points: Points, area: tuple[float, float]) -> Points:
    """Points that a reader sees."""
    inside = (points >= 0).all(axis=1) & (points <= np.array(area)).all(axis=1)
    return points[inside]


def _distance(point: npt.NDArray[np.float64], lines: list[Points]) -> float:
    """Pixels from a point to the nearest of all pieces."""
    nearest = float("inf")
    for line in lines:
        starts, along = line[:-1], np.diff(line, axis=0)
        if not len(along):
            continue
        square = np.maximum((along**2).sum(axis=1), 1e-12)
        share = np.clip(((point - starts) * along).sum(axis=1) / square, 0, 1)
        gaps = np.linalg.norm(starts + share[:, None] * along - point, axis=1)
        nearest = min(nearest, float(gaps.min()))
    return nearest
