"""The HTTP server around the application: cheroot, one thread per request in work.

cheroot hands a request to the application before its body has come, so that a body that is too large is refused by its
header alone; and it keeps idle connections out of the threads. That is why it serves us rather than a pre-forking one.
"""

import signal
import threading
from typing import Any

from cheroot import wsgi

Server = wsgi.Server


def make_server(app: Any, host: str, port: int, *, threads: int, reuse_port: bool = False) -> Server:
    """A server that listens once its ``prepare`` returns; run it with ``serve``.

    :param reuse_port: several processes may listen on the port, and the kernel shares the connections out.
    """
    server = Server((host, port), app, numthreads=threads, request_queue_size=512, timeout=60)
    server.reuse_port = reuse_port
    server.max_request_header_size = 1 << 16  # the default of cheroot is no limit
    # A request that is waiting for its snapshot's cut must not be cut off by the end of the process.
    server.shutdown_timeout = 10
    return server


def serve_until_signal(http: Server) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=http.serve, name="http", daemon=True)
    thread.start()
    stop.wait()
    http.stop()
    thread.join()
