"""A simulator that runs by itself: `python -m local.providers.acedata`."""

import argparse
import signal

from local.providers.acedata.flags import add_flags, simulator_from


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m local.providers.acedata", description="Simulates AceDataCloud's Flux API."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--public-url", metavar="URL", help="under which image URLs are given out")
    parser.add_argument("--verbose", action="store_true", help="print each request")
    add_flags(parser)
    flags = parser.parse_args()
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # for all threads: sigwait takes them
    try:
        simulator = simulator_from(flags, flags.host, flags.port, public_url=flags.public_url)
    except OSError as error:
        parser.error(f"cannot listen on port {flags.port}: {error.strerror}")
    with simulator:
        print(f"Flux simulator at {simulator.url}", flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
