"""Elasticsearch to typed pandas frames: one module per kind of document, every result bounded.

Each module has a ``fetch_…`` function (asks Elasticsearch) and a pure ``…_frame`` function
(documents or aggregations in, frame out), which is what unit tests call.
"""
