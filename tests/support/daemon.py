"""kpid as a user runs it: a configuration file, a process, its HTTP interface and its log."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading

from support import config as configs
from support.metrics import parse_text
from support.kafka import Unavailable
from support.paths import KPID
from support.ports import wait_until
from support.process import Child

LISTENING = re.compile(r'msg="?listening"?.*?\baddress="?(?:\[?[0-9a-f.:]+\]?):(\d+)')


def binary():
    if not os.access(KPID, os.X_OK):
        raise Unavailable(f"{os.path.basename(KPID)} is not built")
    return KPID


def has_faults():
    """Was it built with the named crash points (-Dfaults=true)? Then it looks for their variable."""
    with open(binary(), "rb") as f:
        return b"KPID_FAULT" in f.read()


def run(*arguments, stdin=None, env=None, timeout=120):
    """Runs a subcommand to its end; the CompletedProcess with text. Bytes that are no UTF-8 stand in it
    as surrogates."""
    return subprocess.run([binary(), *map(str, arguments)], input=stdin, encoding="utf-8",
                          errors="surrogateescape", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, env=dict(os.environ, **(env or {})), check=False)


class Answer:
    """Of one HTTP request. Header names are in lower case."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8")


def directory_for(settings, directory=None):
    """A directory with kpid.yaml in it; its path. The secret of ids is made there at first start."""
    directory = directory or tempfile.mkdtemp(prefix="kpid-test-")
    settings = configs.merged({"state": {"key_file": os.path.join(directory, "key")}}, settings)
    with open(os.path.join(directory, "kpid.yaml"), "w", encoding="utf-8") as f:
        f.write(configs.to_yaml(settings))
    return directory


class Kpid:
    """`kpid run`. Several instances of one group share `directory` (and with it the secret of ids)."""

    count = 0

    def __init__(self, settings, directory=None, env=None, start=True, arguments=()):
        binary()
        Kpid.count += 1
        self.name = f"kpid-{Kpid.count}"
        self.owns_directory = directory is None
        self.settings = configs.merged({"http": {"listen": "127.0.0.1:0"}}, settings)
        self.directory = directory_for(self.settings, directory)
        self.config_path = os.path.join(self.directory, f"{self.name}.yaml")
        os.replace(os.path.join(self.directory, "kpid.yaml"), self.config_path)
        self.arguments = arguments
        self.env = dict(os.environ, **(env or {}))
        self.child = None
        self.starts = 0
        if start:
            self.start()

    # The process.

    def start(self, wait=True, env=None):
        """Starts (again). With wait, until it says where it listens."""
        self.starts += 1
        self.child = Child([binary(), "run", "-c", self.config_path, *self.arguments],
                           os.path.join(self.directory, f"{self.name}.{self.starts}.log"),
                           env=dict(self.env, **(env or {})))
        if wait:
            wait_until(lambda: LISTENING.search(self.log()), 30, "kpid listens", alive=self.alive)
        return self

    def alive(self):
        if not self.child.running():
            raise AssertionError(f"{self.name} ended with {self.child.wait()}")

    @property
    def port(self):
        said = LISTENING.search(self.log())
        if not said:
            raise ConnectionError("it does not listen yet")
        return int(said.group(1))

    @property
    def pid(self):
        return self.child.pid

    def stop(self, timeout=30):
        return self.child.stop(timeout)

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

    def reload(self, **settings):
        """Lays settings over the old ones, writes the file and sends SIGHUP."""
        self.settings = configs.merged(self.settings, settings)
        self.rewrite(configs.to_yaml(configs.merged(
            {"state": {"key_file": os.path.join(self.directory, "key")}}, self.settings)))

    def rewrite(self, text):
        """Puts any text in the place of the configuration and sends SIGHUP."""
        with open(self.config_path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(self.config_path + ".new", self.config_path)
        self.child.signal(signal.SIGHUP)

    def close(self):
        if self.child and self.child.running():
            self.child.cont()
            self.child.kill()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # Its log.

    def log(self):
        """Of the present process."""
        return self.child.log() if self.child else ""

    def logs(self):
        """Of all its lives."""
        parts = []
        for n in range(1, self.starts + 1):
            path = os.path.join(self.directory, f"{self.name}.{n}.log")
            with open(path, encoding="utf-8", errors="replace") as f:
                parts.append(f.read())
        return "".join(parts)

    # Its HTTP interface.

    def request(self, path, method="GET", headers=None, body=None, timeout=10):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            fields = {k.lower(): v for k, v in response.getheaders()}
            return Answer(response.status, fields, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def _document(self, path):
        answer = self.get(path)
        if answer.status == 503:
            raise ConnectionError(f"GET {path}: {answer.body[:200]!r}")
        if answer.status != 200:
            raise AssertionError(f"GET {path}: {answer.status} {answer.body[:200]!r}")
        return answer.json()

    def kpis(self, query=""):
        return self._document("/api/v1/kpis" + query)

    def alerts(self):
        return self._document("/api/v1/alerts")

    def status(self):
        return self._document("/api/v1/status")

    def metrics(self):
        """{(name, ((label, value), …)): number}; see Metrics for sums."""
        return parse_text(self.get("/metrics").text)

    def ready(self):
        """The status code of /-/ready; 0 if nobody answers."""
        try:
            return self.get("/-/ready").status
        except OSError:
            return 0

    # Conditions.

    def wait(self, predicate, timeout=60, what="condition"):
        """wait_until() that ends when the process does; refused connections count as "not yet"."""
        def look():
            try:
                return predicate()
            except (OSError, http.client.HTTPException):
                return False

        return wait_until(look, timeout, what, alive=self.alive)

    def wait_ready(self, timeout=60):
        self.wait(lambda: self.ready() == 200, timeout, f"{self.name} is ready")
        return self

    def wait_caught_up(self, n_records=None, timeout=120):
        """Until the lag of all partitions is 0 and (given) so many records have been read of them."""
        def done():
            partitions = self.status().get("partitions")
            return (partitions and all(p["lag"] == 0 for p in partitions)
                    and sum(max(p["next"], 0) for p in partitions) >= (n_records or 0))

        self.wait(done, timeout, f"{self.name} has read everything")
        return self

    def shards(self, name):
        """A figure of every shard that this instance owns."""
        return [s[name] for s in self.status().get("shards", []) if s["owned"]]


def wait_view(instances, check, timeout=60):
    """Until every instance's KPIs satisfy check(document), which returns what is wrong or "" ."""
    last = {}

    def good():
        for instance in instances:
            wrong = check(instance.kpis())
            last["wrong"] = wrong
            if wrong:
                return False
        return True

    try:
        instances[0].wait(good, timeout, "the numbers are as expected")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{last.get('wrong', '')}") from None


class Ticker(threading.Thread):
    """Calls a function again and again until stopped; keeps the first exception."""

    def __init__(self, function, every):
        super().__init__(daemon=True)
        self.function, self.every = function, every
        self.stopped = threading.Event()
        self.error = None
        self.start()

    def run(self):
        while not self.stopped.wait(self.every):
            try:
                self.function()
            except Exception as error:  # handed to who stops it
                self.error = self.error or error
                return

    def stop(self):
        self.stopped.set()
        self.join()
        if self.error:
            raise self.error
