"""Runs the simulator on its own: `python -m local.providers.acedata`."""

import argparse
import signal

from local.providers.acedata.flags import add_flags, simulator_from


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m local.providers.acedata", description="Simulates AceDataCloud's Flux API."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8081, help="port to listen on (8081)")
    parser.add_argument("--public-url", metavar="URL", help="base of the image URLs")
    parser.add_argument("--verbose", action="store_true", help="print each request")
    add_flags(parser)
    flags = parser.parse_args()
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # in all threads, so that sigwait receives them
    try:
        simulator = simulator_from(flags, flags.host, flags.port, public_url=flags.public_url)
    except OSError as error:
        parser.error(f"cannot listen on port {flags.port}: {error.strerror}")
    with simulator:
        print(f"Flux simulator running at {simulator.url}", flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
