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
            self.page = file.read()
        at = self.directory()
        self.config = write(at, "page.yaml", "".join(blocks(self.page, "yaml")))
        self.events = write(at, "events.ndjson", "".join(blocks(self.page, "ndjson")))

    def test_every_value_of_the_page(self):
        done = daemon.run("replay", "-c", self.config, "--at", AT, "-o", "csv", self.events)
        self.assertIn(" 0 duplicates, 0 conflicts, 0 refused\n", done.stderr)
        values = {}
        for row in csv.DictReader(io.StringIO(done.stdout)):
            if row["campaign"] == "autumn":
                by = " ".join(f"{k}={v}" for k, v in json.loads(row["by"] or "{}").items())
                values[row["kpi"], scope_of(row), by] = row["value"]
        rows = re.findall(r"^\| (.*?) \| `(\w+)` \| ([\w -]+) \| ([-\d.]+) \| .* \|$", self.page, re.M)
        self.assertGreater(len(rows), 35)
        for what, kpi, scope, value in rows:
            by = what if "=" in what and "(" not in what else ""
            with self.subTest(kpi=kpi, scope=scope, by=by):
                self.assertEqual(values.get((kpi, scope, by)), value)

    def test_the_experiments_of_the_page(self):
        """What is printed of them, letter by letter."""
        done = daemon.run("replay", "-c", self.config, "--at", AT, self.events)
        (shown,) = [text for text in blocks(self.page, "text") if text.startswith("experiment ")]
        self.assertTrue(done.stdout.endswith(f"\n{shown}"), done.stdout[-2000:])

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
        names = {m for text in texts if "sum(field)" in text or "gauge(" in text
                 for m in re.findall(r"(?:; |counted: |^)(\w+)(?=\(| or |:)", text)} | {"age"}
        self.assertLess({"users", "latest_mean", "growth", "gauge", "age", "first"}, names)
        tables = "\n".join(re.findall(r"^\| (.*?) \|", self.page, re.M))
        for name in names:
            with self.subTest(name=name):
                self.assertRegex(tables, rf"\b{name}\b")
