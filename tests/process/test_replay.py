"""`kpid replay`: the fold over files gives the numbers of the oracle, whatever the number of shards and
the order of the lines, and says by its exit code how it went."""

import datetime
import json
import os
import random
import re

from support import daemon, oracle
from support.campaigns import configuration
from support.case import ProcessCase, digests, write
from support.generate import generate
from support.journal import APPLIED, DUPLICATE, Journal

SEEDS = (1, 2, 3, 4, 5)

DAY = 86_400_000_000  # microseconds


def at(journal):
    """The journal's instant as an argument."""
    return datetime.datetime.fromtimestamp(journal.as_of // 1000000,
                                           datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Replay(ProcessCase):
    more = {}  # settings

    def config_of(self, journal, directory):
        daemon.directory_for(configuration(journal.campaigns, **self.more), directory)
        return os.path.join(directory, "kpid.yaml")

    def replay(self, journal, *arguments, directory=None):
        """The CompletedProcess of a replay of the journal's lines."""
        directory = directory or self.directory()
        events = write(directory, "events.ndjson", journal.ndjson())
        return daemon.run("replay", "-c", self.config_of(journal, directory), "--at", at(journal),
                          "-o", "json", *arguments, events)

    def document(self, journal, *arguments, **options):
        done = self.replay(journal, *arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return json.loads(done.stdout)

    def test_grains(self):
        """Every grain equals the oracle, in zones with summer time, as of the end of the stream,
        of the day on which New York changes its clocks, and of a day in between."""
        self.more = {"grains": ["day", "week", "month", "quarter", "year", "hour", "5m"]}
        for seed, days_before in ((21, 0.3), (22, 98), (23, 40)):
            journal = generate(seed, anchor=datetime.date(2026, 6, 15)).replayable()
            until = journal.as_of - int(days_before * DAY)
            journal = Journal(journal.campaigns,
                              [r for r in journal.records if r.event and r.event.time <= until], until)
            document = self.document(journal)
            wrong = oracle.differences(document, oracle.Oracle(journal, self.more["grains"]))
            self.assertEqual(wrong, [], "\n".join(wrong))
            kinds = {entry["scope"]["kind"] for entry in document["kpis"]}
            self.assertLessEqual({"week", "month", "quarter", "year", "hour", "minutes"}, kinds)

    def check_seed(self, seed):
        journal = generate(seed).replayable()
        done = self.replay(journal)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        self.check_counts(journal, done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual(oracle.as_of(document), journal.as_of)
        wrong = oracle.differences(document, oracle.Oracle(journal))
        self.assertEqual(wrong, [], "\n".join(wrong))

    def check_counts(self, journal, said):
        outcomes = journal.outcomes()
        self.assertIn("{applied} events applied, {duplicate} duplicates, {conflict} conflicts, "
                      "{refused} refused".format(**outcomes), said)
        reasons = {reason: int(n) for reason, n in re.findall(r"refused (\w+) +(\d+),", said)}
        self.assertEqual(reasons, dict(journal.reasons()))

    def test_shards_add_up(self):
        """Law 6: 1, 4 and 16 shards give the same rows."""
        journal = generate(6).replayable()
        one, four, sixteen = (oracle.numbers(self.document(journal, "--shards", n))
                              for n in (1, 4, 16))
        self.assertEqual(one, four)
        self.assertEqual(one, sixteen)

    BREAKDOWNS = (("channel",), ("channel", "variant"), ("newcomer",))

    def broken_down(self, journal, *arguments):
        directory = self.directory()
        daemon.directory_for(configuration(journal.campaigns, **oracle.BREAKDOWNS), directory)
        events = write(directory, "events.ndjson", journal.ndjson())
        done = daemon.run("replay", "-c", os.path.join(directory, "kpid.yaml"), "--at", at(journal),
                          "-o", "json", *arguments, events)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return json.loads(done.stdout)

    def test_breakdowns_equal_the_oracle(self):
        """By a field, by two, by a segment: every number of every group is that of SQL; the whole stands
        first and is what it is without breakdowns."""
        journal = generate(15, n_users=80).replayable()
        document = self.broken_down(journal)
        judge = oracle.Oracle(journal)
        self.assertGreater(sum("by" in e for e in document["kpis"]), 1000)
        wrong = oracle.differences(document, judge, breakdowns=self.BREAKDOWNS)
        self.assertEqual(wrong, [], "\n".join(wrong))
        whole = [e for e in document["kpis"] if "by" not in e]
        self.assertEqual(document["kpis"][:len(whole)], whole)
        self.assertEqual(whole, self.document(journal)["kpis"])

    def test_breakdowns_of_shards_add_up(self):
        journal = generate(16, n_users=80).replayable()
        one, four, sixteen = (oracle.numbers(self.broken_down(journal, "--shards", n))
                              for n in (1, 4, 16))
        self.assertEqual(one, four)
        self.assertEqual(one, sixteen)

    def test_order_does_not_matter(self):
        """Law 3: the digest of events in another order is the same.

        The last days keep theirs: which ids are still remembered is a matter of the log's order.
        """
        journal = generate(7, bad_events=False).select(APPLIED)
        # An event without id gets its place in the file as one.
        records = [r for r in journal.records if r.event.id is not None]
        ordered = Journal(journal.campaigns, records, journal.as_of)
        n = sum(r.timestamp * 1000 < journal.as_of - 4 * DAY for r in records)
        early = records[:n]
        random.Random(7).shuffle(early)
        shuffled = Journal(journal.campaigns, early + records[n:], journal.as_of)
        directory = self.directory()  # one secret for ids
        first, second = (digests(self.replay(j, "--digest", directory=directory).stdout)
                         for j in (ordered, shuffled))
        self.assertEqual(first, second)

    def test_the_digest_tells_states_apart(self):
        journal = generate(7, bad_events=False).select(APPLIED)
        less = Journal(journal.campaigns, journal.records[:-1], journal.as_of)
        directory = self.directory()
        first, second = (digests(self.replay(j, "--digest", directory=directory).stdout)
                         for j in (journal, less))
        self.assertNotEqual(first, second)

    def test_copies_change_nothing(self):
        """Law 2 in small: reading everything twice gives the numbers of reading it once."""
        journal = generate(8, bad_events=False).select(APPLIED, DUPLICATE)
        # Only the last day: what is older than the window would count again, as it should.
        recent = [r for r in journal.records
                  if r.event.id is not None and journal.as_of - r.event.time < DAY * 20 // 24]
        once = Journal(journal.campaigns, recent, journal.as_of)
        twice = Journal(journal.campaigns, recent + recent, journal.as_of)
        self.assertGreater(len(recent), 20)
        self.assertEqual(oracle.numbers(self.document(once)), oracle.numbers(self.document(twice)))

    def test_several_files_and_standard_input(self):
        journal = generate(9, n_users=100).replayable()
        directory = self.directory()
        whole = oracle.numbers(self.document(journal, directory=directory))
        half = len(journal.records) // 2
        parts = [write(directory, f"part{i}", Journal((), records, 0).ndjson())
                 for i, records in enumerate((journal.records[:half], journal.records[half:]))]
        config = self.config_of(journal, directory)
        common = ("replay", "-c", config, "--at", at(journal), "-o", "json")
        for name, done in (
                ("two files", daemon.run(*common, *parts)),
                ("standard input", daemon.run(*common, "-", stdin=journal.ndjson().decode(
                    "utf-8", "surrogateescape")))):
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(oracle.numbers(json.loads(done.stdout)), whole, name)

    def test_table_for_people(self):
        journal = generate(10, n_users=50).replayable()
        done = daemon.run("replay", "-c", self.config_of(journal, self.directory()), "--at",
                          at(journal), "-o", "table", "-", stdin="")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("participation_rate", done.stdout)

    def test_without_campaigns(self):
        """Whoever begins with no campaign at all sees events counted, and no KPI."""
        directory = self.directory()
        config = write(directory, "kpid.yaml", "timezone: Asia/Shanghai\n"
                       "sessions: {visit: {midnight: cut}}\n")
        lines = [{"id": str(day), "type": "purchase", "user": "u", "amount": "5",
                  "time": f"2026-11-0{day}T00:00:00+08:00"} for day in (1, 2, 3)]
        events = write(directory, "events.ndjson", "\n".join(map(json.dumps, lines)).encode() + b"\n")
        done = daemon.run("replay", "-c", config, "-o", "json", events)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["kpis"], [])

    def test_exit_codes(self):
        journal = generate(10, n_users=20).replayable()
        directory = self.directory()
        config = self.config_of(journal, directory)
        for code, arguments in (
                ((64,), ("replay",)),
                ((64,), ("replay", "-c", config, "--no-such-option", "-")),
                ((64,), ("replay", "-c", config, "--shards", "0", "-")),
                ((64,), ("replay", "-c", config, "--at", "soon", "-")),
                ((64,), ("replay", "-c", config, "-o", "xml", "-")),
                ((64,), ("replay", "-c", config, "--format", "xml", "-")),
                ((78,), ("replay", "-c", os.path.join(directory, "no-such.yaml"), "-")),
                ((66,), ("replay", "-c", config, os.path.join(directory, "no-such.ndjson")))):
            done = daemon.run(*arguments, stdin="")
            self.assertIn(done.returncode, code, (arguments, done.stderr))
            self.assertNotEqual(done.stderr.strip(), "", arguments)


def _seed_test(seed):
    def test(self):
        self.check_seed(seed)

    test.__doc__ = f"Replay of the stream of seed {seed} equals the oracle."
    return test


for _seed in SEEDS:
    setattr(Replay, f"test_oracle_seed_{_seed}", _seed_test(_seed))
