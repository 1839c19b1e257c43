"""Sessions cut by gap are those of the sorted stream, cut here in plain Python: how many, how long, how many
bounced, by campaign, day and channel; whatever comes late, twice, in how many shards, and through restarts."""

import collections
import datetime
import fractions
import itertools
import json
import math
import random
import zoneinfo

from support import config, daemon, oracle, stream
from support.case import ProcessCase, digests, write

ZONE = zoneinfo.ZoneInfo("Europe/Berlin")  # 2026-10-25 has 25 hours there
START = datetime.datetime(2026, 10, 24, 15, tzinfo=ZONE)
GAP = 30 * 60_000  # all times below are ms

ROOT_WHERE = 'type == "kpid.session.visit"'
MEASURES = {
    "visits": {"agg": "count", "where": ROOT_WHERE},
    "stay": {"agg": "sum(session.seconds)", "where": ROOT_WHERE},
    "lengths": {"agg": "quantiles(session.seconds)", "where": ROOT_WHERE},
    "bounces": {"agg": "count", "where": ROOT_WHERE + " and session.events == 1"},
    "visitors": {"agg": "users", "where": ROOT_WHERE},
    "begun": {"agg": "count", "where": ROOT_WHERE + " and session.day == 1"},
    "by_wechat": {"agg": "count", "where": ROOT_WHERE + ' and channel == "wechat"'},
    "everything": {"agg": "count"},
    "not_looks": {"agg": "count", "where": 'type != "look"'}}
KPIS = {
    "visits": {"formula": "visits", "unit": "count"},
    "dwell": {"formula": "stay / visits", "unit": "duration"},
    "p50": {"formula": "median(lengths)", "unit": "duration"},
    "p90": {"formula": "quantile(lengths, 0.9)", "unit": "duration"},
    "bounce_rate": {"formula": "bounces / visits", "unit": "ratio"},
    "begun": {"formula": "begun", "unit": "count"},
    "wechat_share": {"formula": "by_wechat / visits", "unit": "ratio"},
    "visits_a_visitor": {"formula": "visits / visitors", "unit": "ratio"},
    "events": {"formula": "everything", "unit": "count"},
    "events_but_looks": {"formula": "not_looks", "unit": "count"}}
TABLES = {basis: {"sessions": {"of": "lengths", "users": "visitors", "bounced": "bounces", "basis": basis,
                               "by": "channel", "last": 90}} for basis in ("hour", "day", "week")}
SHARES = {"p50": fractions.Fraction(1, 2), "p90": fractions.Fraction(9, 10)}


def settings(session=None, **more):
    campaigns = [{"id": name, "start": "2026-10-24", "end": "2026-10-29"} for name in ("a", "b")]
    session = {"where": 'type in ["look", "click"]', "fields": ["channel"], **(session or {})}
    return config.merged({"timezone": "Europe/Berlin", "campaigns": campaigns, "measures": MEASURES,
                          "kpis": KPIS, "sessions": {"visit": session}, "dimensions": {"channel": {}},
                          "breakdowns": ["channel"], "tables": TABLES}, more)


def generate(seed, n=700, users=12, hours=40):
    """[(ms since START, user, type, campaign, channel)], by time; no user has two at once."""
    rng = random.Random(seed)
    at, found = dict.fromkeys(range(users), 0), []
    span = hours * 3_600_000
    while len(found) < n:
        user = rng.randrange(users)
        at[user] += rng.choice((1, rng.randrange(1, 60_000), rng.randrange(1, 1_500_000), GAP, GAP + 1,
                                GAP - 1, rng.randrange(1, 9_000_000)))
        if at[user] < span:
            found.append((at[user], user, rng.choice(("look", "look", "click", "other")),
                          rng.choice(("a", "a", "b", None)), rng.choice(("wechat", "sms", None))))
        else:
            at[user] = rng.randrange(60_000) + (at[user] % 977) * 1000
            found = [event for event in found if event[1] != user]
    unique = {(event[0], event[1]): event for event in found}
    return sorted(unique.values(), key=lambda event: event[0])


def finish(found, gap=GAP):
    """Later events that are in no session, of so many users that every shard has some."""
    last = found[-1][0] + 3 * gap
    return [(last, 1000 + i, "end", None, None) for i in range(300)]


def lines(found):
    out = []
    for at, user, type_, campaign, channel in found:
        time = (START.astimezone(datetime.timezone.utc) + datetime.timedelta(milliseconds=at)).isoformat()
        fields = {"id": f"{user}-{at}", "type": type_, "user": f"u{user}", "time": time,
                  "campaign": campaign, "channel": channel}
        out.append(json.dumps({k: v for k, v in fields.items() if v is not None}) + "\n")
    return out


def disorder(rng, rows, found, late=GAP - 1):
    """Each comes up to so much later than it happened; some come twice."""
    keyed = [(event[0] + rng.randrange(late), row) for event, row in zip(found, rows)]
    keyed += [(event[0] + rng.randrange(late), row) for event, row in zip(found, rows)
              if rng.randrange(8) == 0]
    return [row for _at, row in sorted(keyed)]


def local_time(at):
    return (START.astimezone(datetime.timezone.utc) + datetime.timedelta(milliseconds=at)).astimezone(ZONE)


def local_day(at):
    return local_time(at).date()


def times_of(first, last, each_day):
    """When a session counts: as it begins, and as each later day of it does."""
    day, times = local_day(first), [local_time(first)]
    while each_day and day < local_day(last):
        day += datetime.timedelta(days=1)
        times.append(datetime.datetime.combine(day, datetime.time(), ZONE))
    return times


def cut(found, gap=GAP, midnight="ignore", longest=None):
    """[(time, ms, events, campaign, channel, user, which of its days, when it ended)]"""
    streams, sessions = {}, []
    for event in sorted(found):
        if event[2] in ("look", "click"):
            streams.setdefault(event[1], []).append(event)
    for user, events in streams.items():
        parts = []
        for event in events:
            if (not parts or event[0] - parts[-1][-1][0] > gap
                    or (midnight == "cut" and local_day(event[0]) != local_day(parts[-1][-1][0]))):
                parts.append([])
            parts[-1].append(event)
        for part in parts:
            length = part[-1][0] - part[0][0]
            for i, time in enumerate(times_of(part[0][0], part[-1][0], midnight == "count_both")):
                sessions.append((time, min(length, longest) if longest else length, len(part),
                                 part[0][3], part[0][4], user, i + 1, part[-1][0]))
    return sessions


def expected(sessions, kpi):
    n = len(sessions)
    lengths = sorted(session[1] for session in sessions)
    if kpi in SHARES:
        return (fractions.Fraction(lengths[math.ceil(SHARES[kpi] * n) - 1], 1000), None) if n else None
    return {"visits": (n, None),
            "dwell": (fractions.Fraction(sum(lengths), 1000), n),
            "begun": (sum(session[6] == 1 for session in sessions), None),
            "bounce_rate": (sum(session[2] == 1 for session in sessions), n),
            "wechat_share": (sum(session[4] == "wechat" for session in sessions), n),
            "visits_a_visitor": (n, len({session[5] for session in sessions}))}[kpi]


class Sessions(ProcessCase):
    def replay(self, rows, *arguments, directory=None, **more):
        directory = directory or self.directory()
        path = write(directory, "kpid.yaml", config.to_yaml(settings(**more)))
        events = write(directory, "events.ndjson", "".join(rows))
        done = daemon.run("replay", "-c", path, *arguments, events)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return done.stdout

    def check(self, document, sessions):
        """How many numbers were compared."""
        n = 0
        for entry in document["kpis"]:
            by, scope = entry.get("by"), entry["scope"]
            if entry["kpi"] not in (*SHARES, "visits", "dwell", "begun", "bounce_rate",
                                    "wechat_share", "visits_a_visitor") or scope["kind"] not in ("campaign", "day"):
                continue
            start = datetime.datetime.fromisoformat(scope["start"]).date()
            mine = [s for s in sessions if s[3] == entry["campaign"]
                    and (scope["kind"] == "campaign" or s[0].date() == start)
                    and (not by or s[4] == by["channel"])]
            if not mine or (entry["kpi"] == "begun" and not any(s[6] == 1 for s in mine)):
                self.assertIn(entry["state"], ("no_data", "undefined"), entry)
                continue
            numerator, denominator = expected(mine, entry["kpi"])
            self.assertEqual(fractions.Fraction(entry["numerator"]), numerator, entry)
            self.assertEqual(entry["denominator"], denominator, entry)
            n += 1
        return n

    def check_tables(self, document, sessions, as_of, still=()):
        """The same periods in the tables, of all campaigns; `still` are open."""
        def begin(time, basis, n=0):  # of the nth period behind, in seconds of UTC
            days = (7 * n - time.weekday()) if basis == "week" else n
            return (time.timestamp() // 3600 * 3600 + n * 3600 if basis == "hour" else
                    datetime.datetime.combine(time.date() + datetime.timedelta(days=days),
                                              datetime.time(), ZONE).timestamp())

        for entry in document["tables"]:
            basis, found = entry["basis"], {}
            opens = collections.Counter(begin(s[0], basis) for s in still)
            for s in sessions + ([] if "by" in entry else list(still)):
                if "by" not in entry or s[4] == entry["by"]["channel"]:
                    found.setdefault(begin(s[0], basis), []).append(s)
            for period in entry["periods"]:
                start = datetime.datetime.fromisoformat(period["start"]).astimezone(ZONE)
                mine = [s for s in found.pop(start.timestamp()) if s not in still]
                n_open = opens[start.timestamp()]
                self.assertEqual(period.get("open", 0), 0 if "by" in entry else n_open)
                self.assertEqual(period["mature"], begin(start, basis, 1) <= as_of.timestamp() and not n_open)
                if not mine:
                    self.assertEqual((period["sessions"], period["users"], period["mean_seconds"],
                                      period["median_seconds"], period["bounce_rate"]),
                                     (0, 0, None, None, None))
                    continue
                self.assertEqual([period[key] for key in ("sessions", "users", "bounced")],
                                 [len(mine), len({s[5] for s in mine}), sum(s[2] == 1 for s in mine)])
                for key, kpi in (("median_seconds", "p50"), ("p90_seconds", "p90")):
                    self.assertEqual(period[key], float(expected(mine, kpi)[0]))
                self.assertAlmostEqual(period["mean_seconds"], sum(s[1] for s in mine) / len(mine) / 1000,
                                       delta=1e-6)
            self.assertEqual(found, {})

    # Against the sorted stream.

    def test_sessions_are_those_of_the_sorted_stream(self):
        variants = [(GAP, "ignore", None), (GAP, "cut", None), (10 * 60_000, "ignore", None),
                    (GAP, "ignore", 40 * 60_000), (GAP, "cut", 45 * 60_000), (GAP, "count_both", None),
                    (6 * 2 * GAP, "count_both", 7 * 2 * GAP)]  # over two midnights
        compared, days = 0, set()
        for seed in range(1, 29):
            gap, midnight, longest = variants[seed % len(variants)]
            with self.subTest(seed=seed, gap=gap, midnight=midnight, longest=longest):
                found = generate(seed)
                rows = disorder(random.Random(seed), lines(found), found, late=gap - 1)
                session = {"gap": f"{gap // 60_000}m", "midnight": midnight}
                if longest:
                    session["max"] = f"{longest // 60_000}m"
                end = finish(found, gap)
                document = json.loads(self.replay(rows + lines(end), "-o", "json", session=session))
                sessions = cut(found, gap, midnight, longest)
                compared += self.check(document, sessions)
                self.check_tables(document, sessions, local_time(end[-1][0]))
                days |= {session[6] for session in sessions}
        self.assertGreater(compared, 3000)
        self.assertEqual(days, {1, 2, 3})

    def test_tables_tell_of_what_is_open(self):
        n_open = 0
        for seed, midnight in itertools.product((51, 52, 53), ("ignore", "cut", "count_both")):
            with self.subTest(seed=seed, midnight=midnight):
                found = generate(seed)
                found = found[:400 + 100 * (seed % 3)]  # some amid the first night
                sessions = cut(found, GAP, midnight)
                still = [s for s in sessions if s[7] + 2 * GAP > found[-1][0]]
                over = [s for s in sessions if s not in still]
                document = json.loads(self.replay(lines(found), "-o", "json", "--shards", "1",
                                                  session={"midnight": midnight}))
                self.check(document, over)
                self.check_tables(document, over, local_time(found[-1][0]), still)
                n_open += len(still)
        self.assertGreater(n_open, 25)

    def test_shards_and_order_change_nothing(self):
        found = generate(31)
        rows, end = lines(found), lines(finish(found))
        late = disorder(random.Random(31), rows, found)
        documents = [json.loads(self.replay(late + end, "-o", "json", "--shards", n))
                     for n in ("1", "4", "16")]
        for document in documents:
            self.assertGreater(self.check(document, cut(found)), 50)
            self.assertEqual(oracle.numbers(document), oracle.numbers(documents[0]))
        directory = self.directory()  # one secret for ids
        more = {"dedupe": {"window": "0s"}, "directory": directory}  # ids are forgotten by arrival
        once = disorder(random.Random(32), rows, found)
        once = list(dict.fromkeys(once))
        for tail in (end, []):  # with nothing open, and with what is
            self.assertEqual(digests(self.replay(sorted(rows, key=rows.index) + tail, "--digest", **more)),
                             digests(self.replay(once + tail, "--digest", **more)))

    def test_sessions_are_no_events_of_others(self):
        """They are in no measure that does not name them, and none can be sent."""
        found = generate(33)
        forged = ['{"id":"f%d","type":"kpid.session.visit","user":"u1","time":"%s","campaign":"a",'
                  '"session":{"seconds":5,"events":1}}\n' % (i, START.isoformat()) for i in range(9)]
        document = json.loads(self.replay(forged + lines(found) + lines(finish(found)), "-o", "json"))
        self.assertGreater(self.check(document, cut(found)), 50)
        for kpi, looks in (("events", True), ("events_but_looks", False)):
            entry = next(e for e in document["kpis"] if e["kpi"] == kpi and e["campaign"] == "a"
                         and e["scope"]["kind"] == "campaign" and not e.get("by"))
            n = sum(e[3] == "a" and (looks or e[2] != "look") for e in found)
            self.assertEqual(entry["numerator"], n + len(forged), entry)

    def test_what_is_open_or_too_late(self):
        """A session counts two gaps after its last event; an event later than a gap makes one of its own."""
        def visits(events):
            document = json.loads(self.replay(lines(events), "-o", "json"))
            return {e["kpi"]: fractions.Fraction(e["numerator"]) for e in document["kpis"]
                    if e["kpi"] in ("visits", "bounce_rate", "dwell") and e["campaign"] == "a"
                    and e["scope"]["kind"] == "campaign" and not e.get("by") and e["state"] == "ok"}

        def look(at):
            return (at, 1, "look", "a", None)

        one = [look(0), look(60_000)]
        tick = lambda at: (at, 2, "end", "a", None)
        self.assertFalse(visits(one).get("visits"))
        self.assertFalse(visits(one + [tick(60_000 + 2 * GAP - 1)]).get("visits"))
        self.assertEqual(visits(one + [tick(60_000 + 2 * GAP)]),
                         {"visits": 1, "dwell": 60, "bounce_rate": 0})
        self.assertEqual(visits(one + [tick(60_000 + 2 * GAP - 1), look(120_000), tick(9 * GAP)]),
                         {"visits": 1, "dwell": 120, "bounce_rate": 0})
        self.assertEqual(visits(one + [tick(60_000 + 2 * GAP), look(120_000), tick(9 * GAP)]),
                         {"visits": 2, "dwell": 60, "bounce_rate": 1})

    # The daemon.

    def test_instances_that_are_killed(self):
        """Two share the shards and one is killed amid open sessions: the numbers are those of the stream."""
        cluster, store, home = self.cluster(), self.redis(), self.directory()
        topic = cluster.create_topic(partitions=4)
        campaigns = [stream.campaign_now("a"), stream.campaign_now("b")]
        wanted = self.settings(cluster, topic, store, campaigns, grains=["day"], measures=MEASURES,
                               kpis=KPIS, sessions={"visit": {"where": 'type in ["look", "click"]'}})
        apps = [self.kpid(wanted, directory=home).wait_ready() for _ in range(2)]
        apps[0].wait(lambda: [len(app.shards("shard")) for app in apps] == [2, 2], 30, "they share")
        found = generate(41)
        begin = stream.now_us() - (found[-1][0] + 4 * GAP) * 1000
        sent = [stream.record(type_, f"u{user}", campaign, begin + at * 1000)
                for at, user, type_, campaign, _channel in found + finish(found)]
        middle = len(found) // 2
        self.produce(sent[:middle], topic)
        apps[0].wait(lambda: all(n == 0 for app in apps for n in app.shards("unsaved")), 30, "saved")
        apps[1].kill()
        self.produce(sent[middle:], topic)
        sessions = cut(found)

        def wrong(document):
            try:
                for name in ("a", "b"):
                    mine = [session for session in sessions if session[3] == name]
                    for kpi in ("visits", "dwell", "bounce_rate", "p50", "p90"):
                        entry = stream.find(document, kpi, campaign=name)
                        numerator, denominator = expected(mine, kpi)
                        self.assertEqual((fractions.Fraction(entry["numerator"] or 0),
                                          entry["denominator"]), (numerator, denominator), entry)
            except AssertionError as error:
                return str(error)
            return ""

        daemon.wait_view(apps[:1], wrong, timeout=90)
        apps[0].kill()
        apps[0].start()
        apps[0].wait_ready()
        daemon.wait_view(apps[:1], wrong)

    # What cannot be.

    def test_definitions_that_are_refused(self):
        for session, message in (
                ({"gap": "0s"}, 'gap: "0s" is no time'),
                ({"gap": "-5m"}, 'gap: "-5m" is not a duration'),
                ({"gap": "8d"}, 'gap: "8d" is more than 7d'),
                ({"gap": "10s"}, 'the gap of "visit" is too short, or too long'),
                ({"max": "0s"}, 'max: "0s" is no time'),
                ({"max": "29m"}, 'max: "29m" is less than the gap'),
                ({"gap": "1h", "max": "59m"}, 'max: "59m" is less than the gap'),
                ({"midnight": "both"}, "midnight"),
                ({"length": "4h"}, "length"),
                ({"fields": ["amount"]}, '"amount"'),
                ({"fields": ["f1", "f2", "f3", "f4", "f5"]}, "at most 4 fields"),
                ({"where": "type =="}, "error"),
                ({"where": 'type in ["look", "kpid.session.visit"]'},
                 "sessions are made of events, not of sessions")):
            with self.subTest(session=session):
                self.refused(settings(session), message)

    def test_expressions_that_are_refused(self):
        for where, message in (
                ('type == "kpid.session.vist"', 'there are no sessions "vist"'),
                ("visit > 3", 'ask for the type "kpid.session.visit"'),
                ("age(visit) > 3d", "age() takes an attribute"),
                (ROOT_WHERE + ' and session.seconds == "5"', "session.seconds")):
            with self.subTest(where=where):
                self.refused(settings(measures={"visits": {"where": where}}), message)
        self.refused(settings(dimensions={"visit": {}}), '"visit" are sessions, which are no dimension')
        self.refused(settings(attributes={"visit": {"agg": "count"}}), "visit")
        self.refused(settings(funnels={"f": {"steps": ['type == "signup"', 'type == "kpid.session.visit"']}}),
                     "funnels are made of events, not of sessions")

    def refused(self, wanted, message):
        done = daemon.run("check", "-c", write(self.directory(), "kpid.yaml", config.to_yaml(wanted)))
        self.assertEqual(done.returncode, 78, done.stdout + done.stderr)
        self.assertIn(message, done.stdout + done.stderr)
