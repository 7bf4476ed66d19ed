"""A receiver that honours ``webhook-id`` and expiry, and keeps account of what it saw."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from tests.support.alerting import Hit, Receiver

_MOODS = ("well", "well", "fails", "hangs", "busy")


@dataclass
class HonestTool(Receiver):
    """Does each id once; 410 for what has expired; in bad moods 503, 429, or no answer at all."""

    moods: Random | None = None
    """Where its moods come from; always well without."""
    effects: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    """2xx by id: all beyond the first are raw duplicates."""
    late: list[str] = field(default_factory=list)
    """Ids that were signed after their decision had expired."""
    on_effect: Callable[[Hit], None] | None = None
    """Called between the effect and the answer."""
    on_sent: Callable[[Hit], None] | None = None
    """Called when the answer has left."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _mood: str = "well"
    _mood_until_s: float = 0.0

    def reply(self, hit: Hit) -> tuple[int, dict[str, str]]:
        """See ``Receiver``."""
        mood = self._present_mood()
        if mood == "hangs":
            time.sleep(1.5)
        if mood != "well":
            return (429, {"retry-after": "1"}) if mood == "busy" else (503, {})
        return self._take(hit), {}

    def sent(self, hit: Hit) -> None:
        """See ``Receiver``."""
        if self.on_sent:
            self.on_sent(hit)

    def set_mood(self, mood: str) -> None:
        """One mood from now on."""
        with self._lock:
            self.moods, self._mood = None, mood

    def _present_mood(self) -> str:
        with self._lock:
            if self.moods and time.monotonic() >= self._mood_until_s:
                self._mood = self.moods.choice(_MOODS)
                self._mood_until_s = time.monotonic() + self.moods.uniform(0.3, 2.5)
            return self._mood

    def _take(self, hit: Hit) -> int:
        identity = hit.headers["webhook-id"]
        data = json.loads(hit.body)["data"]
        expires_s = datetime.fromisoformat(data["expires_at"]).timestamp()
        with self._lock:
            assert identity == data["id"]
            if int(hit.headers["webhook-timestamp"]) > expires_s:
                self.late.append(identity)
            if time.time() >= expires_s and identity not in self.effects:
                return 410
            if identity not in self.effects:
                self.effects[identity] += 1
            self.acknowledged[identity] += 1
        if self.on_effect:
            self.on_effect(hit)
        return 200
