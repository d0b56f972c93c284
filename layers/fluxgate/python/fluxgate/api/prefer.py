"""The `Prefer` header (RFC 7240)."""

from __future__ import annotations

import re

_WAIT = r"(?:^|,)\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])"


def preferred_wait(header: str) -> int | None:
    """The seconds of `wait=N`. Anything else is ignored."""
    found = re.search(_WAIT, header, re.IGNORECASE) if header else None
    return int(found[1]) if found else None
