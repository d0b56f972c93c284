"""`python -m tools.openapi` writes the OpenAPI document and its HTML page into functions/show_page."""

from local.stack import ROOT
from tools.openapi.files import generate


def main() -> None:
    for path, content in generate().items():
        path.write_text(content)
        print(f"Wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
