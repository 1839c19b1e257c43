"""kpid check: what a configuration gets told, as text for people and as JSON for editors, and how little
of it a running daemon says."""

import json

from support import daemon
from support.case import ProcessCase, write

EX_CONFIG = 78

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
