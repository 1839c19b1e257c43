"""hour(time), weekday(time) and monthday(time), in conditions and as dimensions, are what Python's zoneinfo
says of each event, also while clocks are set forth and back, at midnight or by half an hour."""

import collections
import csv
import datetime
import io
import json
import random
import zoneinfo

from support import daemon
from support.case import ProcessCase, write

UTC = datetime.timezone.utc
CONFIG = """
timezone: {zone}
catalogue: []
dimensions:
  channel: {{}}
  hour: hour(time)
  weekday: {{of: weekday(time)}}
  monthday: monthday(time)
  few: {{of: hour(time), values: 5}}
segments:
  evening: {{where: 'hour(time) >= 18 and weekday(time) not in [6, 7]'}}
measures:
  acts:    {{agg: count, where: type == "act"}}
  people:  {{agg: users, where: type == "act"}}
  nightly: {{agg: count, where: type == "act" and (hour(time) < 6 or hour(time) == 23)}}
  payday:  {{agg: users, where: 'type == "act" and monthday(time) in [1, 15, 31]'}}
kpis:
  acts:    {{formula: acts, unit: count, by: [hour, [channel, hour], monthday, evening, few]}}
  people:  {{formula: people, unit: count, by: [[channel, hour], [channel, weekday], [channel, monthday]]}}
  nightly: {{formula: nightly, unit: count, by: [weekday]}}
  payday:  {{formula: payday, unit: count, by: []}}
campaigns:
  - {{id: c, start: {start}, end: {end}, timezone: Asia/Tokyo}}
"""
# Zones, and days on which their clocks are set.
PLACES = (("Europe/Berlin", "2026-03-29"), ("Europe/Berlin", "2026-10-25"), ("Asia/Shanghai", "2026-11-01"),
          ("America/Sao_Paulo", "2018-11-04"), ("America/Sao_Paulo", "2018-02-18"),
          ("Australia/Lord_Howe", "2026-04-05"), ("Africa/Cairo", "2026-04-24"))


class Clocks(ProcessCase):
    def events(self, rng, around):
        """Of two weeks around a day, half of them within a day of it."""
        noon = datetime.datetime.fromisoformat(around).replace(hour=12, tzinfo=UTC)
        for i in range(600):
            days = 1 if i % 2 else 7
            yield {"id": str(i), "type": "act", "user": f"u{rng.randrange(60)}", "campaign": "c",
                   "channel": rng.choice(("wechat", "douyin")),
                   "time": noon + datetime.timedelta(seconds=rng.randint(-days * 86400, days * 86400))}

    def expected(self, events, zone):
        """(KPI, by) -> how many."""
        users, counts = collections.defaultdict(set), collections.Counter()
        for event in events:
            local = event["time"].astimezone(zone)
            hour, weekday, day = local.hour, local.isoweekday(), local.day
            evening = "true" if hour >= 18 and weekday <= 5 else "false"
            for by in ((), (("hour", hour),), (("channel", event["channel"]), ("hour", hour)),
                       (("monthday", day),), (("evening", evening),)):
                counts["acts", by] += 1
            for by in ((), *((("channel", event["channel"]), value)
                             for value in (("hour", hour), ("weekday", weekday), ("monthday", day)))):
                users["people", by].add(event["user"])
            if hour < 6 or hour == 23:
                counts["nightly", ()] += 1
                counts["nightly", (("weekday", weekday),)] += 1
            if day in (1, 15, 31):
                users["payday", ()].add(event["user"])
        counts.update({key: len(who) for key, who in users.items()})
        return {(kpi, tuple((name, str(value)) for name, value in by)): n
                for (kpi, by), n in counts.items()}

    def replayed(self, events, zone, around):
        day = datetime.date.fromisoformat(around)
        at = self.directory()
        config = write(at, "kpid.yaml", CONFIG.format(
            zone=zone, start=day - datetime.timedelta(10), end=day + datetime.timedelta(10)))
        lines = "".join(json.dumps({**event, "time": event["time"].isoformat()}) + "\n" for event in events)
        done = daemon.run("replay", "-c", config, "--at", f"{day + datetime.timedelta(10)}T00:00:00Z",
                          "-o", "csv", write(at, "events.ndjson", lines))
        self.assertEqual(done.returncode, 0, done.stderr)
        got, few = {}, {}
        for row in csv.DictReader(io.StringIO(done.stdout)):
            if row["scope.kind"] != "campaign" or not row["value"]:
                continue
            by = tuple(sorted(json.loads(row["by"] or "{}").items()))
            (few if by and by[0][0] == "few" else got)[row["kpi"], by] = int(row["value"])
        return got, few

    def test_random_events(self):
        for seed, (zone, around) in enumerate(PLACES):
            with self.subTest(zone=zone, around=around, seed=seed):
                rng = random.Random(seed)
                events = list(self.events(rng, around))
                got, few = self.replayed(events, zone, around)
                wanted = self.expected(events, zoneinfo.ZoneInfo(zone))
                self.assertEqual({key: n for key, n in got.items() if n}, wanted)
                self.assertIn(("acts", (("few", "__other__"),)), few)
                self.assertEqual(sum(few.values()), len(events))
