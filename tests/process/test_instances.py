"""Several instances of one group: shards move when one joins, leaves, dies or sleeps, and nobody counts
twice. A zombie that wakes up after its shards were taken is refused."""

from support import stream
from support.case import ProcessCase
from support.daemon import Ticker


class Instances(ProcessCase):
    def setUp(self):
        super().setUp()
        self.home = self.directory()

    def second(self):
        """Another instance of the group, with the same secret."""
        return self.kpid(self.app.settings, directory=self.home)

    def start(self, **more):
        self.campaigns = [stream.campaign_now()]
        self.topic = self.cluster().create_topic(partitions=4)
        self.store = self.redis()
        self.app = self.kpid(self.settings(self.cluster(), self.topic, self.store, self.campaigns,
                                           **more), directory=self.home)
        self.app.wait_ready()
        self.records = []

    def feed(self, n, prefix):
        records = stream.crowd("c1", n, n // 2, prefix)
        self.records += records
        self.produce(records)

    def expect(self, *apps):
        for app in apps:
            self.assert_fraction(app, sum(r.event.type == "participation" for r in self.records),
                                 sum(r.event.type == "exposure" for r in self.records))

    def n_owned(self, app):
        return len(app.shards("shard"))

    def leads(self, app):
        return app.status()["view"]["leader"]

    def watch_manifests(self):
        """A ticker that fails if an epoch or generation ever goes back (invariant I3)."""
        group = self.app.settings["kafka"]["group"]
        highest = {}

        def look():
            for shard in range(4):
                key = f"kpid:{{{group}/{shard}}}:m"
                manifest = self.store.hash(key)
                for name in ("epoch", "generation"):
                    now = int(manifest.get(name) or 0)
                    if now < highest.get((shard, name), 0):
                        raise AssertionError(f"{name} of shard {shard} fell to {now}")
                    highest[shard, name] = now

        ticker = Ticker(look, 0.2)
        self.addCleanup(ticker.stopped.set)
        return ticker

    def test_both_show_all_shards(self):
        self.start()
        other = self.second().wait_ready()
        self.app.wait(lambda: 0 < self.n_owned(self.app) < 4, 30, "shards are shared")
        self.feed(200, "a")
        self.expect(self.app, other)
        self.assertTrue(other.kpis()["complete"])

    def test_join_and_leave_under_load(self):
        self.start()
        ticker = self.watch_manifests()
        self.feed(300, "a")
        other = self.second()
        self.feed(300, "b")
        other.wait_ready()
        self.feed(300, "c")
        self.assertEqual(other.stop(), 0)
        self.feed(300, "d")
        self.app.wait(lambda: self.n_owned(self.app) == 4, 30, "all shards are here again")
        self.expect(self.app)
        other.start()
        other.wait_ready()
        self.assertEqual(self.app.stop(), 0)
        self.feed(300, "e")
        self.expect(other)
        ticker.stop()

    def test_one_is_killed(self):
        self.start()
        other = self.second().wait_ready()
        self.feed(400, "a")
        self.expect(self.app, other)
        self.app.kill()
        self.feed(400, "b")
        self.expect(other)

    def test_a_zombie_is_refused(self):
        """SIGSTOP for longer than the session, then SIGCONT."""
        self.start()
        ticker = self.watch_manifests()
        other = self.second().wait_ready()
        self.app.wait(lambda: 0 < self.n_owned(self.app) < 4, 30, "shards are shared")
        self.feed(400, "a")
        self.expect(self.app, other)
        self.app.pause()
        self.feed(400, "b")
        other.wait(lambda: self.n_owned(other) == 4, 60, "the sleeper's shards are taken over")
        self.expect(other)
        self.app.cont()
        self.feed(400, "c")
        self.app.wait_ready(60)
        self.expect(self.app, other)
        ticker.stop()

    def test_one_leader(self):
        self.start()
        other = self.second().wait_ready()
        apps = (self.app, other)

        def leaders():
            return sum(self.leads(app) for app in apps)

        self.app.wait(lambda: leaders() == 1, 30, "there is one leader")
        leader = next(app for app in apps if self.leads(app))
        rest = other if leader is self.app else self.app
        leader.kill()
        rest.wait(lambda: self.leads(rest), 30, "the other leads")
