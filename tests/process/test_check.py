"""kpid check: what a configuration gets told, as text for people and as JSON for editors, and how little
of it a running daemon says."""

import json
import re

from support import daemon
from support.case import ProcessCase, write

EX_USAGE, EX_CONFIG = 64, 78

MEANT_OTHERWISE = "attributes: {n: {agg: count}}\n"


class Check(ProcessCase):
    def file(self, text, name="kpid.yaml"):
        return write(self.directory(), name, text)

    def test_warnings_show_their_place_and_do_not_fail(self):
        path = self.file(MEANT_OTHERWISE)
        done = daemon.run("check", "-c", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("OK", done.stdout)
        self.assertEqual(done.stderr, f'{path}:1:14: warning: no measure asks for the attribute "n"; '
                                      "it takes memory for each user\n"
                                      f"  {MEANT_OTHERWISE}"
                                      "               ^\n")

    def test_a_campaign_that_is_over_is_warned_of(self):
        path = self.file("campaigns: [{id: c, start: 2020-01-01, end: 2020-02-01}]\n")
        done = daemon.run("check", "-c", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f'{path}:1:45: warning: campaign "c" is over', done.stderr)

    def test_json_for_editors(self):
        path = self.file(MEANT_OTHERWISE)
        done = daemon.run("check", "-c", path, "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), [{
            "file": path, "line": 1, "column": 14, "end_column": 15, "severity": "warning",
            "message": 'no measure asks for the attribute "n"; it takes memory for each user',
            "suggestion": None}])
        path = self.file("kpis:\n  指标: {formula: buyers / reachd}\ntimezone: Asia/Shangai\n")
        done = daemon.run("check", "-c", path, "-o", "json")
        self.assertEqual(done.returncode, EX_CONFIG)
        self.assertEqual(json.loads(done.stdout), [
            {"file": path, "line": 2, "column": 26, "end_column": 32, "severity": "error",
             "message": 'there is no measure "reachd"', "suggestion": "reached"},
            {"file": path, "line": 3, "column": 11, "end_column": 23, "severity": "error",
             "message": 'unknown time zone "Asia/Shangai"', "suggestion": "Asia/Shanghai"}])
        self.assertEqual(done.stderr, "")

    def test_json_of_nothing_wrong_and_of_no_file(self):
        done = daemon.run("check", "-c", self.file("timezone: UTC\n"), "-o", "json")
        self.assertEqual((done.returncode, json.loads(done.stdout)), (0, []))
        done = daemon.run("check", "-c", "/no/such/kpid.yaml", "-o", "json")
        self.assertEqual(done.returncode, EX_CONFIG)
        self.assertEqual([(d["file"], d["line"], d["severity"]) for d in json.loads(done.stdout)],
                         [("/no/such/kpid.yaml", 1, "error")])

    def test_a_running_daemon_says_how_many_warnings_there_are_once(self):
        app = self.stage(attributes={"n": {"agg": "count"}, "m": {"agg": "count"}})
        lines = [line for line in app.log().splitlines() if "warnings=2" in line]
        self.assertEqual(len(lines), 1)
        self.assertNotIn("no measure asks", app.log())

    def estimate(self, *arguments):
        """{kind: (a shard, in all)} in bytes."""
        path = self.file("campaigns: [{id: c, start: 2099-01-01, end: 2099-02-01}]\n")
        done = daemon.run("check", "-c", path, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        units = {"B": 1, "KiB": 2 ** 10, "MiB": 2 ** 20, "GiB": 2 ** 30}
        return {kind: (float(each) * units[unit], float(all_) * units[unit_all])
                for kind, each, unit, all_, unit_all in re.findall(
                    r"^(\w+) +([\d.]+) (\w+) +([\d.]+) (\w+)", done.stdout, re.MULTILINE)}

    def test_memory_for_so_many_users(self):
        few, many = self.estimate("--users", 10**6), self.estimate("--users", 10**7)
        parts = sum(each for kind, (each, _) in few.items() if kind != "total")
        self.assertAlmostEqual(parts, few["total"][0], delta=few["total"][0] / 20)
        self.assertGreater(many["total"][0], 5 * few["total"][0])
        shared = self.estimate("--users", 10**7, "--shards", 10)
        self.assertAlmostEqual(shared["total"][1], 10 * shared["total"][0],
                               delta=shared["total"][1] / 20)
        self.assertAlmostEqual(shared["users"][1], many["users"][0], delta=many["users"][0] / 5)
        self.assertLess(self.estimate("--users", 10**6, "--days", 5)["sets"][0], few["sets"][0] / 3)

    def test_numbers_that_are_none(self):
        path = self.file("timezone: UTC\n")
        for arguments in (("--users", "x"), ("--users", "0"), ("--users", "1", "--days", "-1"),
                          ("--users", "1", "-o", "json"), ("--shards", "")):
            self.assertEqual(daemon.run("check", "-c", path, *arguments).returncode, EX_USAGE)
