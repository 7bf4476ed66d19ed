"""From the thread that speaks HTTP to the agent's own, and the answer back."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future

from contracts.errors import Backpressure
from ingest.receiver.received import Received


class Submission:
    """One request's records on their way to the spool.

    ``done`` ends when they are durable, with the number of groups that had been there before, or
    with ``Backpressure``: none of them was taken.
    """

    def __init__(self, received: Received, source: str) -> None:
        self.received = received
        self.source = source
        """Who sent it, for people."""
        self.done: Future[int] = Future()


class Inbox:
    """What was received and is not spooled yet. How much may wait is for the sender to limit.

    Args:
        wake: set when something comes.
    """

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake
        self._waiting: deque[Submission] = deque()
        self._lock = threading.Lock()
        self._is_closed = False

    def put(self, submission: Submission) -> None:
        """Hand one over.

        Raises:
            Backpressure: the agent is about to end.
        """
        with self._lock:
            if self._is_closed:
                raise Backpressure("the agent stops")
            self._waiting.append(submission)
        self._wake.set()

    def take(self, max_records: int) -> list[Submission]:
        """The next ones, with about so many records; whoever waits no longer is left out."""
        taken: list[Submission] = []
        room = max_records
        while self._waiting and (room > 0 or not taken):
            submission = self._waiting.popleft()
            if submission.done.set_running_or_notify_cancel():
                taken.append(submission)
                room -= max(1, submission.received.records)
        return taken

    def close(self) -> None:
        """Take no more; what waits can still be taken."""
        with self._lock:
            self._is_closed = True
