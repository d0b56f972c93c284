"""`python -m tools.openapi` writes the document and its page to where `show_page` serves them from."""

import sys

from tools.openapi.document import main

if __name__ == "__main__":
    sys.exit(main())
