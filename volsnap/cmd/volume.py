"""``volsnap-volume``: the volume services of this host's backends, without the API."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence

from volsnap.cmd import compose

PROGRAM = "volsnap-volume"


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until SIGINT or SIGTERM; returns the exit code."""
    conf = compose.load(sys.argv[1:] if arguments is None else arguments, PROGRAM)
    parts = compose.make_parts(conf, PROGRAM)
    services = parts.volume_services()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    for service in services:
        service.start()
    print(f"{PROGRAM} works for {', '.join(service.host for service in services)}", flush=True)
    compose.settle()
    stop.wait()
    for service in services:
        service.stop()
    parts.database.close()
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        code = main()
    sys.stdout.flush()
    os._exit(code)
