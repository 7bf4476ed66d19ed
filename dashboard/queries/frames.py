"""Frames to rows, for the parts of a page that show one row at a time."""

from __future__ import annotations

from typing import Any

import pandas as pd

Row = dict[str, Any]


def records(frame: pd.DataFrame) -> list[Row]:
    """One dictionary per row, by column name.

    >>> records(pd.DataFrame({"time": [1], "action": ["hold"]}))
    [{'time': 1, 'action': 'hold'}]
    """
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
