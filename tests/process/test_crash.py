"""kill -9, again and again, at random and at named points: at the end the numbers are the oracle's, the
digest is that of a run never killed, and every transition of an alert has arrived under one id.

Law 2: offset and state are one.
"""

import concurrent.futures
import datetime
import itertools
import os
import random
import re
import shutil
import signal
import threading
import time

from support import daemon
from support.case import ProcessCase
from support.generate import generate
from support.kafka import Unavailable
from support.paths import ROOT
from support.ports import wait_until
from support.receiver import SECRET

N_KILLS = int(os.environ.get("KPID_TEST_KILLS", "50"))

# Groups that read the same topic and are killed side by side: after each kill the broker waits for a
# session to end, and side by side these waits cost nothing.
N_GROUPS = 5

TARGETS = [{"kpi": "participation_rate", "value": "99%", "deviation": "10pp", "for": "0s",
            "min_sample": 1},
           {"kpi": "repeat_purchase_rate", "value": "99%", "deviation": "10pp", "for": "0s",
            "min_sample": 1}]


def fault_points():
    """The names of the crash points, as the sources have them."""
    names = set()
    for folder, _dirs, files in itertools.chain(os.walk(os.path.join(ROOT, "daemon")),
                                                os.walk(os.path.join(ROOT, "libkpi"))):
        for name in files:
            if name.endswith(".c"):
                with open(os.path.join(folder, name), encoding="utf-8") as f:
                    names.update(re.findall(r'\bfault_point\("([^"]+)"\)', f.read()))
    return sorted(names)


class Feeder(threading.Thread):
    """Produces a journal slowly, so that there is always something under way."""

    def __init__(self, cluster, topic, messages, seconds):
        super().__init__(daemon=True)
        self.cluster, self.topic, self.messages = cluster, topic, messages
        self.pause = seconds / (len(messages) / 100)
        self.hurry = threading.Event()
        self.error = None
        self.start()

    def run(self):
        try:
            for i in range(0, len(self.messages), 100):
                self.cluster.produce(self.topic, self.messages[i:i + 100])
                self.hurry.wait(self.pause)
        except Exception as error:  # raised where the thread is joined
            self.error = error

    def finish(self):
        """Produces the rest at once."""
        self.hurry.set()
        self.join(120)
        if self.error:
            raise self.error


class Group:
    """Some instances with state, receiver and secret of their own."""

    def __init__(self, case, name, n_instances, env=None):
        self.case, self.name = case, name
        self.hook = case.receiver()
        self.home = case.directory()
        secret = os.path.join(self.home, "hook-secret")
        with open(secret, "w", encoding="ascii") as f:
            f.write(SECRET + "\n")
        os.chmod(secret, 0o600)
        # One key for all groups, so that their digests can be compared.
        shutil.copy(case.key, os.path.join(self.home, "key"))
        self.settings = case.settings(
            case.cluster(), case.topic, case.store, case.journal.campaigns,
            receivers=[{"name": "hook", "type": "webhook", "url": self.hook.url,
                        "secret_file": secret, "allow": ["127.0.0.0/8"]}])
        self.settings["campaigns"][-1]["targets"] = TARGETS
        self.apps = [case.kpid(self.settings, directory=self.home, env=env)
                     for _ in range(n_instances)]

    def kill_at_random(self, seed, n_kills):
        """Kills one of the instances, waits for anything from the start of its next life to some
        time of work, kills again."""
        dice = random.Random(seed)
        for _ in range(n_kills):
            app = dice.choice(self.apps)
            if dice.random() < 0.8:
                app.wait(lambda a=app: a.shards("shard"), 60, "it has shards")
            deadline = time.monotonic() + dice.random() * 0.6
            wait_until(lambda d=deadline: time.monotonic() > d, 5)
            app.kill()
            app.start(wait=dice.random() < 0.9)

    def check(self):
        """What must hold however often anything was killed."""
        case, app = self.case, self.apps[0]
        for instance in self.apps:
            instance.wait_ready(120)
        case.assert_oracle(app, case.journal, timeout=120)
        wait_until(lambda: {d.data["kpi"] for d in self.hook.accepted("firing")} >=
                   {t["kpi"] for t in TARGETS}, 60, "the alerts have arrived")
        case.assertEqual(self.hook.faults(), [])
        self.check_transitions()
        for instance in self.apps:
            case.assertEqual(instance.stop(), 0)
        case.assertEqual(case.digest(app), case.calm_digest)

    def check_transitions(self):
        """The receiver's journal has every transition of each alert, each under one id of its own."""
        sequences = {}
        for fingerprint, sequence, _type in self.hook.transitions().values():
            sequences.setdefault(fingerprint, []).append(sequence)
        for fingerprint, found in sequences.items():
            self.case.assertEqual(sorted(found), list(range(1, len(found) + 1)), fingerprint)


class Crash(ProcessCase):
    def prepare(self, seed, n_users=700):
        self.journal = generate(seed, anchor=datetime.datetime.now(datetime.timezone.utc).date(),
                                n_users=n_users)
        self.topic = self.cluster().create_topic()
        self.store = self.redis(appendfsync="always")
        home = self.directory()
        self.calm = self.kpid(self.settings(self.cluster(), self.topic, self.redis(),
                                            self.journal.campaigns), directory=home)
        self.calm.wait_ready()
        self.key = os.path.join(home, "key")

    def finish(self, feeder, groups):
        """The run never killed gives the digest that the others must have."""
        feeder.finish()
        self.calm.wait_caught_up(len(self.journal.records))
        self.assertEqual(self.calm.stop(), 0)
        self.calm_digest = self.digest(self.calm)
        for group in groups:
            group.check()

    def check_random(self, seed, n_instances):
        self.prepare(seed)
        groups = [Group(self, f"group {i}", n_instances) for i in range(N_GROUPS)]
        feeder = Feeder(self.cluster(), self.topic, self.journal.messages(), N_KILLS * 1.3)
        with concurrent.futures.ThreadPoolExecutor(N_GROUPS) as pool:
            kills = [pool.submit(group.kill_at_random, seed * 100 + i, -(-N_KILLS // N_GROUPS))
                     for i, group in enumerate(groups)]
            for kill in kills:
                kill.result()
        self.finish(feeder, groups)

    def test_one_instance_killed_at_random(self):
        self.check_random(21, 1)

    def test_two_instances_killed_at_random(self):
        self.check_random(22, 2)

    def check_points(self, names):
        """Kills at the first passes of named points while events flow, each point in a group of its
        own, then lets them go on in peace."""
        self.prepare(23, n_users=60)
        groups = [Group(self, name, 1, env={"KPID_FAULT": f"{name}:1"}) for name in names]
        feeder = Feeder(self.cluster(), self.topic, self.journal.messages(), 6)
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            hits = list(pool.map(self.hit, groups))
        for name, n_hits in zip(names, hits):
            self.assertGreater(n_hits, 0, f"{name} was never passed")
        self.finish(feeder, groups)

    def hit(self, group):
        """How often the group's point was passed with n = 1, 2, 3; it runs in peace afterwards."""
        (app,) = group.apps
        n_hits = 0
        for n in (1, 2, 3):
            if n > 1:
                app.start(wait=False, env={"KPID_FAULT": f"{group.name}:{n}"})
            if not self.provoke(app):
                break
            n_hits += 1
        app.kill()
        app.env.pop("KPID_FAULT", None)
        app.start()
        return n_hits

    def provoke(self, app):
        """Lets it run, reloads it, ends it; was it killed at its point on the way?"""
        for seconds, number in ((15, signal.SIGHUP), (2, signal.SIGTERM), (15, None)):
            try:
                wait_until(lambda: not app.child.running(), seconds)
                return app.child.wait() == -signal.SIGKILL
            except AssertionError:
                if number:
                    app.child.signal(number)
        return False


def _points_test(names):
    def test(self):
        if not daemon.has_faults():
            raise Unavailable("built without the crash points (-Dfaults=true)")
        self.check_points(names)

    test.__doc__ = "Killed at " + ", ".join(names)
    return test


_names = fault_points()
for _i in range(0, len(_names), N_GROUPS):
    setattr(Crash, f"test_points_{_i // N_GROUPS + 1}", _points_test(_names[_i:_i + N_GROUPS]))
