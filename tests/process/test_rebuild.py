"""A KPI that a reload brings says from when it counts, and no target is judged by it; `kpid rebuild`
fills it from the log: afterwards every value and the digest are those of a replay of all events, while
the old KPIs were right all the time, whatever was killed on the way."""

import datetime
import json
import os
import time

from support import config, daemon, stream
from support.case import ProcessCase, digests, write
from support.daemon import Ticker
from support.process import Child

MORE = {"measures": {"sharers": {"agg": "users", "where": 'type == "share"'}},
        "kpis": {"share_rate": {"formula": "sharers / participants", "unit": "ratio"}}}

# Who shares is who was reached.
MAPPED = {"mappings": {"app": {"type": {"path": "type",
                                        "values": {"exposure": "seen", "share": "exposure"}}}}}


def crowd(n, prefix, at=None):
    """n users who take part, half of whom share."""
    records = stream.crowd("c1", n, n, prefix, at)
    return records + [stream.record("share", f"{prefix}{i}", "c1", at) for i in range(n // 2)]


def numbers(document):
    """What a replay and a daemon must agree on: all but how much of a scope has passed."""
    return {(e["kpi"], e["scope"]["kind"], e["scope"]["start"]):
            (e["state"], e["numerator"], e["denominator"], e.get("counts_from"))
            for e in document["kpis"] if e["scope"]["kind"] in ("campaign", "day")}


def stream_time(us):
    """An instant as the API writes it."""
    at = datetime.datetime.fromtimestamp(us // 1000000, datetime.timezone.utc)
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    if us % 1000:
        text += f".{us % 1000000:06d}"
    elif us % 1000000:
        text += f".{us % 1000000 // 1000:03d}"
    return text + "Z"


class Rebuild(ProcessCase):
    def begin(self, n=200, partitions=1, **more):
        self.home = self.directory()
        self.records = []
        self.campaigns = [stream.campaign_now()]
        self.topic = self.cluster().create_topic(partitions=partitions)
        self.store = self.redis()
        self.app = self.instance(**more)
        self.app.wait_ready()
        self.feed(n, "a")
        self.app.wait_caught_up(len(self.records))

    def instance(self, **more):
        settings = (self.app.settings if self.instances else
                    self.settings(self.cluster(), self.topic, self.store, self.campaigns, **more))
        return self.kpid(settings, directory=self.home)

    def feed(self, n, prefix, at=None):
        records = crowd(n, prefix, at)
        self.records += records
        self.produce(records)

    def entry(self, kpi, kind="campaign", app=None):
        return stream.find((app or self.app).kpis(), kpi, kind)

    def arguments(self, *more, new=MORE):
        """Of `kpid rebuild` with the new definitions, whatever the daemon runs."""
        settings = config.merged(config.merged(self.app.settings, new),
                                 {"state": {"key_file": os.path.join(self.home, "key")}})
        self.new = write(self.home, "new.yaml", config.to_yaml(settings))
        return ["rebuild", "-c", self.new, *more]

    def rebuild(self, *more, new=MORE, **options):
        return daemon.run(*self.arguments(*more, new=new), **options)

    def staged(self):
        return self.store.keys("kpid:staged:*")

    def reload(self):
        self.app.reload(**MORE)
        self.app.wait(lambda: any(e["kpi"] == "share_rate" for e in self.app.kpis()["kpis"]), 20,
                      "the new KPI is there")

    def replayed(self, *more):
        self.arguments()
        events = write(self.home, "all.ndjson", b"".join(r.value + b"\n" for r in self.records))
        done = daemon.run("replay", "-c", self.new, *more, events)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def assert_whole(self, *apps):
        """Values and digest are those of a replay of everything, and nothing is left behind."""
        expected = numbers(json.loads(self.replayed("-o", "json")))
        apps = apps or (self.app,)
        daemon.wait_view(apps, lambda d: "" if d["complete"] and numbers(d) == expected else
                         f"{set(numbers(d).items()) ^ set(expected.items())}")
        apps[0].wait(lambda: self.staged() == [], 20, "nothing is staged any more")
        if len(apps) == 1 and len(self.app.shards("shard")) == 1:
            self.assertEqual(self.app.stop(), 0)
            self.assertEqual(self.digest(self.app), digests(self.replayed("--digest")))

    def watch(self, n):
        """A ticker that fails if a view calls itself complete and has fewer than n users, or than it
        had three seconds ago: it may be a second old while shards change hands."""
        seen = [(0, n)]

        def look():
            document = self.app.kpis()
            if document["complete"]:
                numerator, _denominator = stream.fraction(document)
                now = time.monotonic()
                least = max(n for at, n in seen if at < now - 3)
                if numerator < least:
                    raise AssertionError(f"{numerator}, and {least} seconds before")
                seen.append((now, numerator))

        ticker = Ticker(look, 0.005)
        self.addCleanup(ticker.stopped.set)
        return ticker

    # Without it.

    def test_a_reload_says_from_when_it_counts_and_does_not_fire(self):
        self.begin()
        newest = max(r.event.time for r in self.records)
        targets = [{"kpi": kpi, "value": "200%", "deviation": "10pp", "for": "0s", "min_sample": 1}
                   for kpi in ("participation_rate", "share_rate")]
        campaigns = [dict(self.campaigns[0].configuration(), targets=targets)]
        self.app.reload(campaigns=campaigns, **MORE)
        self.app.wait(lambda: self.app.alerts()["alerts"], 20, "there are targets")
        self.feed(10, "b")
        self.app.wait(lambda: self.entry("share_rate")["numerator"] == 5, 20, "it counts")
        share = self.entry("share_rate")
        self.assertEqual(share["counts_from"], stream_time(newest + 1))
        self.assertLess(share["complete"], 0.01)
        self.assertNotIn("counts_from", self.entry("participation_rate"))

        def statuses():
            return {a["kpi"]: a["status"] for a in self.app.alerts()["alerts"]}

        self.app.wait(lambda: statuses().get("participation_rate") == "firing", 20,
                      "the old KPI is judged")
        self.assertEqual(statuses()["share_rate"], "stale")
        self.app.restart()
        self.app.wait(lambda: self.entry("share_rate")["numerator"] == 5, 20, "it is loaded")
        self.assertEqual(self.entry("share_rate")["counts_from"], stream_time(newest + 1))

    # With it.

    def test_rebuilt_before_the_reload(self):
        """The state waits until the definitions run that it is of."""
        self.begin()
        done = self.rebuild()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("kill -HUP", done.stdout)
        self.assertEqual(len([k for k in self.staged() if k.endswith(":m")]), 1)
        for key in self.staged() + self.store.keys("kpid:*:staged"):
            self.assertGreater(int(self.store.cli("TTL", key)), 3600, key)
        self.feed(2000, "b")
        self.assert_fraction(self.app, 2200, 2200)
        self.assertNotIn("taking over", self.app.log())
        watch = self.watch(2200)
        self.reload()
        self.app.wait(lambda: self.staged() == [], 20, "it is taken over")
        self.app.wait(lambda: self.app.kpis()["complete"], 20, "the rest is read again")
        watch.stop()
        self.assert_whole()

    def test_rebuilt_under_another_mapping(self):
        """What messages become is of the definitions, too: nobody takes it over before."""
        self.begin()
        done = self.rebuild(new=MAPPED)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("kill -HUP", done.stdout)
        self.feed(20, "b")
        self.assert_fraction(self.app, 220, 220)
        self.assertNotIn("taking over", self.app.log())
        self.app.reload(**MAPPED)
        self.assert_fraction(self.app, 220, 110)
        self.assertIn("taking over", self.app.log())

    def test_rebuilt_under_load_after_the_reload(self):
        """Of more records than one round of reading is about."""
        self.begin(5000)
        self.reload()
        self.app.wait(lambda: self.app.shards("unsaved") == [0], 20, "all is saved")
        batches, watch = iter(range(1000000)), self.watch(5000)
        load = Ticker(lambda: self.feed(20, f"l{next(batches)}-"), 0.05)
        self.addCleanup(load.stopped.set)
        done = self.rebuild()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("taken over", done.stdout)
        self.assertGreaterEqual(int(done.stdout.split()[0]), 12500)
        load.stop()
        self.app.wait_caught_up(len(self.records))
        watch.stop()
        self.assert_whole()

    def test_every_instance_takes_its_shards(self):
        self.begin(400, partitions=4)
        self.reload()
        other = self.instance().wait_ready()
        self.app.wait(lambda: 0 < len(self.app.shards("shard")) < 4, 30, "shards are shared")
        done = self.rebuild()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_whole(self.app, other)
        for app in (self.app, other):
            self.assertIn("taking over", app.log())

    # Killed.

    def needs_faults(self):
        if not daemon.has_faults():
            self.skipTest("built without the crash points (-Dfaults=true)")

    def test_killed_rebuilds_change_nothing(self):
        """In its first shard, and in its last one when others are staged already."""
        self.needs_faults()
        self.begin(1000, partitions=4)
        self.reload()
        for n in (1, 5, 12):
            done = self.rebuild(env={"KPID_FAULT": f"mid_fold:{n}"})
            self.assertEqual(done.returncode, -9)
            self.feed(4, f"k{n}-")
            self.assert_fraction(self.app, *2 * (sum(r.event.type == "exposure"
                                                     for r in self.records),))
        self.assertNotEqual(self.staged(), [])
        self.assertNotIn("taking over", self.app.log())
        self.assertIn("counts_from", self.entry("share_rate"))
        self.assertEqual(self.rebuild().returncode, 0)
        self.assert_whole()

    def check_killed_daemon(self, point):
        """A named member of the group, so that it need not wait until it is missed."""
        self.needs_faults()
        self.begin(kafka={"properties": {"group.instance.id": "one"}})
        self.app.stop()
        self.assertEqual(self.rebuild().returncode, 0)
        self.feed(20, "b")
        self.app.rewrite(open(self.new, encoding="utf-8").read())
        self.app.start(wait=False, env={"KPID_FAULT": f"{point}:1"})
        self.assertEqual(self.app.child.wait(60), -9)
        self.assertIn("taking over", self.app.log())
        self.app.start()
        self.app.wait_ready()
        self.assert_whole()

    def test_killed_before_the_first_checkpoint(self):
        self.check_killed_daemon("before_commit")

    def test_killed_before_what_was_staged_is_removed(self):
        self.check_killed_daemon("after_commit")

    def test_a_rebuild_killed_at_any_time(self):
        self.begin(500, partitions=2)
        self.reload()
        for _ in range(3):
            child = Child([daemon.binary(), *self.arguments()],
                          os.path.join(self.home, "rebuild.log"))
            self.app.wait(lambda: not child.running() or self.staged(), 30, "something is staged")
            child.kill()
        self.assertEqual(self.rebuild().returncode, 0)
        self.assert_whole()

    # What cannot be rebuilt.

    def test_a_log_that_does_not_reach_back(self):
        self.begin()
        self.feed(10, "b")
        self.app.wait_caught_up(len(self.records))
        self.reload()
        self.cluster().delete_records(self.topic, {0: 500})
        done = self.rebuild()
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("--accept-missing", done.stderr)
        self.assert_fraction(self.app, 210, 210)
        done = self.rebuild("--accept-missing")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        first = self.records[500].event.time
        self.app.wait(lambda: self.entry("share_rate").get("counts_from") == stream_time(first), 30,
                      "it counts from what the log has")
        self.app.wait(lambda: self.app.kpis()["complete"], 20, "the view is complete")
        self.assertEqual(self.entry("participation_rate")["counts_from"], stream_time(first))
        self.assertEqual(self.entry("participation_rate")["denominator"], 10)

    def test_nobody_takes_over_other_definitions(self):
        self.begin()
        self.assertEqual(self.rebuild().returncode, 0)
        self.app.reload(measures={"likers": {"agg": "users", "where": 'type == "like"'}},
                        kpis={"like_rate": {"formula": "likers / participants", "unit": "ratio"}})
        self.app.wait(lambda: any(e["kpi"] == "like_rate" for e in self.app.kpis()["kpis"]), 20,
                      "the reload is done")
        self.feed(20, "b")
        self.assert_fraction(self.app, 220, 220)
        self.app.restart()
        self.app.wait_ready()
        self.assert_fraction(self.app, 220, 220)
        self.assertNotIn("taking over", self.app.logs())

    def test_what_is_missing_is_said(self):
        self.begin(10)
        os.remove(os.path.join(self.home, "key"))
        done = self.rebuild()
        self.assertEqual(done.returncode, 78)
        self.assertIn("key", done.stderr)
