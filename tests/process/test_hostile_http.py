"""Slow, broken and hostile clients: nobody else notices, and intake goes on."""

import contextlib
import socket
import time

from support import stream
from support.case import ProcessCase
from support.process import resident_bytes

REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n"


class Hostile(ProcessCase):
    def setUp(self):
        super().setUp()
        self.stage()
        self.sockets = contextlib.ExitStack()
        self.addCleanup(self.sockets.close)

    def connect(self):
        """From another address than the well-behaved clients have, as limits are by address too."""
        return self.sockets.enter_context(socket.create_connection(
            ("127.0.0.1", self.app.port), timeout=10, source_address=("127.0.0.2", 0)))

    def answer(self, data, half_close=False):
        """All bytes that come back for some bytes sent; b"" if the connection is just closed."""
        client = self.connect()
        received = b""
        try:
            client.sendall(data)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(65536):
                received += chunk
        except (ConnectionError, socket.timeout):
            pass
        return received

    def unharmed(self):
        """Others are answered quickly, and events are counted."""
        began = time.monotonic()
        self.assertEqual(self.app.get("/-/healthy").status, 200)
        self.assertEqual(self.app.get("/metrics").status, 200)
        self.assertLess(time.monotonic() - began, 2)
        seen = stream.find(self.app.kpis(), "participation_rate")["denominator"] or 0
        self.produce(stream.crowd("c1", 10, 5, f"h{stream.now_us()}-"))
        self.app.wait(lambda: stream.find(self.app.kpis(), "participation_rate")["denominator"] ==
                      seen + 10, 10, "events are counted")

    def closed(self, client, seconds):
        """The server ends the connection in time."""
        def ended():
            client.settimeout(0.05)
            try:
                return client.recv(65536) == b""
            except socket.timeout:
                return False
            except ConnectionError:
                return True

        self.app.wait(ended, seconds, "the connection is closed")

    def test_slowloris(self):
        """A header that never ends, a byte at a time, on many connections."""
        clients = [self.connect() for _ in range(100)]
        for client in clients:
            client.sendall(REQUEST)
        deadline = time.monotonic() + 30
        open_ = set(clients)
        self.unharmed()
        while open_ and time.monotonic() < deadline:
            for client in list(open_):
                client.settimeout(0.001)
                try:
                    client.sendall(b"x")
                    if client.recv(100) == b"":
                        open_.discard(client)
                except socket.timeout:
                    pass
                except OSError:
                    open_.discard(client)
        self.assertEqual(len(open_), 0, "all are closed in time though bytes came all the time")
        self.unharmed()

    def test_idle_connections(self):
        clients = []
        with contextlib.suppress(OSError):
            clients = [self.connect() for _ in range(400)]
        self.unharmed()
        self.closed(clients[0], 150)
        self.unharmed()

    def test_reader_that_does_not_read(self):
        before = resident_bytes(self.app.pid)
        clients = []
        for _ in range(20):
            client = self.connect()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            with contextlib.suppress(OSError):
                client.settimeout(0.2)
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
            clients.append(client)
        self.unharmed()
        for client in clients:
            client.close()
        self.assertLess(resident_bytes(self.app.pid) - before, 100 << 20)

    def test_framing(self):
        """What could be read in two ways is refused, never served."""
        for name, data in (
                ("no Host", b"GET /metrics HTTP/1.1\r\n\r\n"),
                ("bare LF", b"GET /metrics HTTP/1.1\nHost: x\n\n"),
                ("length and chunked", REQUEST + b"Content-Length: 3\r\n"
                                                 b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                ("list of codings", REQUEST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
                ("two lengths", REQUEST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n"),
                ("negative length", REQUEST + b"Content-Length: -1\r\n\r\n"),
                ("blank before colon", REQUEST + b"X : y\r\n\r\n"),
                ("folded line", REQUEST + b"X: y\r\n z\r\n\r\n"),
                ("NUL in a header", REQUEST + b"X: a\0b\r\n\r\n"),
                ("no version", b"GET /metrics\r\n\r\n"),
                ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n"),
                ("method", b"BREW /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
                ("NUL in the path", b"GET /metrics\0 HTTP/1.1\r\nHost: x\r\n\r\n")):
            with self.subTest(name):
                answer = self.answer(data, half_close=True)
                self.assertNotIn(b" 200 ", answer.split(b"\r\n", 1)[0])
                self.assertNotIn(b"kpid_build_info", answer)
        self.unharmed()

    def test_sizes(self):
        for name, data in (
                ("long path", b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
                ("long header", REQUEST + b"X: " + b"a" * 1000000 + b"\r\n\r\n"),
                ("many headers", REQUEST + b"X: y\r\n" * 100000 + b"\r\n"),
                ("body", b"POST /api/v1/kpis HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n"
                         b"\r\n" + b"a" * 1000000)):
            with self.subTest(name):
                self.assertNotIn(b" 200 ", self.answer(data).split(b"\r\n", 1)[0])
        self.unharmed()

    def test_queries(self):
        for query in ("?campaign=%00", "?campaign=%zz", "?" + "a=b&" * 500, "?kpi=" + "x" * 1500,
                      "?scope=nothing", "?campaign=%ff", "?=", "?&&&"):
            with self.subTest(query[:30]):
                self.assertIn(self.app.get("/api/v1/kpis" + query).status, (200, 400, 404, 414))
        self.unharmed()

    def test_paths(self):
        for path in ("/../../etc/passwd", "/%2e%2e/etc/passwd", "//metrics", "/metrics%00", "/a" * 500):
            answer = self.app.get(path)
            self.assertIn(answer.status, (400, 404), path)
            self.assertNotIn("root:", answer.text)

    def test_resets(self):
        for _ in range(200):
            client = self.connect()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            client.close()
        self.unharmed()
        self.assertLess(self.app.log().count("\n"), 300, "strangers do not fill the log")

    def test_scrape_storm(self):
        began = time.monotonic()
        for _ in range(300):
            self.assertIn(self.app.get("/metrics").status, (200, 503))
        self.assertLess(time.monotonic() - began, 30)
        self.unharmed()
