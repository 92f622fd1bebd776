"""``volsnap-api``: the Block Storage API alone, in as many processes as ``osapi_volume_workers`` says.

The processes share nothing: each listens on the same port (``SO_REUSEPORT``) and the kernel shares the connections out.
A process that dies is started again.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from oslo_config import cfg

from volsnap.api import server
from volsnap.cmd import compose

PROGRAM = "volsnap-api"
_RESTART_PAUSE_S = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    conf = compose.load(sys.argv[1:] if arguments is None else arguments, PROGRAM)
    if conf.osapi_volume_workers == 1:
        return _serve(conf, reuse_port=False)
    return _supervise(conf, conf.osapi_volume_workers)


def _serve(conf: cfg.ConfigOpts, *, reuse_port: bool) -> int:
    parts = compose.make_parts(conf, PROGRAM)
    http = server.make_server(
        parts.wsgi_app(),
        conf.osapi_volume_listen,
        conf.osapi_volume_listen_port,
        threads=conf.osapi_volume_threads,
        reuse_port=reuse_port,
    )
    try:
        http.prepare()
    except OSError as err:
        where = f"{conf.osapi_volume_listen}:{conf.osapi_volume_listen_port}"
        return compose.fail(PROGRAM, f"cannot listen on {where}: {err.strerror or err}", 1)
    print(f"{PROGRAM} serves http://{http.bind_addr[0]}:{http.bind_addr[1]}/v3", flush=True)
    server.serve_until_signal(http)
    parts.database.close()
    return 0


def _supervise(conf: cfg.ConfigOpts, workers: int) -> int:
    """Fork before anything is opened; wait for children and replace those that die."""
    children: set[int] = set()
    stopping = threading.Event()

    def stop(*_: object) -> None:
        stopping.set()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def start() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(_serve(conf, reuse_port=True))
        children.add(pid)

    for _ in range(workers):
        start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    while children:
        pid, _status = os.wait()
        children.discard(pid)
        if not stopping.is_set():
            time.sleep(_RESTART_PAUSE_S)
            start()
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        code = main()
    sys.stdout.flush()
    os._exit(code)
