"""Frames in, plotly figures out; nothing here knows a server."""
