"""Lines that are no records, as messages for the dead letters' topic."""

from __future__ import annotations

import hashlib

import msgspec

from contracts import dead_letters
from contracts.errors import InvalidRecord
from contracts.topics import DEADLETTERS
from ingest.spool import Message

STAGE = "ingest.parse"


def dead_letter(
    *,
    agent: str,
    identity: str,
    origin: str,
    reason: str,
    detail: str,
    time: int,
    service: str,
    line: bytes,
    full_length: int | None = None,
) -> Message:
    """The message on the dead letters' topic; the same line always gets the same id.

    Args:
        agent: who read it.
        identity: file and position, stable over renames.
        origin: ``path:position`` for people.
        reason: stable cause.
        detail: what was found.
        time: epoch milliseconds at which it was read.
        service: as far as known.
        line: the bytes that were read.
        full_length: bytes of the whole line, where ``line`` is only its beginning.
    """
    # the line too: an inode that is used again may have another bad line at the same place
    fingerprint = hashlib.blake2b(f"{agent}|{identity}|{reason}|".encode() + line, digest_size=16)
    letter = dead_letters.dead_letter(
        InvalidRecord(reason, detail),
        stage=STAGE,
        origin=origin,
        payload=line,
        time=time,
        service=service,
        identity=fingerprint.hexdigest(),
        full_length=full_length,
    )
    return Message(DEADLETTERS.name, origin.encode(), msgspec.json.encode(letter))
