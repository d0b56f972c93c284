"""GET / and the files that lie here: the page for people, which needs no key and holds none."""

from pathlib import Path
from typing import Any

from fluxgate.api import files
from fluxgate.workflows.show_page import show_page

FOLDER = Path(__file__).parent


# Not an `entrypoint`: that imports Powertools, and there is nothing to log, to trace or to count.
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return files.answer(event, show_page(event["resource"], FOLDER))
