"""Redis goes away, stalls, fills up or forgets: no number changes, intake waits when it must, and all
of it is said."""

from support import stream
from support.case import ProcessCase


class RedisFaults(ProcessCase):
    def begin(self, **more):
        self.stage(**more)
        self.n = 0
        self.feed(200)

    def feed(self, n):
        """n more users, half of whom take part; the numbers are there soon."""
        self.produce(stream.crowd("c1", n, n // 2, f"w{self.n}-"))
        self.n += n

    def expect(self, app=None):
        self.assert_fraction(app or self.app, self.n // 2, self.n)

    def wait_saved(self):
        def saved():
            unsaved = self.app.shards("unsaved")
            return unsaved and not any(unsaved)

        self.app.wait(saved, 30, "everything is saved")

    def test_killed_and_restarted(self):
        self.begin()
        self.expect()
        self.store.kill()
        self.feed(200)
        self.expect()  # counted in memory
        self.app.wait(lambda: self.app.metrics().one("kpid_redis_up") == 0, 30, "it is noticed")
        self.store.start()
        self.app.wait(lambda: self.app.metrics().one("kpid_redis_up") == 1, 30, "redis is up")
        self.wait_saved()
        self.app.restart(kill=True)
        self.app.wait_ready()
        self.expect()

    def test_stalled(self):
        self.begin()
        self.expect()
        self.store.pause()
        self.feed(200)
        self.expect()
        self.assertEqual(self.app.get("/-/healthy").status, 200)
        self.app.wait(lambda: self.app.metrics().one("kpid_redis_up") == 0, 30, "it is noticed")
        self.store.cont()
        self.wait_saved()
        self.app.restart(kill=True)
        self.app.wait_ready()
        self.expect()

    def test_full(self):
        self.begin()
        self.wait_saved()
        self.store.cli("CONFIG", "SET", "maxmemory", "1")
        self.feed(200)
        self.expect()
        self.app.wait(lambda: any(self.app.shards("unsaved")), 10,
                      "nothing can be saved")
        self.store.cli("CONFIG", "SET", "maxmemory", "0")
        self.wait_saved()
        self.app.restart(kill=True)
        self.app.wait_ready()
        self.expect()

    def test_flushed_while_it_runs(self):
        self.begin()
        self.expect()
        self.wait_saved()
        self.store.flush()
        self.feed(200)
        self.app.wait_ready()
        self.expect()
        self.wait_saved()
        self.app.restart(kill=True)
        self.app.wait_ready()
        self.expect()

    def test_flushed_while_it_is_down(self):
        """Law 1, the log is the truth: the group's offset is ahead of the (empty) checkpoint, the log is
        read again, and gives the same numbers."""
        self.begin()
        self.expect()
        self.assertEqual(self.app.stop(), 0)
        self.store.flush()
        self.app.start()
        self.app.wait_ready()
        self.expect()

    def test_an_older_state_comes_back(self):
        """A failover that lost writes: replay makes it right."""
        self.begin()
        self.expect()
        self.wait_saved()
        self.store.cli("SAVE")  # the last one: nothing else writes dump.rdb
        self.feed(200)
        self.expect()
        self.wait_saved()
        self.store.kill()
        self.store.settings["appendonly"] = "no"
        self.store.start()
        self.feed(200)
        self.expect()
        self.wait_saved()
        self.app.restart(kill=True)
        self.app.wait_ready()
        self.expect()

    def test_a_corrupt_object_is_rebuilt(self):
        self.begin()
        self.expect()
        self.assertEqual(self.app.stop(), 0)
        objects = self.store.keys("kpid:*:o:*")
        self.assertTrue(objects)
        for key in objects:
            self.store.cli("SETRANGE", key, 20, "garbage")
        self.app.start()
        self.app.wait_ready()
        self.expect()

    def test_away_for_longer_than_may_be_unsaved(self):
        """Intake stops at the bound, readiness says so, liveness stays; then it goes on by itself."""
        bound = 1000
        self.begin(checkpoint={"max_unsaved": bound})
        self.expect()
        self.wait_saved()
        self.store.kill()
        self.feed(20000)
        self.app.wait(lambda: self.app.ready() == 503, 30, "it is not ready")
        self.app.wait(lambda: max(self.app.shards("unsaved")) >= bound, 30, "a shard is at its bound")
        self.app.wait(lambda: self.app.metrics().one("kpid_partitions_paused") > 0, 30,
                      "partitions are paused")
        self.assertEqual(self.app.get("/-/healthy").status, 200)
        # A batch under way may pass the bound, not more.
        self.assertLess(max(self.app.shards("unsaved")), bound + 1100)
        self.assertLess(stream.fraction(self.app.kpis())[1], self.n)
        self.store.start()
        self.app.wait_ready()
        self.expect()
