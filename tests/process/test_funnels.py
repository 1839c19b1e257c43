"""Funnels equal brute force over all chains of all users, whatever the number of shards and, within the
lateness, the order of arrival; what comes later is counted."""

import datetime
import json
import os
import random
import unittest
import zoneinfo

from support import daemon, funnels, stream
from support.case import ProcessCase, digests, write
from support.funnels import ANY, STRICT, Condition, Funnel, of_type

SECOND = 1_000_000
ZONE = "America/New_York"  # whose clocks change within the streams
BEGIN = int(datetime.datetime(2026, 10, 31, tzinfo=datetime.timezone.utc).timestamp()) * SECOND
STEP = 900  # seconds: so coarse that many events have the same time

LARGE = Condition('type == "c" and amount >= 50', lambda e: e["type"] == "c" and e["amount"] >= 50)

FUNNELS = (
    Funnel("plain", [of_type("a"), of_type("b"), of_type("c")], within=8 * STEP, by=["channel"]),
    Funnel("edge", [of_type("a"), of_type("b")], within=STEP),
    Funnel("long", [of_type("a"), of_type("b"), of_type("a"), LARGE], within=40 * STEP,
           by=["campaign", "channel"]),
    Funnel("twice", [of_type("a"), of_type("a"), of_type("b", "a"), of_type("b")],
           within=30 * STEP),
    Funnel("maybe", [of_type("a"), of_type("b"), of_type("d"), of_type("c")], within=20 * STEP,
           optional=[1, 2]),
    Funnel("unless", [of_type("a"), of_type("b"), of_type("c")], within=30 * STEP,
           exclusions=[(of_type("x"), 0, 2)]),
    Funnel("unless_between", [of_type("a"), of_type("b"), of_type("d"), of_type("c")],
           within=30 * STEP, optional=[1],
           exclusions=[(of_type("x"), 1, 3), (of_type("a", "b"), 2, 3)]),
    Funnel("next", [of_type("a"), of_type("b"), of_type("c")], order=STRICT, within=20 * STEP),
    Funnel("next_maybe", [of_type("a"), of_type("b", "a"), of_type("c", "b")], order=STRICT,
           optional=[1], within=20 * STEP),
    Funnel("all", [of_type("a"), of_type("b"), of_type("c")], order=ANY, within=8 * STEP,
           by=["channel"]),
    Funnel("all_of", [of_type("a", "b"), of_type("a"), of_type("a", "c", "x"), of_type("c")],
           order=ANY, within=12 * STEP),
)


def day_of(at):
    return datetime.datetime.fromtimestamp(at / SECOND, zoneinfo.ZoneInfo(ZONE)).strftime("%Y-%m-%d")


def generate(seed, n_users=14, n_events=9, lateness=3600):
    """A stream in its order of arrival: out of order by up to the lateness, with copies, and events of
    nobody and of no funnel."""
    rng = random.Random(seed)
    events = []
    for user in range(n_users):
        at = BEGIN + rng.randrange(0, 400) * STEP * SECOND
        for n in range(rng.randrange(1, n_events + 1)):
            at += rng.choice((0, 1, 1, 2, 5, 8, 30)) * STEP * SECOND
            event = {"id": f"{user}-{n}", "user": f"u{user}", "at": at,
                     "type": rng.choice("aabbccdx"), "amount": rng.choice((10, 50, 90))}
            # of one user at one time all come from one place
            place = random.Random(f"{seed} {user} {at}")
            if place.random() < 0.8:
                event["channel"] = place.choice(("web", "app", "微信"))
            if place.random() < 0.7:
                event["campaign"] = place.choice(("one", "two"))
            if rng.random() < 0.05:
                del event["user"]
            events.append(event)
    # Each is delayed by less than the lateness, behind what has been.
    events.sort(key=lambda e: (e["at"] + rng.randrange(0, lateness) * SECOND, e["id"]))
    for event in rng.sample(events, len(events) // 8):
        events.insert(events.index(event) + 1 + rng.randrange(0, 3), dict(event, copy=True))
    return events


def ndjson(events):
    lines = []
    for event in events:
        line = {k: v for k, v in event.items() if k not in ("at", "copy")}
        time = datetime.datetime.fromtimestamp(event["at"] / SECOND, datetime.timezone.utc)
        lines.append(json.dumps(dict(line, time=time.isoformat()), ensure_ascii=False))
    return "\n".join(lines) + "\n"


class Funnels(ProcessCase):
    def setUp(self):
        super().setUp()
        self.home = self.directory()  # one secret for users

    def config(self, defined=FUNNELS, **more):
        # The streams are sparse: their time moves on by more than a day between two events.
        daemon.directory_for({"timezone": ZONE, "dimensions": {"channel": {}},
                              "dedupe": {"window": "20d"},
                              "funnels": {f.name: f.definition() for f in defined}, **more},
                             self.home)
        return os.path.join(self.home, "kpid.yaml")

    def replay(self, events, *arguments, **options):
        done = daemon.run("replay", "-c", self.config(**options), "-o", "json", *arguments,
                          write(self.home, "events.ndjson", ndjson(events).encode()))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def entries(self, events, *arguments, **options):
        return json.loads(self.replay(events, *arguments, **options))["funnels"]

    def differences(self, entries, events, defined=FUNNELS):
        events = [e for e in events if "copy" not in e]
        wrong, n_whole = [], 0
        for funnel in defined:
            result = funnels.Result(funnel, events, day_of)
            mine = [e for e in entries if e["funnel"] == funnel.name]
            if {e["late_events"] for e in mine} != {result.n_late}:
                wrong.append(f"{funnel.name}: late {mine[0]['late_events']}, not {result.n_late}")
            wrong += funnels.differences(mine[0], result.numbers())
            n_whole += len(result.numbers()[2])
            groups = [tuple(e["by"][name] for name in funnel.by) for e in mine[1:]]
            if groups != (result.groups() if funnel.by else []):
                wrong.append(f"{funnel.name}: groups {groups}, not {result.groups()}")
                continue
            for entry, values in zip(mine[1:], groups):
                wrong += funnels.differences(entry, result.numbers(values))
        return wrong, n_whole

    def test_oracle(self):
        """24 small streams: every number of every funnel is that of brute force."""
        reached = 0
        for seed in range(24):
            events = generate(seed)
            wrong, n_whole = self.differences(self.entries(events), events)
            self.assertEqual(wrong, [], f"seed {seed}\n" + "\n".join(wrong))
            reached += n_whole
        self.assertGreater(reached, 300)  # else the streams would prove little

    def test_late_events(self):
        """Beyond the lateness the answer is that of what was not late, and says how much was."""
        short = tuple(Funnel(f.name, f.steps, f.order, f.within // SECOND, 2 * STEP, f.optional,
                             f.exclusions, f.by) for f in FUNNELS)
        late = 0
        for seed in range(100, 106):
            events = generate(seed, lateness=12 * 3600)
            entries = self.entries(events, defined=short)
            wrong, _ = self.differences(entries, events, short)
            self.assertEqual(wrong, [], f"seed {seed}\n" + "\n".join(wrong))
            late += entries[0]["late_events"]
        self.assertGreater(late, 5)

    def test_shards_add_up(self):
        """Law 6: 1, 4 and 16 shards give the same answers."""
        events = generate(30, n_users=60)
        one, four, sixteen = (self.entries(events, "--shards", n) for n in (1, 4, 16))
        self.assertEqual(one, four)
        self.assertEqual(one, sixteen)

    def test_order_of_arrival_does_not_matter(self):
        """Within the lateness the answers, and the digest of the state, are those of the sorted stream."""
        events = [e for e in generate(31, n_users=40) if "copy" not in e]
        ordered = sorted(events, key=lambda e: (e["at"], e["id"]))
        backwards = sorted(events, key=lambda e: (e["at"], e["id"]), reverse=True)
        # reversed within each hour, so that nothing is late
        backwards.sort(key=lambda e: e["at"] // (3599 * SECOND))
        answers = [self.entries(each) for each in (events, ordered, backwards)]
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[0], answers[2])
        sums = [digests(self.replay(each, "--digest")) for each in (events, ordered, backwards)]
        self.assertEqual(sums[0], sums[1])
        self.assertEqual(sums[0], sums[2])

    def test_reading_twice_changes_nothing(self):
        """Law 2 in small; copies within the window of ids are the same event."""
        events = [e for e in generate(32) if "copy" not in e]
        events = [e for e in events if e["at"] < BEGIN + 20 * 3600 * SECOND]
        copies = [dict(e, copy=True) for e in events]
        self.assertEqual(self.entries(events), self.entries(events + copies))

    def test_the_trend_adds_up(self):
        """Each user is on one day of the trend, the local one of the first event."""
        events = generate(33, n_users=40)
        plain = FUNNELS[0]
        entry = self.entries(events)[0]
        days = sorted(t["start"] for t in entry["trend"])
        self.assertGreater(len(days), 3)
        result = funnels.Result(plain, [e for e in events if "copy" not in e], day_of)
        self.assertEqual([d[:10] for d in days], sorted({day for _, day, _ in result.chains}))
        for step in range(3):
            self.assertEqual(sum(t["users"][step] for t in entry["trend"]),
                             entry["steps"][step]["users"])


class FunnelsOfADaemon(ProcessCase):
    """The same over Kafka, Redis and HTTP."""

    def begin(self, seed, **more):
        self.events = generate(seed, n_users=40)
        past = (stream.now_us() - max(e["at"] for e in self.events)) // stream.DAY
        for event in self.events:
            event["at"] += (past - 1) * stream.DAY
        self.topic = self.cluster().create_topic(partitions=4)
        self.app = self.kpid(self.settings(
            self.cluster(), self.topic, self.redis(), [], timezone=ZONE,
            dimensions={"channel": {}}, dedupe={"window": "20d"},
            funnels={f.name: f.definition() for f in FUNNELS}, **more))
        self.app.wait_ready()

    def produce(self, events):
        self.cluster().produce(self.topic, [
            (event.get("user", event["id"]).encode(), line.encode(), event["at"] // 1000)
            for event, line in zip(events, ndjson(events).splitlines())])

    def funnel(self, name, query="?by=*"):
        answer = self.app.get(f"/api/v1/funnels/{name}{query}")
        return answer.json()["funnels"] if answer.status == 200 else []

    def differences(self):
        """Of all funnels from those of the oracle; late events are those of shards."""
        wrong = []
        for funnel in FUNNELS:
            result = funnels.Result(funnel, [e for e in self.events if "copy" not in e], day_of)
            entries = self.funnel(funnel.name)
            if len(entries) != 1 + len(result.groups() if funnel.by else []):
                return [f"{funnel.name}: {len(entries)} entries"]
            wrong += funnels.differences(entries[0], result.numbers())
            for entry in entries[1:]:
                values = tuple(entry["by"][name] for name in funnel.by)
                wrong += funnels.differences(entry, result.numbers(values))
            self.assertNotIn("counts_from", entries[0])
        return wrong

    def wait_right(self):
        last = []

        def right():
            last[:] = self.differences()
            return not last

        try:
            self.app.wait(right, 60, "funnels are right")
        finally:
            self.assertEqual(last, [])

    def test_killed_and_started(self):
        """A kill in the middle changes no number."""
        self.begin(40)
        half = len(self.events) // 2
        self.produce(self.events[:half])
        self.app.wait_caught_up(half)
        self.app.wait(lambda: self.funnel("plain")[0]["steps"][0]["users"] > 3, 20, "some are there")
        self.app.restart(kill=True)
        self.produce(self.events[half:])
        self.wait_right()
        self.app.restart()
        self.wait_right()

    def test_questions(self):
        self.begin(41)
        self.produce(self.events)
        self.wait_right()
        whole = self.funnel("plain", "")
        self.assertEqual(len(whole), 1)
        trend = whole[0]["trend"]
        day, end = trend[1]["start"][:10], trend[2]["start"][:10]
        of_day = self.funnel("plain", f"?from={day}&to={end}")[0]
        self.assertEqual(of_day["trend"], trend[1:2])
        self.assertEqual([s["users"] for s in of_day["steps"]], trend[1]["users"])
        groups = self.funnel("long", "?by=channel,campaign")
        self.assertEqual(groups, self.funnel("long", "?by=campaign,channel"))
        self.assertTrue(all(set(g["by"]) == {"campaign", "channel"} for g in groups))
        for path, status in (("nosuch", 404), ("plain?by=campaign", 404), ("plain?from=soon", 400),
                             ("edge?by=channel", 404), ("plain?step=1", 400)):
            self.assertEqual(self.app.get(f"/api/v1/funnels/{path}").status, status, path)

    def test_reload(self):
        """What means the same keeps its users, whatever its name; what is new says from when it counts."""
        self.begin(42)
        self.produce(self.events)
        self.wait_right()
        before = self.funnel("plain")
        fresh = Funnel("fresh", [of_type("a"), of_type("b")], within=7 * STEP)
        self.app.reload(funnels={"renamed": FUNNELS[0].definition(), "fresh": fresh.definition()})
        self.app.wait(lambda: [e["trend"] for e in self.funnel("renamed")] ==
                      [e["trend"] for e in before], 20, "the renamed one has its users")
        self.assertNotIn("counts_from", self.funnel("renamed")[0])
        self.assertEqual(self.funnel("fresh")[0]["steps"][0]["users"], 0)
        self.assertIn("counts_from", self.funnel("fresh")[0])


if __name__ == "__main__":
    unittest.main()
