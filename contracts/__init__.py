"""What crosses a boundary between rooms, and nothing else: no I/O, no framework."""
