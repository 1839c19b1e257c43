"""A webhook receiver that does as the test says and writes down what came."""

import base64
import hashlib
import hmac
import http.server
import json
import socket
import struct
import threading
import time

SECRET_KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(SECRET_KEY).decode()


def sign(secret, message_id, timestamp, body):
    """Standard Webhooks 1.0."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class Delivery:
    """One request as it came, and what was answered (0: the connection was reset)."""

    def __init__(self, headers, body):
        self.at = time.time()
        self.headers = headers
        self.body = body
        self.id = headers.get("webhook-id", "")
        self.answer = 0
        self.fault = ""
        try:
            self.document = json.loads(body)
        except ValueError:
            self.document = None
            self.fault = "the body is not JSON"

    @property
    def type(self):
        return self.document["type"]

    @property
    def data(self):
        return self.document["data"]


class Receiver:
    """Listens on a port of the kernel's choice. Answers 200 unless `script` says otherwise.

    script: a list, one entry a request, used up from the front; an entry is a status code, "reset",
    or a dict with "status" and "headers".
    """

    def __init__(self, script=(), secret=SECRET):
        self.script = list(script)
        self.secret = secret
        self.journal = []
        self.lock = threading.Lock()
        self.port = 0
        self.server = None
        self.listen()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def listen(self):
        """Begins (again, on the same port)."""
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                owner.handle(self)

            def log_message(self, *_arguments):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self):
        """Refuses connections until listen()."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    close = down

    def handle(self, request):
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        delivery = Delivery({k.lower(): v for k, v in request.headers.items()}, body)
        self.check(delivery)
        with self.lock:
            action = self.script.pop(0) if self.script else 200
        if not isinstance(action, dict):
            action = {"status": action}
        if action["status"] == "reset":
            with self.lock:
                self.journal.append(delivery)
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))
            request.connection.close()
            return
        delivery.answer = action["status"]
        # In the journal before the sender can know.
        with self.lock:
            self.journal.append(delivery)
        try:
            request.send_response(action["status"])
            for name, value in action.get("headers", {}).items():
                request.send_header(name, value)
            request.send_header("content-length", "0")
            request.end_headers()
        except OSError:
            pass

    def check(self, delivery):
        """Notes the first thing that a strict receiver would refuse."""
        headers = delivery.headers
        timestamp = headers.get("webhook-timestamp", "")
        if not delivery.id or "." in delivery.id:
            delivery.fault = delivery.fault or "webhook-id is missing or has a dot"
        elif not timestamp.isdigit() or abs(int(timestamp) - time.time()) > 300:
            delivery.fault = delivery.fault or f"webhook-timestamp is {timestamp!r}"
        elif self.secret:
            expected = sign(self.secret, delivery.id, timestamp, delivery.body)
            if expected not in headers.get("webhook-signature", "").split(" "):
                delivery.fault = delivery.fault or "webhook-signature does not fit"
        if not headers.get("content-type", "").startswith("application/json"):
            delivery.fault = delivery.fault or "content-type is not JSON"

    # What came.

    def deliveries(self, kind=None):
        """In order of arrival; kind is the end of the type, as "firing"."""
        with self.lock:
            return [d for d in self.journal
                    if d.document and (kind is None or d.type.endswith("." + kind))]

    def accepted(self, kind=None):
        return [d for d in self.deliveries(kind) if 200 <= d.answer < 300]

    def faults(self):
        with self.lock:
            return [d.fault for d in self.journal if d.fault]

    def transitions(self):
        """{webhook-id: (fingerprint, sequence, status)} of all that came. Raises if an id changed its
        content, or one transition came under two ids."""
        by_id, by_transition = {}, {}
        for d in self.deliveries():
            what = (d.data["fingerprint"], d.data["sequence"], d.type)
            if by_id.setdefault(d.id, what) != what:
                raise AssertionError(f"{d.id} stands for {by_id[d.id]} and {what}")
            if by_transition.setdefault(what, d.id) != d.id:
                raise AssertionError(f"{what} came as {by_transition[what]} and {d.id}")
        return by_id
