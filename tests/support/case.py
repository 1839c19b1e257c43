"""What every process test begins with: parts that are taken down by themselves, and logs on failure."""

import os
import re
import shutil
import tempfile
import unittest
import uuid

from support import config, daemon, kafka, oracle, stream
from support.campaigns import configuration
from support.receiver import Receiver
from support.redis import Redis

# The shortest that brokers allow: a killed member's partitions are taken over after it.
SESSION_TIMEOUT = "6s"


class ProcessCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        daemon.binary()
        self.instances = []
        self.parts = []

    # Parts.

    def cluster(self):
        return kafka.shared()

    def broker(self):
        """A broker of this test's own."""
        return self._part(kafka.Broker(heap="384m"))

    def redis(self, **settings):
        return self._part(Redis(**settings))

    def receiver(self, **options):
        return self._part(Receiver(**options))

    def directory(self):
        path = tempfile.mkdtemp(prefix="kpid-case-")
        self.addCleanup(shutil.rmtree, path, True)
        return path

    def _part(self, part):
        self.parts.append(part)
        self.addCleanup(part.close)
        return part

    def settings(self, cluster, topics, redis, defined, **more):
        """A whole configuration with the defined campaigns and a group of its own."""
        base = configuration(defined)
        base.update({
            "kafka": {"brokers": cluster.address, "group": f"g-{uuid.uuid4().hex[:8]}",
                      "topics": [topics] if isinstance(topics, str) else list(topics),
                      "start": "beginning", "session_timeout": SESSION_TIMEOUT},
            "checkpoint": {"interval": "200ms"}})
        if redis is not None:
            base["redis"] = {"url": redis.url}
        return config.merged(base, more)

    def kpid(self, settings, wait=True, **options):
        """A started instance; with wait, one that listens."""
        instance = daemon.Kpid(settings, start=False, **options)
        self.instances.append(instance)
        self.addCleanup(instance.close)
        return instance.start(wait=wait)

    def stage(self, defined=None, partitions=4, redis=None, **more):
        """The usual: a topic on the shared broker, a redis, one ready instance, with the defined
        campaigns (or one). Sets the attributes topic, store, campaigns and app."""
        self.campaigns = defined or [stream.campaign_now()]
        self.topic = self.cluster().create_topic(partitions=partitions)
        self.store = redis or self.redis()
        self.app = self.kpid(self.settings(self.cluster(), self.topic, self.store,
                                           self.campaigns, **more))
        self.app.wait_ready()
        return self.app

    def produce(self, records, topic=None):
        self.cluster().produce(topic or self.topic, stream.messages(records))

    # Claims.

    def assert_oracle(self, app, journal, timeout=90):
        """The instance's numbers become those of the oracle."""
        judge = oracle.Oracle(journal)
        daemon.wait_view([app], lambda d: "\n".join(oracle.differences(d, judge)), timeout)

    def assert_fraction(self, app, numerator, denominator, timeout=60, **which):
        """participation_rate becomes numerator / denominator."""
        def wrong(document):
            got = stream.fraction(document, **which)
            return "" if got == (numerator, denominator) else f"it is {got}"

        daemon.wait_view([app], wrong, timeout)

    def digest(self, app):
        """The digests of all shards from the checkpoint."""
        done = daemon.run("state", "digest", "-c", app.config_path)
        self.assertEqual(done.returncode, 0, done.stderr)
        return digests(done.stdout)

    def on_failure(self):
        """Called by the runner when the test has failed, before anything is taken down."""
        for instance in self.instances:
            if instance.child:
                state = "running" if instance.child.running() else f"ended {instance.child.wait()}"
                print(f"--- log of {instance.name} ({state}), last lines")
                print(instance.child.log_tail(30))
        for part in self.parts:
            if getattr(part, "child", None):
                print(f"--- log of {type(part).__name__}, last lines")
                print(part.child.log_tail(5))


def digests(text):
    """All 128-bit digests in a text, in order."""
    found = re.findall(r"\b[0-9a-f]{32}\b", text)
    if not found:
        raise AssertionError(f"no digest in: {text[:300]}")
    return found


def write(directory, name, data):
    path = os.path.join(directory, name)
    with open(path, "wb" if isinstance(data, bytes) else "w") as f:
        f.write(data)
    return path
