"""Log templates: what the lines of a log have in common, mined online."""
