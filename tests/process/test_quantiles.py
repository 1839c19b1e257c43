"""Medians and quantiles of every scope are those by nearest rank of its events, computed here: equal up to
1,000 values, within 1 % above, where the answer says so; whatever the shards, the order and the restarts."""

import bisect
import csv
import datetime
import fractions
import io
import json
import math
import random

from support import config, daemon, oracle, stream
from support.case import ProcessCase, digests, write

EXACT, ERROR = 1000, 0.01

SHARES = {"p50": fractions.Fraction(1, 2), "p90": fractions.Fraction(9, 10),
          "p01": fractions.Fraction(1, 100), "p999": fractions.Fraction(999, 1000)}

DEFINITIONS = {
    "measures": {"dwell": {"agg": "quantiles(props.seconds)", "where": 'type == "session"'}},
    "kpis": {
        "p50": {"formula": "median(dwell)", "unit": "duration"},
        "p90": {"formula": "quantile(dwell, 0.9)", "unit": "duration"},
        "p01": {"formula": "quantile(dwell, 0.01)", "unit": "duration"},
        "p999": {"formula": "quantile(dwell, q=0.999)", "unit": "duration"},
        "mean": {"formula": "average(dwell)", "unit": "duration"},
        "day_before": {"formula": "previous(median(dwell))", "unit": "duration"}}}

ZONE = datetime.timezone(datetime.timedelta(hours=8))
FIRST = datetime.datetime(2026, 11, 1, tzinfo=ZONE)
AT = FIRST + datetime.timedelta(days=9, hours=13)


def settings(**more):
    campaigns = [{"id": name, "start": "2026-11-01", "end": "2026-11-12",
                  "phases": {"burst": ["start", "+3d"]}} for name in ("busy", "calm")]
    return config.merged({"timezone": "Asia/Shanghai", "grains": ["day", "week", "hour"],
                          "rolling": ["3d"], "campaigns": campaigns, **DEFINITIONS}, more)


def length_of_session(rng):
    """In 10^-6 s; some are alike, some none at all, some below zero."""
    kind = rng.randrange(10)
    if kind == 0:
        return rng.choice((0, 1, 30_000_000, -rng.randrange(90_000_000)))
    if kind == 1:
        return rng.randrange(100) * 1_000_000
    return int(math.exp(rng.gauss(4, 1.5)) * 1_000_000)


def nearest_rank(values, share):
    return sorted(values)[math.ceil(share * len(values)) - 1]


def decimal(text):
    return round(fractions.Fraction(text) * 1_000_000)


def sessions(seed, n, calm=40):
    """[(campaign, time, 10^-6 s)]: of the busy campaign 1 of `calm` goes to the calm one."""
    rng = random.Random(seed)
    span = int((AT - FIRST).total_seconds() * 1000)
    found = [("busy" if rng.randrange(calm) else "calm",
              FIRST + datetime.timedelta(milliseconds=rng.randrange(span)), length_of_session(rng))
             for _ in range(n)]
    return sorted(found, key=lambda session: session[1])


def lines(found):
    for i, (campaign, time, length) in enumerate(found):
        sign, size = "-" if length < 0 else "", abs(length)
        yield (f'{{"id":"e{i}","type":"session","user":"u{i % 97}","time":"{time.isoformat()}",'
               f'"campaign":"{campaign}","props":{{"seconds":'
               f'{sign}{size // 1_000_000}.{size % 1_000_000:06d}}}}}\n')


def values_in(found, campaign, start, end):
    first, last = (bisect.bisect_left(found, at, key=lambda session: session[1])
                   for at in (start, end))
    return [length for name, _time, length in found[first:last] if name == campaign]


class Quantiles(ProcessCase):
    def replay(self, text, *arguments, directory=None, **more):
        directory = directory or self.directory()
        path = write(directory, "kpid.yaml", config.to_yaml(settings(**more)))
        events = write(directory, "events.ndjson", text)
        done = daemon.run("replay", "-c", path, "--at", AT.isoformat(), *arguments, events)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return done.stdout

    def document(self, found, *arguments, **options):
        return json.loads(self.replay("".join(lines(found)), "-o", "json", *arguments, **options))

    def check(self, entry, values, share):
        """True: it is exact."""
        if not values:
            self.assertEqual((entry["state"], entry.get("error")), ("no_data", None), entry)
            return True
        self.assertEqual((entry["state"], entry["denominator"]), ("ok", None), entry)
        expected, got = nearest_rank(values, share), decimal(entry["numerator"])
        self.assertAlmostEqual(entry["value"] * 1_000_000, got, delta=1 + abs(got) * 1e-12)
        if len(values) <= EXACT:
            self.assertEqual((got, entry.get("error")), (expected, None), entry)
            return True
        self.assertLessEqual(abs(got - expected), ERROR * abs(expected), entry)
        self.assertEqual(entry.get("error"), ERROR, entry)
        return False

    def check_document(self, document, found):
        """(exact ones, others)"""
        counts = {True: 0, False: 0}
        for entry in document["kpis"]:
            start, end = (datetime.datetime.fromisoformat(entry["scope"][k]) for k in ("start", "end"))
            values = values_in(found, entry["campaign"], start, end)
            if entry["kpi"] in SHARES:
                counts[self.check(entry, values, SHARES[entry["kpi"]]) and bool(values)] += 1
            elif entry["kpi"] == "mean" and values:
                self.assertEqual(decimal(entry["numerator"]), sum(values), entry)
                self.assertEqual((entry["denominator"], entry.get("error")), (len(values), None), entry)
            elif entry["kpi"] == "day_before" and entry["scope"]["kind"] == "day" and values:
                before = values_in(found, entry["campaign"], start - datetime.timedelta(days=1), start)
                if before:
                    self.check(entry, before, SHARES["p50"])
                else:
                    self.assertEqual((entry["state"], entry["reason"]), ("undefined", "no_base"), entry)
        return counts

    # Against the events.

    def test_few_are_exact(self):
        """Up to the last that are: 1,000 of a campaign."""
        for seed, n in ((1, 1), (2, 2), (3, 37), (4, 600), (5, 1000)):
            with self.subTest(n=n):
                found = sessions(seed, n, calm=1000000)
                document = self.document(found)
                self.check_document(document, found)
                self.assertFalse([e for e in document["kpis"] if "error" in e])

    def test_many_are_within_a_percent_and_say_so(self):
        """Days and hours have few, the campaign, the week and the phase many."""
        for seed, n in ((6, 1040), (7, 8000)):
            with self.subTest(n=n):
                found = sessions(seed, n)
                counts = self.check_document(self.document(found), found)
                self.assertGreater(counts[True], 200)
                self.assertGreater(counts[False], 3)

    def test_shards_order_and_restarts_change_nothing(self):
        """A replay has no restarts, but the digest is that of all state."""
        found = sessions(8, 5000)
        documents = [self.document(found, "--shards", n) for n in ("1", "4", "16")]
        for document in documents[1:]:
            self.assertEqual(oracle.numbers(document), oracle.numbers(documents[0]))
            self.assertEqual([e.get("error") for e in document["kpis"]],
                             [e.get("error") for e in documents[0]["kpis"]])
        directory = self.directory()  # one secret for ids
        shuffled = list(lines(found))
        random.Random(8).shuffle(shuffled)
        more = {"dedupe": {"window": "0s"}}  # ids are forgotten in the order of arrival
        self.assertEqual(*(digests(self.replay(text, "--digest", directory=directory, **more))
                           for text in ("".join(lines(found)), "".join(shuffled))))

    # As they are shown.

    def test_the_csv_and_the_table_say_what_is_approximate(self):
        text = "".join(lines(sessions(9, 1500)))
        rows = list(csv.DictReader(io.StringIO(self.replay(text, "-o", "csv"))))
        errors = {(row["campaign"], row["kpi"]): row["error"] for row in rows
                  if row["scope.kind"] == "campaign"}
        self.assertEqual([errors[key] for key in (("busy", "p90"), ("calm", "p90"), ("busy", "mean"))],
                         ["0.01", "", ""])
        table = self.replay(text)
        self.assertRegex(table, r"busy +p90 p90 +campaign +~ [\d.]+ ")
        self.assertRegex(table, r"calm +p90 p90 +campaign +[\d.]+ ")

    # What cannot be.

    def check_file(self, text, *arguments):
        path = write(self.directory(), "kpid.yaml", text)
        return daemon.run("check", "-c", path, *arguments)

    def test_breakdowns_of_quantiles(self):
        """Asked for of one, refused where it stands; of all KPIs, passed over."""
        done = self.check_file("""timezone: UTC
campaigns: [{id: c, start: 2026-11-01, end: 2026-12-01}]
dimensions: {channel: {}}
measures:
  dwell: {agg: quantiles(seconds)}
kpis:
  typical:
    formula: median(dwell)
    unit: duration
    by: [channel]
""")
        self.assertEqual(done.returncode, 78)
        self.assertIn(':10:10: error: "typical" cannot be broken down: quantiles are kept of all events',
                      done.stdout + done.stderr)
        document = self.document(sessions(10, 50), dimensions={"channel": {}}, breakdowns=["channel"])
        self.assertEqual({e["kpi"] for e in document["kpis"] if "by" in e} & {"mean", *SHARES}, {"mean"})

    def test_the_estimate_has_them(self):
        def estimate(grain):
            done = self.check_file(config.to_yaml(settings(grains=[grain])), "--users", "1000000")
            self.assertEqual(done.returncode, 0, done.stderr)
            line = next(line for line in done.stdout.splitlines() if line.startswith("sketches"))
            size, unit = line.split()[1:3]
            return float(size) * {"B": 1, "KiB": 2 ** 10, "MiB": 2 ** 20, "GiB": 2 ** 30}[unit]

        self.assertGreater(estimate("5m"), 20 * estimate("day"))

    # The daemon.

    def test_instances_checkpoints_and_metrics(self):
        """Shards over two instances tell each other by way of Redis; what a killed one loads is the same."""
        campaigns = [stream.campaign_now("busy"), stream.campaign_now("calm")]
        topic, store, home = self.cluster().create_topic(partitions=4), self.redis(), self.directory()
        wanted = self.settings(self.cluster(), topic, store, campaigns, grains=["day"], **DEFINITIONS)
        apps = [self.kpid(wanted, directory=home).wait_ready() for _ in range(2)]
        apps[0].wait(lambda: [len(app.shards("shard")) for app in apps] == [2, 2], 30, "they share")
        rng = random.Random(11)
        at = stream.now_us() - 60_000_000
        lengths = {"busy": [length_of_session(rng) // 1000 * 1000 for _ in range(1600)],
                   "calm": [length_of_session(rng) // 1000 * 1000 for _ in range(300)]}
        self.produce([stream.record("session", f"u{i}", name, at + i, props={"seconds": length / 1e6})
                      for name, all_ in lengths.items() for i, length in enumerate(all_)], topic)

        def wrong(document):
            try:
                for kpi, share in SHARES.items():
                    for name, all_ in lengths.items():
                        self.check(stream.find(document, kpi, campaign=name), all_, share)
            except AssertionError as error:
                return str(error)
            return ""

        daemon.wait_view(apps, wrong)
        metrics = apps[1].metrics()
        self.assertEqual(metrics.one("kpid_kpi_error_ratio", kpi="p90", campaign="busy",
                                     scope="campaign"), 0.01)
        self.assertEqual(metrics.values("kpid_kpi_error_ratio", campaign="calm"), [])
        apps[0].wait(lambda: store.keys("kpid:*") and all(
            n == 0 for app in apps for n in app.shards("unsaved")), 30, "all is saved")
        for app in apps:
            app.kill()
        apps[0].start()
        apps[0].wait_ready()
        daemon.wait_view(apps[:1], wrong)
        document = apps[0].kpis()
        self.assertEqual(apps[0].stop(), 0)
        before = self.digest(apps[0])
        apps[0].start()
        apps[0].wait_ready()
        daemon.wait_view(apps[:1], lambda d: "" if [
            (e["value"], e.get("error")) for e in d["kpis"] if e["kpi"] in SHARES] == [
            (e["value"], e.get("error")) for e in document["kpis"] if e["kpi"] in SHARES] else "differs")
        self.assertEqual(apps[0].stop(), 0)
        self.assertEqual(self.digest(apps[0]), before)
