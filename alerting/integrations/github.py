"""What the presets of GitHub share."""

from __future__ import annotations

from typing import Annotated

import msgspec

from alerting.integrations.conversation import path

Repository = Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+/[\w.-]+$")]
"""``owner/name``."""

HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}


def under(repository: str, *segments: str | int) -> str:
    """A path of the repository's API."""
    return path("repos", *repository.split("/"), *segments)
