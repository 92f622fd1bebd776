"""``volsnap-api``: the Block Storage API alone, in as many processes as ``osapi_volume_workers`` says.

The processes share nothing: each listens on the same port (``SO_REUSEPORT``) and the kernel shares the connections out.
A process that dies is started again.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence

from oslo_config import cfg

from volsnap.api import server
from volsnap.cmd import compose

PROGRAM = "volsnap-api"
_RESTART_PAUSE_S = 1.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    compose.settle()
    server.serve_until_signal(http)
    parts.database.close()
    return 0


def _end_with_supervisor(alive: int) -> None:
    """A worker without its supervisor would serve on beside the next one's, with an old configuration."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _supervise(conf: cfg.ConfigOpts, workers: int) -> int:
    """Fork before anything is opened; wait for children and replace those that die."""
    children: set[int] = set()
    stopping = threading.Event()
    # Only the supervisor holds the writing end: it closes when the supervisor dies, whatever it dies of.
    alive, held = os.pipe()

    def stop(*_: object) -> None:
        stopping.set()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def start() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        pid = os.fork()
        if pid == 0:
            os.close(held)
            for number in _STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            threading.Thread(target=_end_with_supervisor, args=(alive,), daemon=True).start()
        else:
            children.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        if pid == 0:
            os._exit(_serve(conf, reuse_port=True))

    for number in _STOP_SIGNALS:
        signal.signal(number, stop)
    for _ in range(workers):
        start()
    while children:
        pid, _status = os.wait()
        children.discard(pid)
        if not stopping.wait(_RESTART_PAUSE_S):
            start()
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        code = main()
    sys.stdout.flush()
    os._exit(code)
