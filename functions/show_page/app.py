"""GET / and the files that lie here: the page for people, which needs no key and holds none."""

from pathlib import Path
from typing import Any

from fluxgate import pages
from fluxgate.workflows.show_page import show_page

FOLDER = Path(__file__).parent


# Not an `entrypoint`: that imports Powertools, and there is nothing to log, to trace or to count.
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return pages.answer(event, show_page(pages.path_of(event), FOLDER))
