"""``volsnap up``: everything in one process with embedded defaults."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Sequence

from volsnap.api import server
from volsnap.cmd import compose

PROGRAM = "volsnap up"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    conf = compose.load(sys.argv[1:] if arguments is None else arguments, PROGRAM)
    state_path = pathlib.Path(conf.state_path)
    try:
        state_path.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        return compose.fail(PROGRAM, f"state_path {state_path} cannot be used: {err.strerror}", 1)
    parts = compose.make_parts(conf, PROGRAM)
    services = parts.volume_services()
    http = server.make_server(
        parts.wsgi_app(),
        conf.osapi_volume_listen,
        conf.osapi_volume_listen_port,
        threads=conf.osapi_volume_threads,
    )
    try:
        http.prepare()
    except OSError as err:
        where = f"{conf.osapi_volume_listen}:{conf.osapi_volume_listen_port}"
        return compose.fail(PROGRAM, f"cannot listen on {where}: {err.strerror or err}", 1)
    for service in services:
        service.start()
    print(f"volsnap serves http://{http.bind_addr[0]}:{http.bind_addr[1]}/v3", flush=True)
    compose.settle()
    server.serve_until_signal(http)
    for service in services:
        service.stop()
    parts.database.close()
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        code = main()
    sys.stdout.flush()
    os._exit(code)
