"""Own health of a process: what it counts, whether it moves, and the port that tells both."""
