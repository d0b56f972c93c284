"""The simulator's command-line flags, for its own command and for SIMULATOR=."""

import argparse
import random
from collections.abc import Callable

from local.providers.acedata.behaviour import DOCUMENTED, Behaviour, Refusal
from local.providers.acedata.server import Simulator
from local.providers.acedata.validation import MODELS, NEWEST_MODELS


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the provider's behaviour. Flags for its address are left to the program."""
    group = parser.add_argument_group("simulated provider", "Rates are between 0 and 1.")
    group.add_argument("--latency", type=float, default=0.5, metavar="SECONDS", help="duration of a generation (0.5)")
    group.add_argument("--fail", type=_rate, default=0, metavar="RATE", help="share of generations that fail (0)")
    group.add_argument("--refuse", type=_rate, default=0, metavar="RATE", help="share of requests that are refused (0)")
    codes = sorted({refusal.code for refusal in DOCUMENTED if refusal.code})
    group.add_argument(
        "--refuse-code", choices=codes, default="too_many_requests", help="error code of refusals (too_many_requests)"
    )
    group.add_argument("--lose", type=_rate, default=0, metavar="RATE", help="share of callbacks that are lost (0)")
    group.add_argument("--repeat", type=int, default=1, metavar="N", help="number of times each callback is sent (1)")
    group.add_argument("--late", type=float, default=0, metavar="SECONDS", help="delay of callbacks (0)")
    group.add_argument("--early", action="store_true", help="send the callback before the response")
    group.add_argument("--flux-token", metavar="TOKEN", help="the only accepted token (any)")
    group.add_argument("--newest-models", action="store_true", help="reject flux-pro-1.1 and flux-pro-1.1-ultra")
    group.add_argument("--list-tasks", action="store_true", help="enable listing of tasks without ids at /flux/tasks")


def simulator_from(
    flags: argparse.Namespace, host: str = "127.0.0.1", port: int = 0, *, public_url: str | None = None
) -> Simulator:
    """A simulator with the behaviour that the flags select, not yet started."""
    default = Behaviour(
        latency=flags.latency, callbacks=flags.repeat, callback_delay=flags.late, callback_early=flags.early
    )
    simulator = Simulator(
        host,
        port,
        behaviour=default,
        token=flags.flux_token,
        public_url=public_url,
        models=NEWEST_MODELS if flags.newest_models else MODELS,
        listing=flags.list_tasks,
        verbose=getattr(flags, "verbose", False),
    )
    for rate, behaviour in (
        (flags.refuse, default.but(refusal=Refusal.of(flags.refuse_code))),
        (flags.fail, default.but(failure=Refusal.of("api_error"))),
        (flags.lose, default.but(callbacks=0)),
    ):
        simulator.behave(behaviour, times=None, when=_chance(rate))
    return simulator


def _chance(rate: float) -> Callable[[object], bool]:
    return lambda _: random.random() < rate


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return rate
