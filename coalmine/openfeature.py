"""What a service imports to use Coalmine's feature flags; install ``coalmine[openfeature]``."""

from __future__ import annotations

from flags.arms import ArmFilter, collecting, current_arm
from flags.provider import CoalmineProvider

__all__ = ["ArmFilter", "CoalmineProvider", "collecting", "current_arm"]
