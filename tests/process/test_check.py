"""kpid check: what a configuration gets told, as text for people and as JSON for editors, and how little
of it a running daemon says."""

import json
import os
import re

from support import config, daemon
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
        self.assertEqual(done.stderr, f'{path}:1:14: warning: nothing asks for the attribute "n"; '
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
            "message": 'nothing asks for the attribute "n"; it takes memory for each user',
            "suggestion": None}])
        path = self.file("kpis:\n  指标: {formula: buyers / reachd}\ntimezone: Asia/Shangai\n")
        done = daemon.run("check", "-c", path, "-o", "json")
        self.assertEqual(done.returncode, EX_CONFIG)
        self.assertEqual(json.loads(done.stdout), [
            {"file": path, "line": 2, "column": 26, "end_column": 32, "severity": "error",
             "message": 'there is no measure or KPI "reachd"', "suggestion": "reached"},
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

    BEFORE = """
keep: 100d
measures:
  shared: {agg: users, where: type == "share"}
  gone:   {agg: users, where: type == "gone"}
  same:   {agg: users(2), where: type == "same"}
kpis:
  share_rate: {formula: shared / reached}
  gone_rate:  {formula: gone / reached}
  same_rate:  {formula: same / reached}
campaigns:
  - id: c
    start: 2099-01-01
    end: 2099-02-01
    targets:
      - {kpi: roi, value: 4}
      - {kpi: share_rate, value: 20%}
"""
    AFTER = """
keep: 50d
measures:
  shared: {agg: users, where: type == "share" or type == "repost"}
  fresh:  {agg: count, where: type == "fresh"}
  twice:  {agg: users(2), where: '"same" == type'}
kpis:
  share_rate: {formula: shared / reached}
  same_rate:  {formula: twice / reached}
  fresh_rate: {formula: fresh / reached, unit: count}
campaigns:
  - id: c
    start: 2099-01-01
    end: 2099-03-01
    targets:
      - {kpi: roi, value: 5, deviation: 0.5}
      - {kpi: fresh_rate, value: 2}
"""

    def against(self, path, where):
        done = daemon.run("check", "-c", path, "--against", where)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_what_a_file_would_change_of_another(self):
        """same_rate is written otherwise, and its measure is called otherwise: the state stays."""
        before, after = self.file(self.BEFORE), self.file(self.AFTER)
        said = self.against(after, before).split("\n\n", 1)[1]
        self.assertEqual(said, """kpis
  ~ share_rate
      a measure or attribute in it means something else
  ~ same_rate
      formula: same / reached -> twice / reached
  + fresh_rate: fresh / reached
  - gone_rate: gone / reached
campaigns
  ~ c
      end: 2099-02-01 -> 2099-03-01
targets
  ~ c roi campaign
      value: 4 -> 5
      deviation: 10% -> 0.5
      band: 0.4 -> 0.5
  + c fresh_rate campaign: 2
  - c share_rate campaign: 0.2
state
  ~ measure shared, days of UTC: starts anew
  + measure fresh, days of UTC: starts empty
  - measure gone, days of UTC: dropped
  KEPT kept
settings
  ~ keep: 100 -> 50 days: what is older is forgotten
""".replace("KEPT", re.search(r"\d+ of \d+", said)[0]))
        kept, total = map(int, re.search(r"(\d+) of (\d+) kept", said).groups())
        self.assertEqual(kept, total - 2)

    def test_what_a_file_would_change_of_funnels(self):
        """A new name keeps what users have in a funnel, a new window does not."""
        steps = 'steps: [type == "a", type == "b"]'
        before = self.file("funnels:\n  renamed: {%s}\n  other: {%s, order: any}\n" % (steps, steps))
        after = self.file("funnels:\n  fresh: {%s}\n  other: {%s, order: any, within: 1d}\n"
                          % (steps, steps))
        said = self.against(after, before).split("\n\n", 1)[1]
        self.assertEqual(said, """funnels
  + fresh: a > b
  ~ other
      within_seconds: 604800 -> 86400
  - renamed: a > b
state
  ~ funnel other: starts anew
  KEPT kept
""".replace("KEPT", re.search(r"\d+ of \d+", said)[0]))

    def test_what_a_file_would_change_of_tables_and_experiments(self):
        """What a table shows may change while its cells stay; another measure or `by` begins anew."""
        text = """
campaigns: [{id: c, start: 2099-01-01, end: 2099-02-01}]
dimensions: {channel: {}}
measures: {reach: {agg: users, where: type == "reach"}, gone: {agg: users, where: type == "gone"}}
tables:
  %s: {retention: {start: reach, periods: 3}}
  mode: {retention: {start: reach, mode: %s}}
  life: {title: {en: Life, zh: %s}, lifecycle: {of: %s}}
  days: {active_days: {of: reach%s}}
experiments:
  theme: {variants: [A, B], exposure: type == "reach", goal: reach%s}
  other: {variants: [A, B], exposure: type == "reach", goal: gone, min_units: %d}
"""
        before = self.file(text % ("old", "classic", "生命周期", "reach", "", "", 100))
        after = self.file(text % ("new", "unbounded", "活跃", "gone", ", by: channel", ", by: channel", 50))
        said = self.against(after, before).split("\n\n", 1)[1]
        self.assertEqual(said, """tables
  + new: retention
  ~ mode
      its definition means something else
  ~ life
      title: Life / 生命周期 -> Life / 活跃
      of: reach -> gone
  ~ days
      by: none -> channel
  - old: retention
experiments
  ~ theme
      by: none -> channel
  ~ other
      min_units: 100 -> 50
state
  + measure gone of everybody, days of UTC: starts empty
  + measure reach by channel of everybody, days of UTC: starts empty
  ~ experiment theme: starts anew
  ~ table life: starts anew
  ~ table days: starts anew
  KEPT kept
""".replace("KEPT", re.search(r"\d+ of \d+", said)[0]))

    def test_a_file_changes_nothing_of_itself(self):
        path = self.file(self.BEFORE)
        self.assertIn("\nnothing changes\n", self.against(path, path))

    def test_what_needs_a_restart_is_said(self):
        before = self.file("kafka: {brokers: a:1, topics: t, properties: {sasl.password: x}}\n")
        after = self.file("kafka: {brokers: a:1, topics: t, group: g, properties: {sasl.password: y}}\n"
                          "redis: {url: 'redis://h/0', password: secret}\n")
        self.assertEqual(self.against(after, before).split("\n\n", 1)[1],
                         "settings\n  ~ kafka.group: needs a restart\n  ~ redis.url: needs a restart\n")

    def test_a_side_that_is_no_good(self):
        good, bad = self.file("timezone: UTC\n"), self.file("timezone: Nowhere\n")
        for where, code in ((bad, EX_CONFIG), ("http://127.0.0.1:1", 69)):
            done = daemon.run("check", "-c", good, "--against", where)
            self.assertEqual(done.returncode, code)
            self.assertNotEqual(done.stderr, "")
        self.assertEqual(daemon.run("check", "-c", bad, "--against", good).returncode, EX_CONFIG)

    def test_what_a_file_would_change_of_a_running_daemon(self):
        """And what it says comes true: after the reload nothing is left to change, but the group."""
        app = self.stage(measures={"sharers": {"agg": "users", "where": 'type == "share"'}},
                         kpis={"share_rate": {"formula": "sharers / participants"}})
        url = f"http://127.0.0.1:{app.port}"
        self.assertIn("\nnothing changes\n", self.against(app.config_path, url))
        changed = config.merged(app.settings, {
            "measures": {"likers": {"agg": "users", "where": 'type == "like"'}},
            "kpis": {"share_rate": {"formula": "likers / participants"}},
            "kafka": {"group": "another"},
            "state": {"key_file": os.path.join(app.directory, "key")}})
        path = self.file(config.to_yaml(changed))
        said = self.against(path, url)
        self.assertIn("formula: sharers / participants -> likers / participants", said)
        self.assertRegex(said, r"  \+ measure likers, days of [\w/]+: starts empty\n")
        self.assertRegex(said, r"  - measure sharers, days of [\w/]+: dropped\n")
        self.assertIn("  ~ kafka.group: needs a restart\n", said)
        app.reload(**{key: changed[key] for key in ("measures", "kpis", "kafka")})
        app.wait(lambda: self.against(path, url).split("\n\n", 1)[1] ==
                 "settings\n  ~ kafka.group: needs a restart\n", 20, "the change has been taken up")
