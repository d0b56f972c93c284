"""The commands `python -m local demo` and `python -m local serve`."""

from __future__ import annotations

import argparse
import sys

from local import demo, options, serve
from local.aws import LocalAwsError
from local.http_server import PortInUseError
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
    except PortInUseError as error:
        name = "CALLBACK_PORT" if error.port == options.number("CALLBACK_PORT") else "PORT"
        print(f"{error} Choose another one: {name}={error.port + 1}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
