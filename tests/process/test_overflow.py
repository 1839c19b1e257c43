"""A sum that leaves 64 bits, in one shard or over several, in a group or in the whole, makes what is made of
it undefined by overflow, never another number; the rest goes on, and a metric and one line of the log tell."""

import csv
import io
import json
import os

from support import daemon, stream
from support.case import ProcessCase, write
from support.ports import wait_until

CONFIG = """
timezone: Asia/Shanghai
campaigns:
  - {id: c, start: 2026-11-01, end: 2026-12-01}
dimensions: {channel: {}}
breakdowns: [channel]
measures:
  score_sum: {agg: sum(score)}
kpis:
  revenue_total: {formula: sales, unit: money}
  score_total: {formula: score_sum, unit: count}
  buyers_total: {formula: buyers, unit: count}
"""

HUGE = 9_000_000_000_000  # two of them leave 64 bits of 10^-6


def event(n, **fields):
    return {"id": f"e{n}", "type": "purchase", "user": f"u{n}", "time": "2026-11-11T08:00:00+08:00",
            "campaign": "c", "amount": 1, "channel": "web", **fields}


class Overflow(ProcessCase):
    def replay(self, events, *arguments):
        at = self.directory()
        config = write(at, "kpid.yaml", CONFIG)
        lines = write(at, "events.ndjson", "".join(json.dumps(e) + "\n" for e in events))
        return daemon.run("replay", "-c", config, "--at", "2026-11-12T00:00:00Z", *arguments, lines)

    def values(self, events, *arguments):
        """(kpi, channel or None) -> the campaign's value."""
        done = self.replay(events, "-o", "json", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {(entry["kpi"], (entry.get("by") or {}).get("channel")): entry
                for entry in json.loads(done.stdout)["kpis"] if entry["scope"]["kind"] == "campaign"}

    def check_overflowed(self, entry):
        self.assertEqual((entry["state"], entry["reason"], entry["value"], entry["numerator"]),
                         ("undefined", "overflow", None, None))

    def test_in_one_shard_and_over_shards(self):
        """Users go to shards by their ids, so that with 64 shards no two of these share one, or few."""
        events = [event(n, amount=HUGE) for n in range(4)]
        for shards in (1, 2, 64):
            values = self.values(events, "--shards", str(shards))
            self.check_overflowed(values["revenue_total", None])
            self.check_overflowed(values["revenue_total", "web"])
            self.assertEqual((values["buyers_total", None]["state"], values["buyers_total", None]["value"]),
                             ("ok", 4))

    def test_what_fits_is_a_number(self):
        """One unit of 10^-6 short of 2^63 - 1, which marks an overflow."""
        events = [event(1, amount="9223372036854.775805"), event(2, amount="0.000001")]
        for shards in (1, 64):
            entry = self.values(events, "--shards", str(shards))["revenue_total", None]
            self.assertEqual(entry["state"], "ok")
            self.assertNotIn("reason", entry)

    def test_below_zero(self):
        events = [event(n, score=-HUGE) for n in range(3)]
        for shards in (1, 64):
            self.check_overflowed(self.values(events, "--shards", str(shards))["score_total", None])

    def test_a_group_alone(self):
        """The whole fits, of two channels one does not."""
        events = [event(1, score=HUGE, channel="app"), event(2, score=HUGE, channel="app"),
                  event(3, score=-HUGE), event(4, score=-HUGE + 5)]
        values = self.values(events)
        self.check_overflowed(values["score_total", "app"])
        self.check_overflowed(values["score_total", "web"])
        self.assertEqual((values["score_total", None]["state"], values["score_total", None]["value"]),
                         ("ok", 5))

    def test_the_table_and_the_csv_say_why(self):
        events = [event(n, amount=HUGE) for n in range(2)]
        self.assertRegex(self.replay(events).stdout, r"revenue_total.*undefined: overflow")
        rows = csv.DictReader(io.StringIO(self.replay(events, "-o", "csv").stdout))
        self.assertIn(("revenue_total", "overflow"), [(row["kpi"], row["reason"]) for row in rows])

    def test_the_daemon_tells(self):
        campaign = stream.campaign_now("c")
        self.stage([campaign], campaigns=[campaign.configuration()], grains=[],
                   kpis={"revenue_total": {"formula": "sales", "unit": "money"}})
        self.produce([stream.record("purchase", "u1", "c", amount=str(HUGE))])
        wait_until(lambda: self.overflowed() == 0, what="the metric")
        self.produce([stream.record("purchase", f"u{n}", "c", amount=str(HUGE)) for n in range(2, 9)])
        wait_until(lambda: self.overflowed() > 0, what="the overflow")
        entries = json.loads(self.app.get("/api/v1/kpis?kpi=revenue_total&scope=campaign").body)["kpis"]
        self.check_overflowed(entries[0])
        self.assertEqual(self.app.log().count("sums have left 64 bits"), 1)

    def overflowed(self):
        return self.app.metrics().get(("kpid_kpis_overflowed", ()))
