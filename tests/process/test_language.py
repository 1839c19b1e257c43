"""The page on the language, config/README.md: its definitions are one configuration, and every value in its
tables is what kpid counts of its events."""

import csv
import io
import json
import os
import re

from support import daemon
from support.case import ProcessCase, write
from support.paths import ROOT

AT = "2026-11-16T12:00:00+08:00"
TARGETS_AT = "2026-11-12T12:00:00+08:00"


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)


def scope_of(row):
    kind = row["scope.kind"]
    if kind == "phase":
        return f"phase {row['scope.phase']}"
    return kind if kind == "campaign" else f"{kind} {row['scope.start'][:10]}"


class Language(ProcessCase):
    def setUp(self):
        super().setUp()
        with open(os.path.join(ROOT, "config", "README.md"), encoding="utf-8") as file:
            self.page = file.read().partition("\n# The KPIs of the catalogue\n")[0]
        at = self.directory()
        self.config = write(at, "page.yaml", "".join(blocks(self.page, "yaml")))
        self.events = write(at, "events.ndjson", "".join(blocks(self.page, "ndjson")))

    def replayed(self):
        done = daemon.run("replay", "-c", self.config, "--at", AT, "-o", "csv", self.events)
        self.assertIn(" 0 duplicates, 0 conflicts, 0 refused\n", done.stderr)
        return csv.DictReader(io.StringIO(done.stdout))

    def test_every_value_of_the_page(self):
        values = {}
        for row in self.replayed():
            if row["campaign"] == "autumn":
                by = " ".join(f"{k}={v}" for k, v in json.loads(row["by"] or "{}").items())
                values[row["kpi"], scope_of(row), by] = row["value"]
        rows = re.findall(r"^\| (.*?) \| `(\w+)` \| ([\w -]+) \| ([-\d.]+) \| .* \|$",
                          self.page.split("\n## Targets")[0], re.M)
        self.assertGreater(len(rows), 35)
        for what, kpi, scope, value in rows:
            by = what if "=" in what and "(" not in what else ""
            with self.subTest(kpi=kpi, scope=scope, by=by):
                self.assertEqual(values.get((kpi, scope, by)), value)

    def printed(self):
        """The table for people, without blanks at the ends of lines."""
        done = daemon.run("replay", "-c", self.config, "--at", AT, self.events)
        return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())

    def test_the_experiments_of_the_page(self):
        """What is printed of them, letter by letter."""
        (shown,) = [text for text in blocks(self.page, "text") if text.startswith("experiment ")]
        self.assertTrue(self.printed().endswith(f"\n{shown}"))

    def test_what_is_printed_of_tables_and_funnels(self):
        printed = self.printed()
        shown = [text for text in blocks(self.page, "text") if not text.startswith("experiment ")]
        self.assertEqual(len(shown), 2)
        for text in shown:
            self.assertIn(f"\n\n{text}\n", printed)

    def test_every_row_of_tables(self):
        done = daemon.run("replay", "-c", self.config, "--at", AT, "-o", "json", self.events)
        got = {}
        for entry in json.loads(done.stdout)["tables"]:
            by = " ".join(f"{k}={v}" for k, v in entry.get("by", {}).items())
            for cohort in entry.get("cohorts", []):
                got[entry["table"], by, cohort["start"][:10]] = \
                    [cohort["size"]] + [cell["users"] for cell in cohort["cells"]]
            for period in entry.get("periods", []):
                keys = {"lifecycle": ("new", "returning", "resurrecting", "dormant"),
                        "sessions": ("users", "median_seconds", "p90_seconds", "bounced", "open")}[entry["kind"]]
                cells = [period[key] for key in keys if period.get(key) is not None]
                got[entry["table"], by, period["start"][:10]] = \
                    [period.get("sessions", sum(cells[:3]))] + cells
            if "counts" in entry:
                got[entry["table"], by, entry["start"][:10]] = \
                    [entry["counts"][0]["or_more"]] + [c["users"] for c in entry["counts"]]
        rows = re.findall(r"^\| (.*?) \| `(\w+)` \| ([\d-]+) \| (\d+): ([\d ]+) \| .* \|$", self.page,
                          re.M)
        self.assertEqual({row[1] for row in rows}, {name for name, _by, _start in got})
        for what, table, start, size, cells in rows:
            by = what.removeprefix("by ") if what.startswith("by ") else ""
            with self.subTest(table=table, start=start):
                self.assertEqual(got.get((table, by, start)),
                                 [int(size)] + [int(cell) for cell in cells.split()])

    def test_every_row_of_funnels(self):
        done = daemon.run("replay", "-c", self.config, "--at", AT, "-o", "json", self.events)
        got = {}
        for entry in json.loads(done.stdout)["funnels"]:
            by = " ".join(f"{k}={v}" for k, v in entry.get("by", {}).items())
            got[entry["funnel"], by] = ([step["users"] for step in entry["steps"]],
                                        entry["whole"]["median_seconds"])
        rows = re.findall(r"^\| (.*?) \| `(\w+)` \| (\d[\d ]+) \| ([\d:]*) ?\| .* \|$", self.page, re.M)
        self.assertEqual({row[1] for row in rows}, {name for name, _by in got})
        for what, funnel, users, median in rows:
            by = what.removeprefix("by ") if what.startswith("by ") else ""
            seconds = None
            if median:
                hours, minutes, rest = map(int, median.split(":"))
                seconds = (hours * 60 + minutes) * 60 + rest
            with self.subTest(funnel=funnel, by=by):
                self.assertEqual(got.get((funnel, by)), ([int(n) for n in users.split()], seconds))

    def test_every_reason(self):
        """Each value that is none is told so, and all reasons that there are stand there."""
        seen = {(row["kpi"], row["campaign"], scope_of(row)): row for row in self.replayed() if not row["by"]}
        rows = re.findall(r"^\| `(undefined|no_data)` \| (?:`(\w+)` )?\| `(\w+)` \| (\w+), ([\w -]+) \|",
                          self.page, re.M)
        self.assertEqual(len(rows), 9)
        for state, reason, kpi, campaign, scope in rows:
            with self.subTest(kpi=kpi, scope=scope):
                row = seen[kpi, campaign, scope]
                self.assertEqual((row["state"], row["reason"], row["value"]), (state, reason, ""))
        reasons = list(dict.fromkeys(reason for _, reason, *_ in rows if reason))
        self.assertEqual(reasons, ["division_by_zero", "no_base", "no_gauge", "no_values", "no_parameter",
                                   "overflow"])

    def test_every_target(self):
        """Each is expected to be pending, which none is; what comes instead is what the page says."""
        rows = re.findall(r"^\| `(.*)` \| `(\w+)` \| ([\w:]+) \| ([\w.]+) \| ([\d.]+) \| ([\d.]*) ?\| (.+) \|$",
                          self.page, re.M)
        self.assertEqual(len(rows), 13)
        alerts = "".join(f"        - {{kpi: {kpi}, campaign: autumn, scope: '{scope}', status: pending}}\n"
                         for _, kpi, scope, *_ in rows)
        path = write(os.path.dirname(self.config), "t.yaml", f"""
config: page.yaml
tests:
  - name: page
    files: [events.ndjson]
    steps:
      - at: {TARGETS_AT}
        alerts:
{alerts}""")
        done = daemon.run("test", path)
        seen = re.findall(r"^  got      (\w+), level (\w+), since [^;]*; ([^;,\n]*)(?:; target ([^,\n]*))?"
                          r"(?:, off by (.*) of its band)?$", done.stdout, re.M)
        self.assertEqual(len(seen), len(rows), done.stdout)
        for (value, kpi, _, wanted, came, off, alert), (status, level, number, target, far) in zip(rows, seen):
            with self.subTest(kpi=kpi, value=value):
                self.assertIn(f"kpi: {kpi}, ", self.page)
                self.assertIn(value, self.page.split("## Expressions")[0])  # a target of the configuration
                self.assertEqual(alert, status if level == "none" else f"{status}, {level}")
                self.assertEqual((came, off), (number.split(" = ")[-1], far))
                if target:
                    self.assertEqual(wanted, re.sub(r"^undefined \((\w+)\).*", r"\1", target))

    def test_what_is_shown_of_small_groups(self):
        with open(self.config, "a", encoding="utf-8") as file:
            file.write("min_group: 2\n")
        done = daemon.run("replay", "-c", self.config, "--at", AT, "-o", "csv", self.events)
        lines = [line for line in done.stdout.splitlines() if "of_audience,autumn,campaign" in line]
        said = next(b for b in blocks(self.page, "console") if "grep of_audience" in b)
        self.assertEqual(len(lines), len(said.splitlines()) - 1)
        for line, pattern in zip(lines, said.splitlines()[1:]):
            parts = [part.strip() for part in pattern.split("…")]
            self.assertRegex(line, ".*".join(map(re.escape, parts)))

        (said,) = [b for b in blocks(self.page, "console") if "grep '^way'" in b]
        lines = [line for line in self.printed().splitlines() if line.startswith("way")]
        self.assertEqual(lines, said.splitlines()[1:])

    def test_a_change_and_what_check_says_of_it(self):
        at = os.path.dirname(self.config)
        write(at, "share.yaml", "".join(blocks(self.page, "yaml share.yaml")))
        with open(self.config, encoding="utf-8") as file:
            new = write(at, "new.yaml", file.read() + "include: share.yaml\n")
        done = daemon.run("check", "-c", new, "--against", self.config)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = next(b for b in blocks(self.page, "console") if b.startswith("$ kpid check"))
        self.assertEqual(done.stdout.replace(at + "/", ""), said.split("\n", 1)[1])

    def test_every_function_has_an_example(self):
        """The functions are those that the schema explains to editors."""
        with open(os.path.join(ROOT, "config", "schema.json"), encoding="utf-8") as file:
            texts = re.findall(r'"description": "(.*)"', file.read())
        names = {m for text in texts if re.search(r"sum\(field\)|gauge\(|age\(", text)
                 for m in re.findall(r"(?:; |counted: |^)(\w+)(?=\(| or |:)", text)}
        self.assertLess({"users", "latest_mean", "growth", "gauge", "age", "hour", "first"}, names)
        tables = "\n".join(re.findall(r"^\| (.*?) \|", self.page, re.M))
        for name in names:
            with self.subTest(name=name):
                self.assertRegex(tables, rf"\b{name}\b")
