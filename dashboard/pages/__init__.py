"""One module per page: its address, its layout and its callbacks, which only join."""
