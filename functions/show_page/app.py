"""GET / and the page's other files, without an API key."""

from pathlib import Path
from typing import Any

from fluxgate.api import files

FOLDER = Path(__file__).parent


# Without `entrypoint`, which imports Powertools: there is nothing to log, trace or count.
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return files.respond(event, FOLDER)
