"""A redis-server of the test's own, with AOF, on a unix socket and a port."""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile

from support.kafka import Unavailable
from support.ports import free_ports, wait_until
from support.process import Child


class Redis:
    """Keeps its directory, socket and port over restarts."""

    def __init__(self, **settings):
        """Settings as of redis.conf, with _ for -: appendonly="no", maxmemory_policy="allkeys-lru"."""
        if not shutil.which("redis-server"):
            raise Unavailable("redis-server is not installed")
        # Short, as the path of a unix socket has at most 107 bytes.
        self.directory = tempfile.mkdtemp(prefix="kpid-redis-", dir="/tmp")
        self.socket = os.path.join(self.directory, "s")
        self.settings = {"appendonly": "yes", "appendfsync": "everysec", "save": "",
                         "enable_debug_command": "yes", "unixsocketperm": "700"}
        self.settings.update(settings)
        self.child = None
        atexit.register(self.close)
        for attempt in range(5):
            (self.port,) = free_ports(1)
            try:
                self.start()
                return
            except AssertionError:
                if attempt == 4:
                    raise
                self.kill()

    @property
    def url(self):
        return f"unix://{self.socket}"

    @property
    def tcp_url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        argv = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                "--unixsocket", self.socket, "--dir", self.directory]
        for name, value in self.settings.items():
            argv += ["--" + name.replace("_", "-"), str(value)]
        self.child = Child(argv, os.path.join(self.directory, "log"))

        def alive():
            if not self.child.running():
                raise AssertionError("redis-server ended: " + self.child.log_tail(5))

        wait_until(self._pongs, 20, "redis-server answers", alive=alive)
        return self

    def _pongs(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(1)
            try:
                s.connect(self.socket)
                s.sendall(b"PING\r\n")
                return s.recv(64) == b"+PONG\r\n"
            except OSError:
                return False

    def cli(self, *arguments, text=True):
        """The answer of one command as redis-cli prints it, without the last newline."""
        done = subprocess.run(["redis-cli", "-s", self.socket, *map(str, arguments)],
                              stdout=subprocess.PIPE, check=True, timeout=30, text=text)
        return done.stdout.rstrip("\n" if text else b"\n")

    def keys(self, pattern="*"):
        return sorted(filter(None, self.cli("--scan", "--pattern", pattern).split("\n")))

    def hash(self, key):
        """A hash with values as text; bytes that are no UTF-8 are replaced."""
        lines = self.cli("HGETALL", key, text=False).decode("utf-8", "replace").split("\n")
        return dict(zip(lines[::2], lines[1::2])) if len(lines) > 1 else {}

    def flush(self):
        self.cli("FLUSHALL")

    def stop(self):
        self.child.stop()

    def kill(self):
        if self.child:
            self.child.kill()

    def restart(self, kill=False):
        self.kill() if kill else self.stop()
        return self.start()

    def pause(self):
        self.child.pause()

    def cont(self):
        self.child.cont()

    def close(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
