"""`python -m tests.chaos`: options come from TASKS=, SEED= and LIST=on|off, or from the flags of the same names."""

from __future__ import annotations

import argparse
import sys

from local import options
from local.aws import LocalAwsError
from local.options import OptionError
from tests.chaos.run import Settings, run

TASKS = 500
SEED = 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    try:
        parser.add_argument("--tasks", type=int, default=options.number("TASKS") or TASKS, help="number of tasks")
        parser.add_argument("--seed", type=int, default=options.number("SEED") or SEED, help="seed of all decisions")
        parser.add_argument(
            "--list",
            choices=("on", "off"),
            default=options.text("LIST") or "off",
            help="whether the provider can list its tasks",
        )
        flags = parser.parse_args()
        return run(Settings(tasks=flags.tasks, seed=flags.seed, listing=flags.list == "on"))
    except (LocalAwsError, OptionError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
