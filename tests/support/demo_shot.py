"""The picture in README, taken of the demo itself: ``python -m tests.support.demo_shot FILE``."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from dashboard.words import rollout_path
from tests.support.dashboard_browser import take_screenshot

_URL = re.compile(r"http://127\.0\.0\.1:\d+")
_ENDED = "It ended"


def main(path: Path) -> int:
    """Run the demo, wait for its end, take the rollout's page, end the demo; its exit code."""
    command = [sys.executable, "-m", "coalmine", "demo", "--headless"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        url = ""
        for line in demo.stdout:
            sys.stderr.write(line)
            if found := _URL.search(line):
                url = url or found.group()
            if _ENDED in line:
                break
        take_screenshot(url + rollout_path("checkout", "1.5.0"), path)
        demo.send_signal(signal.SIGINT)
        demo.stdout.read()
        return demo.wait(60)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
