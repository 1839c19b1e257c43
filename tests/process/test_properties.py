"""Nothing of a stream matters but its events: their order, the number of shards, copies of all of them, and
files cut anywhere change nothing in any aggregate, comparison, grain or breakdown, and neither do kills of the
daemon between checkpoints. (Attributes depend on the order within a user, and are not part of this.)"""

import datetime
import json
import os
import random
import shutil

from support import daemon
from support.campaigns import configuration
from support.case import ProcessCase, write
from support.generate import generate
from support.journal import APPLIED, Journal

DAY = 86_400_000_000

DEFINITIONS = {
    "keep": "800d",
    "grains": ["day", "week", "month", "quarter", "year", "30m"],
    "rolling": ["7d", "2mo", "6x30m"],
    "dimensions": {"channel": {}, "variant": {}},
    "breakdowns": ["channel", ["channel", "variant"]],
    "measures": {
        "p_count": {"agg": "count"},
        "p_users": {"agg": "users", "where": 'type in ["exposure", "participation"]'},
        "p_three": {"agg": "users(3)", "where": 'type == "exposure"'},
        "p_sum": {"agg": "sum(amount)"},
        "p_mean": {"agg": "mean(amount)", "where": 'type == "purchase"'},
        "p_happy": {"agg": "latest_users(score >= 9)", "where": 'type == "survey"'},
        "p_mood": {"agg": "latest_mean(score)", "where": 'type == "survey"'},
        "p_won": {"agg": "first_users(score >= 9)", "where": 'type == "survey"'},
        "p_start": {"agg": "first_mean(score)", "where": 'type == "survey"'},
    },
    "kpis": {
        **{name: {"formula": measure, "unit": "count"} for name, measure in (
            ("events", "p_count"), ("people", "p_users"), ("often", "p_three"), ("money", "p_sum"),
            ("each", "p_mean"), ("happy", "p_happy"), ("mood", "p_mood"), ("won", "p_won"),
            ("start", "p_start"), ("total_money", "total(p_sum)"),
            ("so_far", "cumulative(p_sum)"), ("before_it", "previous(p_count)"),
            ("a_year_ago", "last_year(p_users)"), ("usual", "trailing_mean(p_count, 3)"),
            ("weeks_before", "before(p_sum, 14)"))},
        "newly": {"formula": "first_time(p_users)", "unit": "count", "grains": ["day", "week", "month"],
                  "rolling": ["7d"]},
        "back": {"formula": "retained(p_users, active, day, 1)", "grains": ["day", "week", "month"],
                 "rolling": ["7d"]},
        "growing": {"formula": "growth(p_count, previous(p_count))"},
    },
}

ALL = {"events", "people", "often", "money", "each", "happy", "mood", "won", "start", "total_money", "so_far",
       "before_it", "usual", "weeks_before", "newly", "back", "growing"}


def numbers(document):
    """What is told of each KPI, scope and group, without what it is a definition of."""
    return {json.dumps([e["kpi"], e["campaign"], e["scope"], e.get("by")], sort_keys=True):
            (e["state"], e.get("reason"), e["value"], e["numerator"], e["denominator"], e["complete"])
            for e in document["kpis"]}


class Properties(ProcessCase):
    calm = None  # the numbers of the stream as it is, made once

    def setUp(self):
        super().setUp()
        self.home = self.directory()
        journal = generate(31, n_users=60, bad_events=False).select(APPLIED).replayable()
        # An event without id has its place in the file as one.
        records = [r for r in journal.records if r.event.id is not None]
        self.journal = Journal(journal.campaigns, records, journal.as_of)
        daemon.directory_for(configuration(journal.campaigns, **DEFINITIONS), self.home)
        self.as_of = datetime.datetime.fromtimestamp(journal.as_of // 1000000, datetime.timezone.utc).isoformat()
        if Properties.calm is None:
            Properties.calm = self.replay(records)
        self.expected = Properties.calm

    def replay(self, *files, arguments=()):
        """The numbers of a replay of lists of records."""
        paths = [write(self.home, f"part{i}", Journal((), records, 0).ndjson()) for i, records in enumerate(files)]
        done = daemon.run("replay", "-c", os.path.join(self.home, "kpid.yaml"), "--at", self.as_of, "-o", "json",
                          *arguments, *paths)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        self.said = done.stderr
        return numbers(json.loads(done.stdout))

    def check(self, got):
        self.assertEqual(set(got), set(self.expected))
        wrong = [f"{key}: {got[key]}, not {value}" for key, value in self.expected.items() if got[key] != value]
        self.assertEqual(wrong, [], "\n".join(wrong[:20]))

    def test_there_is_something_of_everything(self):
        """Else the others would compare nothing with nothing."""
        seen = [json.loads(key) for key, value in self.expected.items() if value[0] == "ok"]
        self.assertGreater(len(seen), 5000)
        self.assertLessEqual(ALL, {kpi for kpi, *_ in seen})
        self.assertLessEqual({"campaign", "phase", "day", "week", "month", "quarter", "year", "minutes",
                              "rolling"}, {scope["kind"] for _, _, scope, _ in seen})
        groups = [by for *_, by in seen if by]
        self.assertEqual({tuple(sorted(by)) for by in groups}, {("channel",), ("channel", "variant")})

    def test_order(self):
        """Of all but the last days: which ids are still remembered is a matter of the log's order."""
        records = self.journal.records
        n = sum(r.timestamp * 1000 < self.journal.as_of - 4 * DAY for r in records)
        early = records[:n]
        random.Random(1).shuffle(early)
        self.check(self.replay(early + records[n:]))

    def test_shards(self):
        self.check(self.replay(self.journal.records, arguments=("--shards", 7)))

    def test_cuts(self):
        records = self.journal.records
        cuts = sorted(random.Random(3).sample(range(len(records)), 4))
        self.check(self.replay(*[records[a:b] for a, b in zip([0] + cuts, cuts + [len(records)])]))

    def test_twice(self):
        """Each event and its copy; ids are remembered for a day."""
        records = self.journal.records
        self.check(self.replay([copy for record in records for copy in (record, record)]))
        self.assertIn(f"{len(records)} events applied, {len(records)} duplicates", self.said)

    def test_kills(self):
        """One daemon reads all in peace, another is killed again and again: the digests are the same."""
        cluster = self.cluster()
        topic = cluster.create_topic(partitions=2)
        homes, apps = [self.directory(), self.directory()], []
        for home in homes:
            if apps:
                shutil.copy(os.path.join(homes[0], "key"), home)  # one key, so that digests can be compared
            apps.append(self.kpid(self.settings(cluster, topic, self.redis(), self.journal.campaigns, **DEFINITIONS),
                                  directory=home))
        messages = self.journal.messages()
        part = len(messages) // 4 + 1
        for i in range(0, len(messages), part):
            cluster.produce(topic, messages[i:i + part])
            apps[1].restart(kill=True)
        for app in apps:
            app.wait_caught_up(len(messages))
            self.assertEqual(app.stop(), 0)
        peace, killed = (self.digest(app) for app in apps)
        self.assertEqual(peace, killed)
        self.assertEqual(len(set(peace)), 2)
