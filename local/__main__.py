"""The commands `python -m local demo` and `python -m local serve`."""

from __future__ import annotations

import argparse
import sys

from local import demo, serve
from local.aws import LocalAwsError
from local.options import OptionError

COMMANDS = {"demo": demo.run, "serve": serve.run}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description="Runs the whole service on this machine.")
    parser.add_argument(
        "command",
        choices=COMMANDS,
        help="demo: generate one image and save it; serve: keep the stack running until Ctrl-C",
    )
    command = COMMANDS[parser.parse_args().command]
    try:
        return command()
    except (LocalAwsError, OptionError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
