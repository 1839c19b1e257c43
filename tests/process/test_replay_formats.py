"""`kpid replay` gives the same numbers from NDJSON, CSV and gzip, in one file or several; what it cannot read
it refuses by name and place; and its CSV says what its JSON says."""

import csv
import fcntl
import gzip
import io
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading

from support import daemon, oracle
from support.campaigns import configuration
from support.case import ProcessCase, write
from support.generate import generate
from support.journal import APPLIED
from support.ports import wait_until

DAY = "2026-11-11T0{}:00:00+08:00"

CONFIG = """
timezone: Asia/Shanghai
campaigns:
  - {id: c, start: 2026-11-01, end: 2026-12-01}
"""


def event(n, **fields):
    """A participation in hour n of the eleventh, by a user of its own."""
    return {"id": f"e{n}", "type": "participation", "user": f"u{n}", "time": DAY.format(n % 10),
            "campaign": "c", **fields}


def ndjson(events):
    return "".join(e if isinstance(e, str) else json.dumps(e, ensure_ascii=False) + "\n" for e in events)


def table(documents, **options):
    """Flat objects as CSV; what is no scalar is left out."""
    names = list(dict.fromkeys(k for d in documents for k, v in d.items()
                               if not isinstance(v, (dict, list))))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, names, restval="", extrasaction="ignore", **options)
    writer.writeheader()
    for document in documents:
        writer.writerow({k: str(v).lower() if isinstance(v, bool) else v for k, v in document.items()})
    return file.getvalue().encode()


class Formats(ProcessCase):
    def setUp(self):
        super().setUp()
        self.at = self.directory()
        self.config = write(self.at, "kpid.yaml", CONFIG)

    def file(self, name, data):
        return write(self.at, name, data)

    def run_replay(self, *arguments, **options):
        return daemon.run("replay", "-c", self.config, *arguments, **options)

    def out(self, *arguments, **options):
        done = self.run_replay(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return done.stdout

    def json(self, *arguments, **options):
        return self.out("-o", "json", "--at", "2026-11-20T00:00:00Z", *arguments, **options)

    def refused(self, code, *arguments, **options):
        """What it says when it gives no numbers."""
        done = self.run_replay(*arguments, **options)
        self.assertEqual(done.returncode, code, (arguments, done.stderr))
        self.assertEqual(done.stdout, "")
        return done.stderr

    # The same numbers.

    def test_a_mapping_names_the_columns(self):
        """A shop's table: users and order numbers of digits, seconds, a status that says the type."""
        self.config = write(self.at, "shop.yaml", CONFIG + """
measures: {sales: {agg: sum(amount), where: type == "purchase"}}
kpis: {turnover: {formula: sales, unit: money}}
mappings:
  shop:
    id: order_no
    user: buyer
    time: {path: paid_at, unit: s}
    type: {path: status, values: {"1": purchase}, other: skip}
    currency: {value: CNY}
    fields: {amount: paid, campaign: plan}
""")
        header = "order_no,buyer,paid_at,paid,plan,status\n"
        rows = [f"{i},00{i},{1762826400 + i},{i}.50,c,{1 + (i == 3)}\n" for i in range(1, 4)]
        done = self.run_replay(self.file("orders.csv", header + "".join(rows)), "-o", "json")
        values = [k["value"] for k in json.loads(done.stdout)["kpis"] if k["kpi"] == "turnover"]
        self.assertEqual(values[-1], 4)  # what all campaigns have, in all time
        self.assertIn("1 skipped by a mapping\n", done.stderr)

    def test_every_format_gives_the_same_bytes(self):
        journal = generate(21, n_users=300, bad_events=False).select(APPLIED).replayable()
        daemon.directory_for(configuration(journal.campaigns), self.at)
        lines = [r.value + b"\n" for r in journal.records]
        events = [json.loads(line) for line in lines]
        half, whole = len(lines) // 2, b"".join(lines)
        packed = gzip.compress(whole)
        noted = [dict(e, note='a "note",\r\nof two lines') for e in events]
        expected = self.json(self.file("all.ndjson", whole))
        self.assertIn('"state":"ok"', expected)
        for name, files in {
                "no line end": {"a": whole[:-1]},
                "CR LF": {"a.ndjson": whole.replace(b"\n", b"\r\n")},
                "gzip": {"a.gz": packed},
                "gzip without its name": {"log": packed},
                "members, padded": {"a.gz": gzip.compress(whole[:1000]) + gzip.compress(whole[1000:], 1)
                                            + gzip.compress(b"") + bytes(512)},
                "CSV": {"a.csv": table(events)},
                "CSV of Excel": {"A.CSV": b"\xef\xbb\xbf" + table(noted, quoting=csv.QUOTE_ALL)},
                "CSV, LF": {"a.csv": table(events, lineterminator="\n")[:-1]},
                "CSV, gzip": {"a.csv.gz": gzip.compress(table(noted))},
                "several": {"a.ndjson": b"".join(lines[:half]), "b.csv": table(events[half:-10]),
                            "c.gz": gzip.compress(b"".join(lines[-10:]))}}.items():
            paths = [self.file(path, data) for path, data in files.items()]
            for shards in (1, 3):
                self.assertEqual(self.json("--shards", shards, *paths), expected, (name, shards))
        for arguments, data in (
                (("-",), whole), (("-",), packed), (("--format", "csv", "-"), table(events)),
                (("--format", "csv", "-"), gzip.compress(table(noted))),
                (("--format", "ndjson", "-", self.file("named.csv", b"")), whole)):
            path = self.file("input", data)
            for how in ("file", "pipe"):
                command = f'"$0" replay -c "$1" -o json --at 2026-11-20T00:00:00Z {" ".join(arguments)}'
                command += f' < "{path}"' if how == "file" else ""
                command = f'cat "{path}" | {command}' if how == "pipe" else command
                done = subprocess.run(["sh", "-c", command, daemon.binary(), self.config],
                                      stdout=subprocess.PIPE, check=True, stderr=subprocess.PIPE)
                self.assertEqual(done.stdout.decode(), expected, (arguments, how))

    def test_cells_are_what_is_wanted(self):
        """A number that is wanted as a string is one; an empty cell is nothing."""
        lines = ndjson([event(1, campaign="7"), event(2, type="purchase", amount="12.50"),
                        event(3, type="survey", score=9), event(4, user="0042"), event(5)])
        rows = ('id,user,type,time,campaign,amount,score,extra\n'
                f'e1,u1,participation,{DAY.format(1)},7,,,1\n'
                f'e2,u2,purchase,{DAY.format(2)},c,12.50\n'
                f'e3,u3,survey,{DAY.format(3)},"c",,"9",true\n'
                f'e4,0042,participation,{DAY.format(4)},c,"",,x\n'
                f'e5,u5,participation,1794344400000,c,,,\n')  # the fifth hour, in milliseconds
        config = write(self.at, "seven.yaml",
                       CONFIG + '  - {id: "7", start: 2026-11-01, end: 2026-12-01}\n')
        arguments = ("replay", "-c", config, "-o", "json")
        done = [daemon.run(*arguments, self.file(name, data))
                for name, data in (("a.ndjson", lines), ("a.csv", rows))]
        for each in done:
            self.assertIn("5 events applied, 0 duplicates, 0 conflicts, 0 refused", each.stderr)
        self.assertEqual(done[0].stdout, done[1].stdout)

    # What is wrong with a file.

    def test_what_cannot_be_read(self):
        missing, good = os.path.join(self.at, "no-such"), self.file("good", ndjson([event(1)]))
        said = self.refused(66, missing, self.at, good)
        self.assertEqual(said, f"kpid: {missing}: No such file or directory\nkpid: {self.at}: Is a directory\n")
        self.assertIn("only once", self.refused(64, "-", "-", stdin=""))
        done = subprocess.run(["sh", "-c", '"$0" replay -c "$1" -o json "$2" >/dev/full', daemon.binary(),
                               self.config, good], check=False, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 74, done.stderr)

    def test_damaged_gzip(self):
        lines = ndjson(event(n) for n in range(2000)).encode()
        packed = gzip.compress(lines)
        flipped = bytearray(packed)
        flipped[-6] ^= 1  # of the checksum
        for name, data, at in (("cut", packed[:-3], len(packed) - 3), ("cut head", packed[:5], 5),
                               ("cut middle", packed[:len(packed) // 2], len(packed) // 2),
                               ("checksum", bytes(flipped), None),
                               ("tail", packed + b"tail", len(packed)),
                               ("second member", packed + packed[:50], len(packed) + 50),
                               ("block", packed[:10] + b"\xff" * 50, None)):
            path = self.file(name, data)
            said = self.refused(65, path)
            found = re.fullmatch(rf"kpid: {re.escape(path)}: damaged gzip at byte (\d+): .+\n", said)
            self.assertTrue(found, said)
            self.assertLessEqual(int(found[1]), len(data))
            if at is not None:
                self.assertEqual(int(found[1]), at, name)

    def test_headers(self):
        row = f"e1,participation,u1,{DAY.format(1)},c\n"
        for text, said in (
                (row * 2, ":1: no header: "),
                ("\n" + row, ":1: no header: "),
                ("id,type,user,time,campaign,type\n" + row, ":1: columns 2 and 6 have the same name: type"),
                ("id,type,user,time," + "," * 1024 + "\n", ":1: the header has 1029 columns, 1024 are the most"),
                ('"id"x,type,user,time\n' + row, ":1: the header is wrong: text follows a closing quote"),
                ('id,"type,user,time\n' + row, ":1: the header is not closed: a quote is missing"),
                ("id," + "x" * 70000 + "\n" + row, ":1: the header is larger than 64 KiB"),
                ("编号,type,user,time\n".encode("gb18030") + row.encode(), ":1: the header is not UTF-8"),
                ("id,type\n".encode("utf-16"), ":1: the header is not UTF-8")):
            path = self.file("bad.csv", text)
            self.assertIn(f"kpid: {path}{said}", self.refused(65, path))

    def test_nothing_to_read(self):
        for name in ("empty.ndjson", "empty.csv"):
            path = self.file(name, b"")
            done = self.run_replay("-o", "json", path)
            self.assertEqual(done.returncode, 0)
            self.assertIn(f"kpid: {path}: empty\n", done.stderr)
            self.assertIn("there was no event to read", done.stderr)
        done = self.run_replay(self.file("packed.gz", gzip.compress(b"")))
        self.assertIn("packed.gz: empty", done.stderr)

    # Bad events.

    def reasons(self, path, *arguments):
        """{reason: (how many, first line)}"""
        done = self.run_replay(*arguments, path)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {reason: (int(n), int(line)) for reason, n, line in
                re.findall(r"refused (\w+) +(\d+), first at .*:(\d+)\n", done.stderr)}

    def test_bad_rows_are_counted_by_reason_and_line(self):
        time = DAY.format(1)
        rows = ("id,type,user,time,campaign\n"           # 1
                f'e1,participation,"u\n1",{time},c\n'     # 2, 3
                f'e2,participation,"u2"x,{time},c\n'      # 4
                "\n"                                      # 5
                f"e3,participation,u3,{time},c,more\n"    # 6
                f"e4,participation,u4,{time},c,\n"        # 7
                f"e5,participation,u5,yesterday,c\n"      # 8
                f'e6,{"x" * 70000},u6,{time},c\n'         # 9
                f"e7,participation,u7,{time}\n"           # 10: shorter than the header is fine
                f'e8,participation,"u8,{time},c\n'        # 11
                "and this is within the quotes\n")
        self.assertEqual(self.reasons(self.file("rows.csv", rows)),
                         {"quote": (2, 4), "empty": (1, 5), "cells": (2, 6), "time": (1, 8),
                          "too_large": (1, 9)})
        done = self.run_replay(os.path.join(self.at, "rows.csv"))
        self.assertIn("rows.csv:11: a quote is opened here and never closed", done.stderr)
        self.assertIn("2 events applied", done.stderr)

    def test_large_lines(self):
        """64 KiB is a line's limit; however much larger it is, it is one refusal and costs no memory."""
        body = json.dumps(event(1, note=""))
        full = json.dumps(event(1, note="x" * (65536 - len(body))))
        self.assertEqual(len(full), 65536)
        for text, expected in (
                (full + "\n" + ndjson([event(2)]), {}),
                (full + "\r\n" + ndjson([event(2)]), {}),
                (full + " \n" + ndjson([event(2)]), {"too_large": (1, 1)}),
                (full, {}),
                (full + " ", {"too_large": (1, 1)}),
                (ndjson([event(2)]) + "x" * 3000000 + "\n{\n" + "x" * 3000000, {"too_large": (2, 2), "json": (1, 3)})):
            self.assertEqual(self.reasons(self.file("large", text)), expected)
            if "too_large" not in expected:
                self.assertIn("refused\n", self.run_replay(os.path.join(self.at, "large")).stderr)
        for name, start in (("large.ndjson", b""), ("large.csv", b"id,type,user,time\n"),
                            ("quoted.csv", b'id,type,user,time\n"')):
            path = self.file(name, start + b"x" * (64 << 20))
            self.assertLess(self.memory(path) - self.memory(self.file("small.ndjson", ndjson([event(1)]))),
                            16 << 20)

    def memory(self, path):
        """The peak of resident memory of a replay, in bytes."""
        child = subprocess.Popen([daemon.binary(), "replay", "-c", self.config, path],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(child.returncode, 0)
        return usage.ru_maxrss * 1024

    def test_strict(self):
        good = [event(n) for n in range(300)]
        nobody = {k: v for k, v in event(301).items() if k != "user"}  # refused when it is applied
        path = self.file("good.ndjson", ndjson(good + good[:5]))       # copies are not bad
        self.assertEqual(self.json("--strict", path), self.json(path))
        for name, events, line, reason in (
                ("json", good[:20] + ["{\n"] + good[20:], 21, "json"),
                ("applied later", good[:10] + [nobody] + good[10:], 11, "user_missing"),
                ("before what is seen first", good[:10] + [nobody] + good[10:12] + ["\n"], 11, "user_missing"),
                ("behind what is seen first", good[:10] + ["\n", nobody], 11, "empty"),
                ("last", good + [nobody], 301, "user_missing"),
                ("large", good + ["x" * 70000 + "\n"], 301, "too_large")):
            path = self.file("bad.ndjson", ndjson(events))
            for shards in (1, 5):
                said = self.refused(65, "--strict", "--shards", shards, "-o", "json",
                                    os.path.join(self.at, "good.ndjson"), path)
                self.assertEqual(said, f"{path}:{line}: {reason}\n", (name, shards))
        path = self.file("bad.csv", table(good[:3]) + b"a,b,c,d,e,f\r\n")
        self.assertEqual(self.refused(65, "--strict", path), f"{path}:5: cells\n")

    def test_strict_lets_pass_what_a_mapping_skips(self):
        """It is said not to be an event of ours. What a mapping refuses, or none is for, is bad."""
        def mapping(other):
            self.config = write(self.at, "mapped.yaml", CONFIG + f"""
mappings:
  app: {{when: {{from: app}}, type: {{path: type, values: {{joined: participation}}, other: {other}}}}}
""")

        events = [event(n, type="joined", **{"from": "app"}) for n in range(20)]
        events[7]["type"] = "heartbeat"
        path = self.file("some.ndjson", ndjson(events))
        mapping("skip")
        done = self.run_replay("-o", "json", "--strict", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 skipped by a mapping\n19 events applied, 0 duplicates, 0 conflicts, 0 refused\n", done.stderr)
        self.assertEqual(done.stdout, self.out("-o", "json", path))
        mapping("refuse")
        self.assertEqual(self.refused(65, "--strict", path), f"{path}:8: type\n")
        mapping("skip")
        path = self.file("more.ndjson", ndjson(events + [event(30, type="joined")]))
        self.assertEqual(self.refused(65, "--strict", path), f"{path}:21: mapping\n")

    # A part of the time.

    def test_from_and_to(self):
        events = [event(n) for n in range(1, 9)]
        path = self.file("all", ndjson(events))
        part = self.file("part", ndjson(events[2:5]))
        done = self.run_replay("-o", "json", "--from", DAY.format(3), "--to", DAY.format(6),
                               "--at", "2026-11-20T00:00:00Z", path)
        self.assertEqual(done.stdout, self.json(part))
        self.assertIn("3 events applied, 0 duplicates, 0 conflicts, 0 refused\n  passed over as outside of "
                      "--from and --to: 5, of 2026-11-10T17:00:00Z to 2026-11-11T00:00:00Z\n", done.stderr)
        self.assertEqual(self.json("--to", DAY.format(6), path), self.json(self.file("to", ndjson(events[:5]))))
        self.assertEqual(self.json("--from", DAY.format(6), path),
                         self.json(self.file("from", ndjson(events[5:]))))
        done = self.run_replay("--from", "2027-01-01T00:00:00Z", path)
        self.assertEqual(done.returncode, 0)
        self.assertIn("no event is within --from and --to", done.stderr)
        self.assertIn("not before", self.refused(64, "--from", DAY.format(3), "--to", DAY.format(3), path))
        self.assertIn("2026-11", self.refused(64, "--to", "tomorrow", path))

    # What it prints.

    def test_csv_says_what_json_says(self):
        journal = generate(22, n_users=200, bad_events=False).replayable()
        daemon.directory_for(configuration(journal.campaigns, **oracle.BREAKDOWNS, grains=["day", "30m"],
                                           rolling=["7d", "2w", "4x30m"]), self.at)
        path = self.file("events", journal.ndjson())
        document = json.loads(self.out("-o", "json", path))
        self.assertGreater(sum("by" in kpi for kpi in document["kpis"]), 100)
        text = daemon.run("replay", "-c", self.config, "-o", "csv", path).stdout
        reader = csv.DictReader(io.StringIO(text))
        rows = list(reader)
        self.assertEqual(reader.fieldnames, (
            "as_of kpi campaign scope.kind scope.start scope.end scope.phase scope.days scope.count "
            "scope.unit scope.minutes by unit state value numerator denominator complete definition "
            "reason error answer.kind answer.name answer.part answer.item answer.n answer.to "
            "answer.mature answer.measure").split())

        def cell(value):
            return ("" if value is None else value if isinstance(value, str) else
                    json.dumps(value, ensure_ascii=False, separators=(",", ":")))

        self.assertEqual(len(rows), len(document["kpis"]))
        for row, kpi in zip(rows, document["kpis"]):
            flat = {**{k: v for k, v in kpi.items() if k != "scope"},
                    **{"scope." + k: v for k, v in kpi["scope"].items()}, "as_of": document["as_of"]}
            self.assertEqual({k: v for k, v in row.items() if v != ""},
                             {k: cell(v) for k, v in flat.items() if cell(v) != ""})
        for name in reader.fieldnames[:20]:  # few values have an error, and answers a test of their own
            self.assertTrue(any(row[name] for row in rows), name)

    ANSWERS = """
grains: []
dimensions: {channel: {}}
tables:
  back: {retention: {start: recurring(participants), return: active, periods: 2, by: channel}}
  span: {retention: {start: participants, basis: day, mode: bracket, brackets: [[0, 2], [2, 7]]}}
  life: {title: {en: Life, zh: 生命周期}, lifecycle: {of: active, basis: day}}
  days: {active_days: {of: active}}
  none: {lifecycle: {of: buyers, basis: day}}
funnels:
  way: {steps: ['type == "exposure"', 'type == "participation"', 'type == "purchase"'], by: channel}
experiments:
  theme: {variants: [A, B], exposure: type == "exposure", goal: type == "participation", by: channel}
"""

    def answers(self):
        config = write(self.at, "answers.yaml", CONFIG + self.ANSWERS)
        events = [event(0, time=f"2026-11-{11 + day}T0{i % 10}:00:00+08:00", type=kind, user=f"u{i}",
                        channel=("微信", "app")[i % 2], variant="AB"[i % 3 == 0])
                  for day in range(4) for i in range(12 - 2 * day) for kind in ("exposure", "participation")]
        for number, one in enumerate(events):
            one["id"] = f"a{number}"
        return config, self.file("answers", ndjson(events))

    def test_csv_has_every_number_of_answers(self):
        """A row each, of all that stands in the JSON and is a number of something."""
        config, path = self.answers()
        document = json.loads(daemon.run("replay", "-c", config, "-o", "json", path).stdout)
        rows = csv.DictReader(io.StringIO(daemon.run("replay", "-c", config, "-o", "csv", path).stdout))
        found = {}
        for row in rows:
            key = tuple(row[k] for k in ("answer.name", "by", "scope.start", "answer.part", "answer.item",
                                         "answer.n", "answer.to", "answer.measure"))
            if row["answer.kind"]:
                self.assertNotIn(key, found)
                found[key] = row["value"]

        def text(value):
            return "" if value is None else json.dumps(value) if not isinstance(value, str) else value

        def take(entry, name, item, measures, start="", part="", of=""):
            by = json.dumps(entry["by"], ensure_ascii=False, separators=(",", ":")) if "by" in entry else ""
            n, to = (text(item.get(k)) if part in ("cells", "means", "counts") else "" for k in ("n", "to"))
            for measure in measures:
                self.assertEqual(found.pop((name, by, start, part, of, n, to, measure)),
                                 text(item[measure]))

        for e in document["tables"]:
            for cohort in e.get("cohorts", ()):
                take(e, e["table"], cohort, ["size"], cohort["start"], "cohorts")
                for cell in cohort["cells"]:
                    take(e, e["table"], cell, ["users", "share"], cohort["start"], "cells")
            for mean in e.get("means", ()):
                take(e, e["table"], mean, ["weighted", "simple", "cohorts"], part="means")
            for period in e.get("periods", ()):
                take(e, e["table"], period, ["new", "returning", "resurrecting", "dormant"],
                     period["start"], "periods")
            for count in e.get("counts", ()):
                take(e, e["table"], count, ["users", "or_more"], e["start"], "counts")
        for e in document["funnels"]:
            take(e, e["funnel"], e, ["late_events"])
            take(e, e["funnel"], e["whole"], ["users", "median_seconds", "mean_seconds"], part="whole")
            for step in e["steps"]:
                take(e, e["funnel"], step, ["users", "of_first", "of_previous", "median_seconds",
                                            "mean_seconds"], part="steps", of=step["step"])
            for day in e["trend"]:
                for step, users in zip(e["steps"], day["users"]):
                    take(e, e["funnel"], {"users": users}, ["users"], day["start"], "trend", step["step"])
        for e in document["experiments"]:
            take(e, e["experiment"], e, ["excluded", "srm_p", "any_p", "verdict", "reason"])
            for arm in e["arms"]:
                take(e, e["experiment"], arm, ["share", "units", "value", "uncertain"], part="arms",
                     of=arm["arm"])
                take(e, e["experiment"], arm["sums"], list(arm["sums"]), part="arms", of=arm["arm"])
            for c in e["comparisons"]:
                take(e, e["experiment"], c, [k for k in c if k not in "abtest"], part="comparisons",
                     of=f"{c['b']} - {c['a']}")
        self.assertEqual(found, {})

    def test_tables_for_people(self):
        """A triangle as wide as it looks: titles in Chinese, groups, and stars where not all is over."""
        config, path = self.answers()
        text = daemon.run("replay", "-c", config, path).stdout
        self.assertIn("\nlife 生命周期: active, day\nstart        new  returning  resurrecting  dormant\n"
                      "2026-11-11    12          0             0        0\n"
                      "2026-11-12     0         10             0        2\n", text)
        self.assertIn('\nback channel="微信": recurring(participants) back by active, day, classic\n'
                      "start          size         0        1        2\n"
                      "2026-11-11        6   100.0 %   83.3 %   66.7 %\n"
                      "2026-11-12        5   100.0 %   80.0 %  60.0 %*\n"
                      "2026-11-13        4   100.0 %  75.0 %*         \n"
                      "2026-11-14        3  100.0 %*                  \n", text)

    def test_the_table_shows_groups_under_their_kpi(self):
        """As many as there are, in the order of the JSON; columns line up behind names that take two cells
        a character on a terminal, and nothing that a value holds gets to the terminal."""
        config = write(self.at, "by.yaml", CONFIG + """
grains: []
dimensions: {channel: {}, city: {}}
kpis: {all: {title: {en: All, zh: 全部}, formula: participants, unit: count, by: [channel, [channel, city]]}}
""")
        path = self.file("events", ndjson([event(1, channel="微信", city="武汉"), event(2, channel="app"), event(3),
                                           event(4, channel="a\x1b[2J\x9b"), event(5, channel="")]))
        text = daemon.run("replay", "-c", config, path).stdout
        self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        lines = text.splitlines()
        # As a terminal shows them: a Chinese character takes two cells.
        lines = [re.sub("[\u4e00-\u9fff]", r"\g<0>_", line) for line in lines]
        at = next(i for i, line in enumerate(lines) if re.match(r"c +all 全_部_ +campaign ", line))
        end = lines[0].index("value") + len("value")
        rows = [line[:end].rsplit(None, 1) + [line[end]] for line in lines[at:at + 11]]
        self.assertEqual([(name.split("  ")[0], value, space) for name, value, space in rows[:1]], [("c", "5", " ")])
        under = " " * (lines[0].index("KPI") + 2)
        self.assertEqual([(name.rstrip(), value, space) for name, value, space in rows[1:]],
                         [(under + by, "1", " ") for by in (
                             "channel=null", 'channel=""', 'channel="a?[2J?"', 'channel="app"',
                             'channel="微_信_"', "channel=null city=null", 'channel="" city=null',
                             'channel="a?[2J?" city=null', 'channel="app" city=null',
                             'channel="微_信_" city="武_汉_"')])

    def test_csv_is_rfc_4180(self):
        name = 'a, "b"'
        config = write(self.at, "odd.yaml",
                       f"campaigns:\n  - {{id: '{name}', start: 2026-11-01, end: 2026-11-02}}\n")
        done = subprocess.run([daemon.binary(), "replay", "-c", config, "-o", "csv", "-"], input=b"",
                              stdout=subprocess.PIPE, check=True, stderr=subprocess.DEVNULL)
        lines = done.stdout.split(b"\r\n")
        self.assertNotIn(b"\n", b"".join(lines))
        self.assertEqual(lines[-1], b"")
        self.assertIn(b',"a, ""b""",', lines[1])
        rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
        self.assertEqual({row["campaign"] for row in rows}, {name})

    def test_progress_on_a_terminal(self):
        line = ndjson([event(1)]).encode() * 1000
        path = self.file("events", line)
        self.assertNotIn("\x1b", self.run_replay(path).stderr)
        for arguments, pattern in ((("-",), rb"\r[0-9.]+ MB  [0-9]+ events  [0-9]+ events/s\x1b\[K"),
                                   ((path, "-"), rb"\r[0-9.]+ MB .*events/s\x1b\[K")):
            shown = self.watch(arguments, line, pattern)
            # The line is taken away at the end, and what is said stands alone.
            self.assertRegex(shown, rb"events/s\x1b\[K\r\x1b\[K[0-9]+ events applied, [^\x1b]*$")
        # Of files it is known how much there is.
        shown = self.watch((self.file("large", gzip.compress(line) * 3000),), None, None)
        self.assertRegex(shown, rb"\r\[#*\.*\] +\d+ %  [0-9.]+ of [0-9.]+ MB  \d+ events/s  \d+ s left\x1b\[K")

    def watch(self, arguments, line, pattern):
        """What stands on the terminal in the end. Feeds lines until the pattern has been seen."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
        shown = bytearray()

        def read():
            try:
                while True:
                    shown.extend(os.read(ours, 4096))
            except OSError:  # the other end is closed
                pass

        child = subprocess.Popen([daemon.binary(), "replay", "-c", self.config, *arguments],
                                 stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=theirs)
        self.addCleanup(child.kill)
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()

        def seen():
            child.stdin.write(line)
            child.stdin.flush()
            return re.search(pattern, shown)

        if line:
            wait_until(seen, 30, "progress is shown")
        child.stdin.close()
        self.assertEqual(child.wait(60), 0)
        reader.join()
        os.close(ours)
        return bytes(shown)
