"""min_group over tables, funnels and experiments: of random streams nothing is shown of a group that is of
fewer users, and nothing that is hidden can be had by subtracting what is shown; wholes stay as they are."""

import itertools
import json
import random

from support import daemon
from support.case import ProcessCase, write

MIN = 5
SEEDS = range(1, 9)
CONFIG = """
timezone: Asia/Shanghai
catalogue: []
campaigns: [{id: c, start: 2026-11-01, end: 2026-12-01}]
dimensions: {channel: {}}
measures:
  shown: {agg: users, where: type == "exposure"}
  there: {agg: users, where: 'type in ["exposure", "visit"]'}
  stay: {agg: quantiles(seconds), where: type == "visit"}
  visitors: {agg: users, where: type == "visit"}
  short: {agg: count, where: type == "visit" and seconds < 5}
tables:
  stays:   {sessions: {of: stay, users: visitors, bounced: short, last: 10, by: channel}}
  back:    {retention: {start: first_time(shown), return: there, periods: 4, last: 10, by: channel}}
  later:   {retention: {start: recurring(shown), return: there, periods: 4, mode: unbounded, percent: previous,
                        last: 10, by: channel}}
  life:    {lifecycle: {of: there, basis: day, last: 10, by: channel}}
  days:    {active_days: {of: there, over: week, last: 3, by: channel}}
funnels:
  way: {steps: [type == "exposure", type == "visit", type == "purchase"], within: 7d, by: channel}
experiments:
  theme: {variants: [A, B], exposure: type == "exposure", goal: type == "purchase", metric: proportion,
          by: channel}
"""
# How many users of each channel there are: few in some, and two that are alike.
CROWDS = {"web": 200, "app": 90, "mini": 90, "sms": 25, "fair": 8, "desk": 3, None: 12}


def generate(seed):
    r = random.Random(seed)
    events = []
    for channel, n in CROWDS.items():
        for i in range(r.randrange(n // 2, n + 1)):
            user = f"{channel}{i}"
            first = r.randrange(8)
            where = {} if channel is None else {"channel": channel}
            events.append((first, "exposure", user, dict(where, variant=r.choice("AB"))))
            if r.random() < 0.03:
                events.append((first, "exposure", user, dict(where, variant=r.choice("AB"))))
            for day in range(first, 9):
                if r.random() < 0.4 / (1 + day - first):
                    events.append((day, "visit", user, dict(where, seconds=r.randrange(20))))
                    if r.random() < 0.2:
                        events.append((day, "purchase", user, where))
    lines = []
    for number, (day, kind, user, fields) in enumerate(sorted(events, key=lambda e: e[0])):
        second = number % 3600
        lines.append(json.dumps(dict(fields, id=f"e{number}", type=kind, user=user,
                                     time=f"2026-11-{2 + day:02}T10:{second // 60:02}:{second % 60:02}+08:00")))
    return "\n".join(lines) + "\n"


def numbers_of(kind, entry):
    """{(run, number): users}; what is shown of a run stands or falls together or one by one, which does
    not matter here: of each number the groups are a whole."""
    if kind == "funnels":
        found = {("steps", s["step"]): s["users"] for s in entry["steps"]}
        for day, i in itertools.product(entry["trend"] or (), range(len(entry["steps"]))):
            found[day["start"], i] = day["users"][i]
        return found
    if kind == "experiments":
        found = {("units", a["arm"]): a["units"] for a in entry["arms"]}
        found.update({("did", a["arm"]): int(a["sums"]["x"]) for a in entry["arms"]})
        return found
    if "counts" in entry:
        return {(entry["start"], c["n"]): c["users"] for c in entry["counts"]}
    found = {(p["start"], k): p[k] for p in entry.get("periods", ())
             for k in ("new", "returning", "resurrecting", "dormant", "sessions", "users", "bounced")
             if k in p}
    for cohort in entry.get("cohorts", ()):
        found[cohort["start"], "size"] = cohort["size"]
        found.update({(cohort["start"], c["n"]): c["users"] for c in cohort["cells"]})
    return found


def read(document):
    """{(kind, name): {channel: numbers}}, and the entries as they are."""
    numbers, entries = {}, {}
    for kind in ("tables", "funnels", "experiments"):
        for entry in document[kind]:
            if "by" not in entry:
                continue
            key = kind, entry[kind[:-1]]
            channel = entry["by"]["channel"]
            entries.setdefault(key, []).append(entry)
            if channel != "__suppressed__":
                numbers.setdefault(key, {}).setdefault(channel, {}).update(numbers_of(kind, entry))
    return numbers, entries


class MinGroup(ProcessCase):
    def replay(self, lines, more, *arguments):
        at = self.directory()
        done = daemon.run("replay", "-c", write(at, "c.yaml", CONFIG + more), "--at", "2026-11-11T00:00:00+08:00",
                          *arguments, write(at, "events.ndjson", lines))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check_numbers(self, all_groups, shown_groups):
        """Returns how many numbers are hidden, and how many of anybody are shown."""
        n_hidden = n_shown = 0
        for number in {n for numbers in all_groups.values() for n in numbers}:
            hidden, shown = [], []
            for channel, numbers in all_groups.items():
                users = shown_groups.get(channel, {}).get(number)
                if users is None:
                    hidden.append(numbers.get(number) or 0)
                    continue
                self.assertEqual(users, numbers[number], number)
                self.assertTrue(users == 0 or users >= MIN, number)
                shown.append(users)
            if sum(hidden):
                self.assertTrue(sum(hidden) >= MIN or not sum(shown), number)
                self.assertTrue(len(hidden) > 1, number)
            n_hidden += len([h for h in hidden if h])
            n_shown += len([s for s in shown if s])
        return n_hidden, n_shown

    def test_nothing_small_is_shown_or_can_be_told(self):
        seen = {}
        for seed in SEEDS:
            lines = generate(seed)
            everything = json.loads(self.replay(lines, "", "-o", "json"))
            document = json.loads(self.replay(lines, f"min_group: {MIN}\n", "-o", "json"))
            whole = [[e for e in d[kind] if "by" not in e] for kind in ("tables", "funnels", "experiments")
                     for d in (everything, document)]
            self.assertEqual(whole[0::2], whole[1::2])
            (numbers, _), (shown, entries) = read(everything), read(document)
            for key, groups in numbers.items():
                counts = self.check_numbers(groups, shown.get(key, {}))
                seen[key] = [a + b for a, b in zip(counts, seen.get(key, (0, 0)))]
                suppressed = [e for e in entries[key] if e.get("state") == "suppressed"]
                self.assertEqual(len(suppressed), counts[0] > 0, key)
            self.check_within(entries)
        for key, (n_hidden, n_shown) in seen.items():
            self.assertTrue(n_hidden > 20 and n_shown > 20, (key, n_hidden, n_shown))

    def check_within(self, entries):
        """Nor can it be had within a group: by a share, a sum, a mean, or the rest of a total."""
        for entry in itertools.chain(*entries.values()):
            for cohort in entry.get("cohorts", ()):
                cells = cohort["cells"]
                for before, cell in zip([{"users": cohort["size"]}] + cells, cells):
                    of = before["users"] if entry["percent"] == "previous" else cohort["size"]
                    self.assertEqual(cell["share"] is None, cell["users"] is None or not of, entry)
            for mean in entry.get("means", ()):
                told = [c for cohort in entry["cohorts"] for c in cohort["cells"]
                        if c["n"] == mean["n"] and c["mature"] and c["share"] is not None]
                self.assertEqual(mean["cohorts"], len(told))
                hidden = any(c["users"] is None for cohort in entry["cohorts"] for c in cohort["cells"]
                             if c["n"] == mean["n"] and c["mature"])
                self.assertEqual(mean["weighted"] is None, hidden)
                self.assertEqual(mean["simple"] is None, hidden)
            counts = entry.get("counts", [])
            for i, count in enumerate(counts):
                self.assertEqual(count["or_more"] is None, None in [c["users"] for c in counts[i:]])
            if entry.get("trend") is not None:
                for i, step in enumerate(entry["steps"]):
                    self.assertEqual(sum(d["users"][i] for d in entry["trend"]), step["users"])
            for arm in entry.get("arms", ()):
                self.assertIsNone(arm["uncertain"])
