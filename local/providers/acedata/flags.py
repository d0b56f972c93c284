"""The simulator's command-line flags, for itself and for programs that contain one."""

import argparse
import random
from collections.abc import Callable

from local.providers.acedata.behaviour import DOCUMENTED, Behaviour, Refusal
from local.providers.acedata.rules import MODELS, NEWEST_MODELS
from local.providers.acedata.server import Simulator


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of how the provider behaves; where it listens is the program's affair."""
    group = parser.add_argument_group("simulated provider")
    group.add_argument("--latency", type=float, default=0.5, metavar="SECONDS", help="of a generation (0.5)")
    group.add_argument("--fail", type=_rate, default=0, metavar="RATE", help="part of the generations that fail")
    group.add_argument("--refuse", type=_rate, default=0, metavar="RATE", help="part of the requests that are refused")
    codes = sorted({refusal.code for refusal in DOCUMENTED if refusal.code})
    group.add_argument("--refuse-code", choices=codes, default="too_many_requests", help="why (too_many_requests)")
    group.add_argument("--lose", type=_rate, default=0, metavar="RATE", help="part of the callbacks that are lost")
    group.add_argument("--repeat", type=int, default=1, metavar="N", help="times that each callback is sent (1)")
    group.add_argument("--late", type=float, default=0, metavar="SECONDS", help="between the end and the callback")
    group.add_argument("--early", action="store_true", help="call back before the submission is answered")
    group.add_argument("--flux-token", metavar="TOKEN", help="the only token accepted; without it any is")
    group.add_argument("--newest-models", action="store_true", help="refuse flux-pro-1.1 and flux-pro-1.1-ultra")
    group.add_argument("--list-tasks", action="store_true", help="let /flux/tasks list tasks without ids")


def simulator_from(
    flags: argparse.Namespace, host: str = "127.0.0.1", port: int = 0, *, public_url: str | None = None
) -> Simulator:
    """A simulator that behaves as the flags say, not yet started."""
    good = Behaviour(
        latency=flags.latency, callbacks=flags.repeat, callback_delay=flags.late, callback_early=flags.early
    )
    simulator = Simulator(
        host,
        port,
        behaviour=good,
        token=flags.flux_token,
        public_url=public_url,
        models=NEWEST_MODELS if flags.newest_models else MODELS,
        listing=flags.list_tasks,
        verbose=getattr(flags, "verbose", False),
    )
    for rate, behaviour in (
        (flags.refuse, good.but(refusal=Refusal.of(flags.refuse_code))),
        (flags.fail, good.but(failure=Refusal.of("api_error"))),
        (flags.lose, good.but(callbacks=0)),
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
