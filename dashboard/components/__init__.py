"""Building blocks of the pages: values in, Dash components out; no queries, no callbacks."""
