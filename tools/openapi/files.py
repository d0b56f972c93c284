"""The generated files."""

import json
from pathlib import Path

from tools.openapi import document, page


def generate() -> dict[Path, str]:
    """The content of each generated file by its path."""
    generated = document.document()
    return {
        document.PATH: json.dumps(generated, indent=2, ensure_ascii=False) + "\n",
        page.PATH: page.page(generated),
    }
