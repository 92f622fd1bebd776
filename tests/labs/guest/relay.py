"""relay.py SWITCH HOST:GUEST… -- CMD ARG…   runs CMD (the guest) with ports of 127.0.0.1 forwarded into it.

slirpvde, the guest's NAT, listens for forwarded ports on all addresses. One invariant: nothing but
127.0.0.1 is ever listened on in the machine's own network. So the listening sockets are made here first;
then this process moves to a network namespace of its own, where switch, NAT and guest run and whatever
they listen on is unreachable; and a thread per connection carries bytes from the one to the other.
"""

import ctypes
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

CLONE_NEWNET = 0x40000000


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until the end of ``source`` and pass the end on."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        target.close()


def serve(listener: socket.socket, port: int) -> None:
    """Join every connection to the NAT's port inside the namespace."""
    while True:
        outside, _ = listener.accept()
        try:
            inside = socket.create_connection(("127.0.0.1", port))
        except OSError:
            outside.close()
            continue
        for pair in ((outside, inside), (inside, outside)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def main(switch: str, forwards: list[str], command: list[str]) -> int:
    """Listen outside, move inside, start switch, NAT and guest; the guest's status is ours."""
    listeners = []
    nat = ["slirpvde", "-s", switch]
    for forward in forwards:
        outer, inner = forward.split(":")
        listeners.append((socket.create_server(("127.0.0.1", int(outer))), int(outer)))
        nat += ["-L", f"{outer}:10.0.2.15:{inner}"]
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    subprocess.Popen(["vde_switch", "-s", switch], **quiet)
    deadline = time.monotonic() + 5
    while not Path(switch, "ctl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    subprocess.Popen(nat, **quiet)
    for listener, port in listeners:
        threading.Thread(target=serve, args=(listener, port), daemon=True).start()
    return subprocess.call(command)


if __name__ == "__main__":
    split = sys.argv.index("--")
    status = main(sys.argv[1], sys.argv[2:split], sys.argv[split + 1 :])
    # This process is the first of its PID namespace: the switch and the NAT die with it.
    sys.stdout.flush()
    os._exit(status if status >= 0 else 128 - status)
