"""``python -m coalmine``: the same command, for whoever starts it with a given interpreter."""

from __future__ import annotations

from coalmine.cli.main import main

if __name__ == "__main__":
    main()
