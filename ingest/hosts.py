"""Samples of this machine's load."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from contracts.clock import Clock
from contracts.records import HostSample
from ingest.settings import HostSettings

_OPEN_FILES = Path("/proc/sys/fs/file-nr")


class HostSampler:
    """Takes a sample every so often.

    Args:
        settings: how often, and which service and release the machine runs.
        host: the machine's name.
        clock: time.
        disk: the folder whose disk is watched.
    """

    def __init__(self, settings: HostSettings, host: str, clock: Clock, disk: Path) -> None:
        self._settings = settings
        self._host = host
        self._clock = clock
        self._disk = disk
        self._next_s = clock.monotonic_s() + float(settings.every)
        # once: the kernel's own answer moves with the clock that is set
        self._boot_time = round(psutil.boot_time() * 1000)
        psutil.cpu_percent()  # the first call only sets the mark that the next one compares with

    def sample_if_due(self) -> HostSample | None:
        """A sample, or None when the last one is still fresh."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return None
        self._next_s = now_s + float(self._settings.every)
        return HostSample(
            time=self._clock.now_ms(),
            host=self._host,
            service=self._settings.service,
            release=self._settings.release,
            cpu_percent=psutil.cpu_percent(),
            memory_percent=psutil.virtual_memory().percent,
            load1=os.getloadavg()[0],
            disk_percent=psutil.disk_usage(str(self._disk)).percent,
            open_files=_open_files(),
            boot_time=self._boot_time,
        )


def _open_files() -> int | None:
    """Open files of the whole machine, where the kernel tells."""
    try:
        return int(_OPEN_FILES.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
