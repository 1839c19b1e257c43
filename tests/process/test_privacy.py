"""Who is erased is forgotten: numbers, memory and Redis are those of a log in which the user has never been
in any set; who has withdrawn consent is refused from then on; and groups of too few users are not shown."""

import csv
import io
import json

from support import daemon, stream
from support.case import ProcessCase, digests, write

REACHED, TAKING_PART = 200, 100


class Erasure(ProcessCase):
    def begin(self):
        self.dead = self.cluster().create_topic("dead", partitions=1)
        self.stage(partitions=1, kafka={"dead_letter_topic": self.dead})
        self.n_produced = 0
        self.produce(stream.crowd("c1", REACHED, TAKING_PART))
        self.expect(TAKING_PART, REACHED)

    def produce(self, records, topic=None):
        super().produce(records, topic)
        self.n_produced += len(records)

    def expect(self, taking_part, reached):
        """The numbers become these, and then so does the checkpoint, of all that was produced."""
        self.assert_fraction(self.app, taking_part, reached)
        self.app.wait_caught_up(self.n_produced)
        self.app.wait(lambda: self.app.shards("unsaved") == [0], 30, "everything is saved")

    def values(self):
        """All that Redis holds: the key and the bytes of every value."""
        for key in self.store.keys():
            kind = self.store.cli("TYPE", key)
            get = {"string": ("GET", key), "hash": ("HGETALL", key),
                   "list": ("LRANGE", key, 0, -1)}[kind]
            yield key, self.store.cli(*get, text=False)

    def hash_of(self, index):
        """The keyed hash of the user who came as number index: of one partition users have their ids, and
        their hashes their places, in the order of its log."""
        (users,) = [value for key, value in self.values() if ":o:u.0:" in key]
        at = 24 + 13 + 8 * index  # behind the frame and the name
        return users[at:at + 8]

    def places(self, needle):
        return [key for key, value in self.values() if needle in value]

    def of_app(self, name, **labels):
        return self.app.metrics().sum(name, **labels)

    def test_nothing_of_an_erased_user_stays_in_redis(self):
        self.begin()
        erased, other = self.hash_of(5), self.hash_of(6)
        self.assertEqual(len(self.places(erased)), 1)
        self.assertEqual(len(self.places(other)), 1)
        self.produce([stream.record("kpid.user_erased", "u5", None)])
        self.expect(TAKING_PART - 1, REACHED - 1)
        self.assertEqual(self.places(erased), [])
        self.assertEqual(len(self.places(other)), 1)
        self.assertEqual(self.of_app("kpid_users_erased_total"), 1)
        self.assertEqual(self.of_app("kpid_users"), REACHED - 1)
        digest = self.digest(self.app)
        self.app.restart(kill=True)
        self.app.wait_ready()
        self.expect(TAKING_PART - 1, REACHED - 1)
        self.assertEqual(self.digest(self.app), digest)
        self.assertEqual(self.places(erased), [])
        # Who comes back is new, by whatever time; what came before stays forgotten.
        at = stream.now_us() - 3600 * 1000000
        self.produce([stream.record("exposure", "u5", "c1", at)])
        self.expect(TAKING_PART - 1, REACHED)
        self.assertEqual(len(self.places(erased)), 1)

    def test_events_after_a_withdrawal_are_refused(self):
        self.begin()
        withdrawn = self.hash_of(5)
        self.produce([stream.record("kpid.consent_withdrawn", "u5", None)])
        self.expect(TAKING_PART - 1, REACHED - 1)
        later = [stream.record("participation", "u5", "c1"), stream.record("login", "u5", None)]
        self.produce(later[:1])
        self.app.wait(lambda: self.of_app("kpid_events_refused_total", reason="withdrawn") == 1, 30,
                      "it is refused")
        self.expect(TAKING_PART - 1, REACHED - 1)
        self.app.restart(kill=True)
        self.app.wait_ready()
        self.app.reload(rolling=["3d"])
        self.produce(later[1:])
        self.app.wait(lambda: self.of_app("kpid_events_refused_total", reason="withdrawn") == 1, 30,
                      "it is refused again")
        self.expect(TAKING_PART - 1, REACHED - 1)
        self.assertEqual(self.of_app("kpid_users_withdrawn"), 1)
        # It takes the hash to know them again. The dead letters hold the user as they came.
        (place,) = self.places(withdrawn)
        self.assertIn(":o:w.0:", place)
        letters = {m.value() for m in self.cluster().read_topic(self.dead, n=2)}
        self.assertEqual(letters, {record.value for record in later})

    def test_an_erasure_without_user_is_refused(self):
        self.begin()
        self.produce([stream.record("kpid.user_erased", None, None),
                      stream.record("kpid.consent_withdrawn", None, None)])
        self.app.wait(lambda: self.of_app("kpid_events_refused_total", reason="user_missing") == 2, 30,
                      "both are refused")
        self.expect(TAKING_PART, REACHED)


class Replay(ProcessCase):
    CONFIG = """\
campaigns:
  - {id: c1, start: 2026-11-01, end: 2026-12-01}
dimensions:
  channel: {}
breakdowns: [channel]
"""

    def replay(self, events, *arguments, config=""):
        at = self.directory()
        lines = "".join(json.dumps(e) + "\n" for e in events)
        done = daemon.run("replay", "-c", write(at, "c.yaml", self.CONFIG + config), *arguments,
                          write(at, "events.ndjson", lines))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    @staticmethod
    def event(kind, user, minute, **more):
        return {"id": f"{kind}-{user}-{minute}", "type": kind, "user": user, "campaign": "c1",
                "time": f"2026-11-02T10:{minute:02}:00Z", **more}

    def crowd(self, **channels):
        return [self.event(kind, f"{channel}{i}", 1, channel=channel)
                for channel, n in channels.items() for i in range(n)
                for kind in ("exposure", "participation")]

    def test_a_log_with_erasures_has_one_state(self):
        """Replayed twice: the same digest. Without the erasures: another one."""
        erasures = [self.event("kpid.user_erased", "web3", 2),
                    self.event("kpid.consent_withdrawn", "web4", 2)]
        after = [self.event("exposure", u, 3, channel="web") for u in ("web3", "web4", "web5")]
        log = self.crowd(web=9) + erasures + after
        done = self.replay(log, "--digest")
        self.assertIn(" 1 refused", done.stderr)
        again = self.replay(log, "--digest")
        self.assertEqual(digests(done.stdout), digests(again.stdout))
        without = self.replay(self.crowd(web=9) + after, "--digest")
        self.assertNotEqual(digests(done.stdout), digests(without.stdout))

    def groups(self, document):
        """What of the whole campaign participation_rate is shown by channel; and how much is not."""
        shown = {e["by"]["channel"]: e for e in document["kpis"]
                 if e["kpi"] == "participation_rate" and e["scope"]["kind"] == "campaign" and "by" in e}
        hidden = shown.pop("__suppressed__", None)
        return shown, hidden

    def test_groups_of_too_few_users_are_not_shown(self):
        events = self.crowd(web=30, app=20, mini=3)
        everything, hidden = self.groups(json.loads(self.replay(events, "-o", "json").stdout))
        self.assertEqual(set(everything), {"web", "app", "mini"})
        self.assertIsNone(hidden)
        text = self.replay(events, "-o", "json", config="min_group: 5\n").stdout
        shown, hidden = self.groups(json.loads(text))
        # Not mini; nor app, which would tell: the whole is known.
        self.assertEqual(set(shown), {"web"})
        self.assertEqual(shown["web"], everything["web"])
        self.assertEqual((hidden["state"], hidden["groups"], hidden["value"], hidden["numerator"],
                          hidden["denominator"]), ("suppressed", 2, None, None, None))
        self.assertNotIn("mini", text)
        self.assertNotIn("app", text)
        table = self.replay(events, config="min_group: 5\n").stdout
        self.assertRegex(table, r"  2 groups +suppressed")
        self.assertNotIn("mini", table)
        rows = list(csv.DictReader(io.StringIO(
            self.replay(events, "-o", "csv", config="min_group: 5\n").stdout)))
        self.assertFalse([r for r in rows if "mini" in r["by"] or "app" in r["by"]])
        self.assertTrue([r for r in rows if r["state"] == "suppressed" and not r["value"]])


class Groups(ProcessCase):
    def test_neither_http_nor_redis_tells_of_small_groups(self):
        self.stage(partitions=2, dimensions={"channel": {}}, breakdowns=["channel"], min_group=5)
        records = []
        for channel, n in (("web", 30), ("app", 20), ("mini", 3)):
            for i in range(n):
                for kind in ("exposure", "participation"):
                    records.append(stream.record(kind, f"{channel}{i}", "c1", channel=channel))
        self.produce(records)
        self.assert_fraction(self.app, 53, 53)
        text = self.app.get("/api/v1/kpis?by=channel").text
        self.assertIn('"web"', text)
        self.assertIn('"suppressed"', text)
        metrics = self.app.get("/metrics").text
        self.assertIn('by_channel="web"', metrics)
        self.assertGreater(self.app.metrics().one("kpid_groups_suppressed"), 1)
        published = "".join(str(self.store.hash(k)) for k in self.store.keys("*:kpi:*"))
        for small in ("mini", "app"):
            self.assertNotIn(f'"{small}"', text)
            self.assertNotIn(f'"{small}"', metrics)
            self.assertNotIn(small, published)
        self.app.reload(min_group=0)
        self.app.wait(lambda: '"mini"' in self.app.get("/api/v1/kpis?by=channel").text, 30,
                      "all groups are shown")
        self.assertIn('by_channel="mini"', self.app.get("/metrics").text)
