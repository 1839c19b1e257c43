"""Free ports and waiting: what every other part of the harness needs."""

import socket
import time


def free_ports(n):
    """n different TCP ports of 127.0.0.1 that were free a moment ago. Callers retry on a conflict."""
    sockets = []
    try:
        for _ in range(n):
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            sockets.append(s)
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def wait_until(predicate, timeout=30.0, what="condition", every=0.02, alive=None):
    """Polls until predicate() is true and returns what it returned.

    `alive` may raise early when waiting has become pointless (the process has died). The pause grows to
    a quarter of a second, so that a long wait does not take the CPU from what it waits for.
    """
    deadline = time.monotonic() + timeout
    pause = every
    while True:
        value = predicate()
        if value:
            return value
        if alive:
            alive()
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.25)
