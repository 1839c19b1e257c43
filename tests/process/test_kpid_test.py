"""`kpid test`: a test passes if and only if every value, state, alert and count is as it says; what fails
is shown with its place, what was expected and what came; a file that is wrong is told with every mistake
at its line and column, and no test of it runs."""

import os
import re

from support import daemon
from support.case import ProcessCase, write
from support.paths import ROOT

TESTS = os.path.join(ROOT, "config", "tests")

HEAD = """\
definitions:
  timezone: Asia/Shanghai
  campaigns:
    - id: c
      start: 2026-11-01
      end: 2026-11-12
      phases: {burst: [start, +5d]}
      targets: [{kpi: participation_rate, value: 65%}]
start: 2026-11-01T10:00:00+08:00
defaults: {campaign: c, time: +0s}
tests:
  - name: t
"""

# 65 of 100 took part; u1 spent 10, bought for 9.90 and then for 0.10.
EVENTS = """\
    events:
      - {repeat: 100, type: exposure, user: "u{i}"}
      - {repeat: 65, type: participation, user: "u{i}"}
      - {type: spend, amount: 10}
      - {type: purchase, user: u1, amount: 9.90}
      - {type: purchase, user: u1, amount: 0.10, time: +10m}
"""

# An expectation at 12:00 that does not hold, and what is said of it.
WRONG_VALUES = (
    ("{kpi: participation_rate, value: 64/100}", "expected value 64/100", "got      65/100 = 0.65"),
    ("{kpi: participation_rate, value: 13/20}", "expected value 13/20", "the same of other numbers"),
    ("{kpi: participation_rate, value: 65.0001%}", "expected value 65.0001%", "65/100"),
    ("{kpi: participation_rate, value: 0.650001}", "expected value 0.650001", "65/100"),
    ("{kpi: participation_rate, value: 65}", "expected value 65", "65/100"),
    ("{kpi: participation_rate, value: 0.64, tolerance: 0.009}", "expected value 0.64", "65/100"),
    ("{kpi: participation_rate, numerator: 64}", "expected numerator 64", "65/100"),
    ("{kpi: participation_rate, denominator: 65/100}", "expected denominator 65/100", "65/100"),
    ("{kpi: participation_rate, denominator: 101, tolerance: 0.5}", "denominator 101", "65/100"),
    ("{kpi: participation_rate, complete: 1}", "expected complete 1", "complete 0.0454"),
    ("{kpi: participation_rate, scope: day, complete: 0.5001}", "complete 0.5001", "complete 0.5"),
    ("{kpi: participation_rate, state: undefined}", "expected state undefined", "65/100 = 0.65"),
    ("{kpi: nps, value: 0}", "expected value 0", "got      no_data"),
    ("{kpi: nps, state: ok}", "expected state ok", "got      no_data"),
    ("{kpi: roi, value: 9.9/10}", "expected value 9.9/10", "got      10/10 = 1"),
    ("{kpi: roi, value: 100/100}", "expected value 100/100", "the same of other numbers"),
    ("{kpi: roi, numerator: 10.000001}", "expected numerator 10.000001", "10/10"),
)

RIGHT_VALUES = (
    "{kpi: participation_rate, value: 65/100}",
    "{kpi: participation_rate, value: 65 / 100, numerator: 65, denominator: 100.0, state: ok}",
    "{kpi: participation_rate, value: 65%, campaign: c, scope: burst}",
    "{kpi: participation_rate, value: 0.66, tolerance: 1%}",
    "{kpi: participation_rate, scope: day 2026-11-01, complete: 50%}",
    "{kpi: participation_rate, complete: 1/22}",   # 12 of 264 hours
    "{kpi: participation_rate, denominator: 101, tolerance: 1}",
    "{kpi: roi, value: 1}",
    "{kpi: roi, value: 10/10.000000}",
    "{kpi: roi_net, value: 0/10, scope: 'rolling:7d'}",
    "{kpi: nps, state: no_data}",
)

BY = HEAD.replace("definitions:\n", """\
definitions:
  dimensions: {channel: {}}
  segments: {member: {where: type == "login"}}
  kpis:
    roi: {formula: sales / cost, unit: multiple, by: [channel, member]}
    nps: {formula: responses, unit: count, by: [member]}
""")

# Mistakes in a file: the text that is put at @, where the message points (line of @, column), and a
# part of it.
MISTAKES = (
    # of the file
    ("@", "tests: [", 9, "did not find"),
    ("@", "- a", 1, "expected keys and values"),
    ("@", "tests: []", 1, "neither config, which names a file, nor definitions"),
    ("@", "config: nowhere.yaml\ntests: []", 9, '"nowhere.yaml" cannot be used'),
    ("@", "config: a\ndefinitions: {}\ntests: []", 1, "one of them, not both"),
    ("@", "definitions: []\ntests: []", 14, "the sections of a configuration"),
    ("@", "definitions: {timezone: Asia/Shanghia}\ntests: []", 25, 'mean "Asia/Shanghai"'),
    ("@", "definitions: {kpis: {a: {formula: buyer / reached}}}\ntests: []", 35, 'mean "buyers"'),
    ("@", "definitions: {}", 1, "tests is missing"),
    ("@", "definitions: {}\ntest: []", None, 'mean "tests"'),
    ("@", "definitions: {}\ntests: {}", None, "a list is expected"),
    ("@", "definitions: {}\nstart: +5m\ntests: []", None, "counts from start, which is not given"),
    ("@", "definitions: {}\ndefaults: {repeat: 5}\ntests: []", None, "not in defaults"),
    # of a test
    (HEAD + "    @", "steps: []\n    step: []", None, 'mean "steps"'),
    (HEAD.replace("name: t", "@"), "steps: []", 5, "name is missing"),
    (HEAD + "    @", "events: []", None, "nothing is expected"),
    (HEAD + "    @", "steps: 5", 12, "a list is expected"),
    (HEAD + "    @", "refused: {tiem: 1}", 15, 'mean "time"'),
    (HEAD + "    @", "refused: {time: -1}", 21, "is not a whole number"),
    (HEAD + "    @", "duplicates: many", 17, "is not a whole number"),
    (HEAD + "    steps: []\n    @", "files: nowhere.ndjson", 12, "No such file"),
    (HEAD + "    steps: []\n    @", "files: [.]", 13, "Is a directory"),
    # of events
    (HEAD + "    steps: []\n    events: [@]", "[]", 14, "an event is its fields"),
    (HEAD + "    steps: []\n    events: [@]", "{repeat: 0}", 23, "nor a range"),
    (HEAD + "    steps: []\n    events: [@]", "{repeat: 1..}", 23, "nor a range"),
    (HEAD + "    steps: []\n    events: [@]", "{repeat: 5..4}", 23, "nor a range"),
    (HEAD + "    steps: []\n    events: [@]", "{repeat: 9999999}", 14, "more than 2000000 events"),
    (HEAD + "    steps: []\n    events: [@]", "{every: 5}", 22, "is not a duration"),
    (HEAD + "    steps: []\n    events: [@]", "{every: -5s}", 22, "is not a duration"),
    (HEAD + "    steps: []\n    events: [@]", "{late: soon}", 21, "is not a duration"),
    (HEAD + "    steps: []\n    events: [@]", "{time: +5}", 21, "no time from the start"),
    (HEAD + "    steps: []\n    events: [@]", "{time: noon, every: 1s}", 21, "not a time with zone"),
    (HEAD + "    steps: []\n    events: [@]", "{time: 1969-12-31T23:59:59Z, every: 1s}", 21,
     "outside the years"),
    (HEAD + "    steps: []\n    events: [@]", "{repeat: 1000000, every: 36500d}", 39, "beyond the year"),
    # of steps
    (HEAD + "    steps: [@]", "{expect: []}", 13, "at is missing"),
    (HEAD + "    steps: [@]", "{at: +1h}", 13, "nothing is expected: expect"),
    (HEAD + "    steps: [@]", "{at: 2026-11-01, alerts: []}", 18, "not a time with zone"),
    (HEAD + "    steps: [@]", "{at: 2200-01-01T00:00:00Z, alerts: []}", 18, "outside the years"),
    (HEAD + "    steps: [@]", "{at: +1h, alerts: []}, {at: +1h, alerts: []}", 41, "forward in time"),
    (HEAD + "    steps: [@]", "{at: +1h, expect: [], exhaustive: true}", 35, "no list of alerts"),
    # of expectations
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{value: 1}", 32, "kpi is missing"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi}", 32, "nothing is expected"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: rio, value: 1}", 38, 'mean "roi"'),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, vaule: 1}", 43, 'mean "value"'),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, value: x}", 50, "is not a number"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, value: 1/x}", 50, "not a fraction"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, value: 1/0}", 50, "divides by zero"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, value: 1.00001%}", 50, "4 decimals"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, state: nodata}", 50, 'mean "no_data"'),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, state: undefined, value: 1}", 68,
     "has no value"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, value: 1, tolerance: -1}", 64,
     "is no distance"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, campaign: d, value: 1}", 53,
     "there is no campaign"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, scope: brust, value: 1}", 50,
     'mean "burst"'),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, scope: day 2026-02-30, value: 1}", 50,
     "is no scope"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, scope: day 2026-11-02, value: 1}", 50,
     "no day of the campaign"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, scope: rolling 5d, value: 1}", 50,
     "is not kept"),
    (HEAD + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, scope: rolling 5, value: 1}", 50,
     "is no scope"),
    # of groups
    (BY + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, by: {chanel: app}, value: 1}", 48,
     'nothing is broken down by "chanel"; did you mean "channel"?'),
    (BY + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, by: {channel: app, member: true}, value: 1}", 47,
     '"roi" is not broken down so; see by of the KPI, or breakdowns'),
    (BY + "    steps: [{at: +1h, expect: [@]}]", "{kpi: nps, by: {channel: app}, value: 1}", 47,
     '"nps" is not broken down so'),
    (BY + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, by: {channel: [app]}, value: 1}", 57,
     'one value of "channel" is expected, or null'),
    (BY + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, by: channel, value: 1}", 47,
     "by: dimensions and their values are expected"),
    (BY + "    steps: [{at: +1h, expect: [@]}]", "{kpi: roi, by: {}, value: 1}", 47,
     "by: dimensions and their values are expected"),
    # of alerts
    (HEAD + "    steps: [{at: +1h, alerts: [@]}]", "{status: ok}", 32, "kpi is missing"),
    (HEAD + "    steps: [{at: +1h, alerts: [@]}]", "{kpi: roi}", 38, 'no target for "roi"'),
    (HEAD.replace("65%}", "65%}, {kpi: participation_rate, value: 65%, scope: day}") +
     "    steps: [{at: +1h, alerts: [@]}]", "{kpi: participation_rate}", 32, "scope is missing"),
    (HEAD + "    steps: [{at: +1h, alerts: [@]}]", "{kpi: participation_rate, scope: day}", 65,
     "in this scope"),
    (HEAD.replace("65%}", "65%}, {kpi: participation_rate, value: 65%, better: down}") +
     "    steps: [{at: +1h, alerts: [@]}]", "{kpi: participation_rate, scope: campaign}", 32, "or better"),
    (HEAD + "    steps: [{at: +1h, alerts: [@]}]", "{kpi: participation_rate, better: down}", 38,
     "with this better"),
    (HEAD + "    steps: [{at: +1h, alerts: [@]}]", "{kpi: participation_rate, better: more}", 66,
     "is none of"),
    (HEAD + "    steps: [{at: +1h, alerts: [@]}]", "{kpi: participation_rate, status: fires}", 66,
     "is none of"),
    (HEAD + "    steps: [{at: +1h, alerts: [@]}]", "{kpi: participation_rate, level: seriuos}", 65,
     'mean "serious"'),
    (HEAD + "    steps: [{at: +1h, alerts: [@]}]", "{kpi: participation_rate, since: 5m}", 65,
     "not a time with zone"),
)

# The same, broken down: two channels are told apart, other ones are __other__.
GROUPS = HEAD.replace("definitions:\n", """\
definitions:
  dimensions: {channel: {values: 2}, city: {}, home: {of: city}}
  segments: {member: {where: city == "Wuhan"}}
  breakdowns: [channel, [channel, member], home]
  kpis: {buyers_all: {formula: buyers, unit: count, by: [channel]}}
""") + """\
    events:
      - {repeat: 10, type: exposure, user: "u{i}", channel: app, city: Wuhan}
      - {repeat: 3, type: participation, user: "u{i}", channel: app, city: Wuhan}
      - {repeat: 11..20, type: exposure, user: "u{i}", channel: "null", city: Wuhan}
      - {repeat: 11..12, type: participation, user: "u{i}", channel: "null", city: Xi'an}
      - {repeat: 21..30, type: exposure, user: "u{i}"}
      - {type: participation, user: u21}
      - {repeat: 31..40, type: exposure, user: "u{i}", channel: "c{i}"}
      - {repeat: 31..35, type: participation, user: "u{i}", channel: c1}
    steps: [{at: +2h, expect: [@]}]
"""

RIGHT_GROUPS = (
    "{kpi: participation_rate, by: {channel: app}, value: 3/10, denominator: 10, complete: 1/22}",
    "{kpi: participation_rate, by: {channel: 'null'}, value: 20%}",
    "{kpi: participation_rate, by: {channel: null}, value: 1/10}",
    "{kpi: participation_rate, by: {channel: ~}, value: 1/10}",
    "{kpi: participation_rate, by: {channel: }, value: 1/10}",
    "{kpi: participation_rate, by: {channel: __other__}, value: 5/10}",
    "{kpi: participation_rate, by: {member: true, channel: app}, scope: day, value: 3/10}",
    "{kpi: participation_rate, by: {channel: 'null', member: true}, value: 0/10}",
    "{kpi: participation_rate, by: {channel: 'null', member: false}, state: undefined, numerator: 2}",
    "{kpi: participation_rate, by: {channel: c1}, state: no_data, complete: 1/22}",
    "{kpi: participation_rate, by: {channel: app}, scope: burst, value: 0.31, tolerance: 1%}",
    "{kpi: participation_rate, value: 11/40}",
)

# What does not hold, what is said of it, and what came.
WRONG_GROUPS = (
    ("{kpi: participation_rate, by: {channel: app}, value: 2/10}", ', channel="app", at ',
     "got      3/10 = 0.3"),
    ("{kpi: participation_rate, by: {channel: null}, value: 20%}", ", channel=null, at ",
     "got      1/10 = 0.1"),
    ("{kpi: participation_rate, by: {channel: 'null'}, value: 10%}", ', channel="null", at ',
     "got      2/10 = 0.2"),
    ("{kpi: participation_rate, by: {member: true, channel: app}, state: no_data}",
     ', channel="app" member="true", at ', "got      3/10"),
    ("{kpi: participation_rate, by: {channel: c1}, value: 5/10}", ', channel="c1", at ', "got      no_data"),
    ("{kpi: participation_rate, by: {channel: app}, denominator: 40}", ', channel="app", at ', "got      3/10"),
    ("{kpi: participation_rate, by: {channel: app}, complete: 1}", ', channel="app", at ', "complete 0.045"),
)


class KpidTest(ProcessCase):
    def run_text(self, text, *options):
        path = write(self.directory(), "t.yaml", text)
        return path, daemon.run("test", *options, path)

    def step(self, expect, at="+2h", more=""):
        return HEAD + EVENTS + f"    steps: [{{at: {at}, {expect}}}]\n" + more

    def check_passes(self, text):
        _, done = self.run_text(text)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "1 passed, 0 failed\n", ""))

    def check_fails(self, text, *parts):
        _, done = self.run_text(text)
        self.assertEqual((done.returncode, done.stderr), (1, ""), done.stdout)
        self.assertTrue(done.stdout.endswith("\n0 passed, 1 failed\n"), done.stdout)
        for part in parts:
            self.assertIn(part, done.stdout)

    def test_what_holds_passes(self):
        for expectation in RIGHT_VALUES:
            with self.subTest(expectation):
                self.check_passes(self.step(f"expect: [{expectation}]"))

    def test_what_does_not_hold_fails_and_is_shown(self):
        for expectation, expected, came in WRONG_VALUES:
            with self.subTest(expectation):
                self.check_fails(self.step(f"expect: [{expectation}]"), "FAILED t: ", expected, came,
                                 "at 2026-11-01T12:00:00+08:00\n", "^")

    def test_groups_of_breakdowns(self):
        for expectation in RIGHT_GROUPS:
            with self.subTest(expectation):
                self.check_passes(GROUPS.replace("@", expectation))
        for expectation, group, came in WRONG_GROUPS:
            with self.subTest(expectation):
                self.check_fails(GROUPS.replace("@", expectation), "FAILED t: participation_rate of c, campaign" + group,
                                 came)

    def test_a_failure_reads_as_a_whole(self):
        path, done = self.run_text(HEAD + EVENTS + """\
    steps:
      - at: +2h
        expect:
          - {kpi: participation_rate, value: 66/100}
""")
        self.assertEqual(done.stdout, f"""\
{path}:22:46: FAILED t: participation_rate of c, campaign, at 2026-11-01T12:00:00+08:00
            - {{kpi: participation_rate, value: 66/100}}
                                               ^~~~~~
  expected value 66/100
  got      65/100 = 0.65
0 passed, 1 failed
""")

    def test_every_failure_of_every_test_is_told(self):
        text = HEAD + EVENTS + """\
    steps:
      - {at: +5m, expect: [{kpi: roi, value: 1}, {kpi: roi, value: 0.99}, {kpi: nps, value: 1}]}
      - {at: +2h, expect: [{kpi: roi, value: 2}]}
  - name: second
    steps: [{at: +1h, expect: [{kpi: roi, state: no_data}]}]
  - name: third
    steps: [{at: +1h, expect: [{kpi: roi, value: 3}]}]
"""
        path, done = self.run_text(text, "-v")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(re.findall(r"FAILED (\w+): (\w+)", done.stdout),
                         [("t", "roi"), ("t", "nps"), ("t", "roi"), ("third", "roi")])
        self.assertEqual(re.findall(rf"^(\w+) {re.escape(path)}: (.*)$", done.stdout, re.M),
                         [("failed", "t"), ("passed", "second"), ("failed", "third")])
        self.assertTrue(done.stdout.endswith("\n1 passed, 2 failed\n"))

    def test_a_step_sees_what_has_arrived_by_then(self):
        for at, value in (("+9m59s999ms", "9.9/10"), ("+10m", "10/10")):
            self.check_passes(self.step(f"expect: [{{kpi: roi, value: {value}}}]", at=at))

    def test_alerts_that_are_not_as_said(self):
        def step(*said):
            alerts = ", ".join(f"{{kpi: participation_rate, {words}}}" for words in said)
            return self.step(f"alerts: [{alerts}]")

        def low(*said):
            return step(*said).replace("repeat: 65", "repeat: 44")   # 2.1 bands off

        self.check_passes(low("level: serious, since: +5m"))
        for said in ("status: pending", "status: ok", "status: resolved", "level: general",
                     "since: +5m1s", "status: no_data"):
            with self.subTest(said):
                self.check_fails(low(said), "expected ",
                                 "got      firing, level serious, since 2026-11-01T10:05:00+08:00; "
                                 "44/100 = 0.44, off by 2.1 of its band")
        self.check_fails(low(), "expected no alert that fires", "got      firing")
        self.check_fails(step("status: firing"), "expected firing", "got      ok")
        self.check_fails(step("status: resolved"), "expected resolved", "got      ok")

    def test_only_an_exhaustive_list_says_that_no_other_fires(self):
        text = HEAD.replace("value: 65%}", "value: 65%}, {kpi: roi, value: 4, min_sample: 1}") + EVENTS
        step = "    steps: [{at: +2h, alerts: [{kpi: roi}]%s}]\n"
        self.check_passes(text.replace("repeat: 65", "repeat: 5") + step % "")
        self.check_passes(text + step % ", exhaustive: true")
        self.check_fails(text.replace("repeat: 65", "repeat: 5") + step % ", exhaustive: true",
                         "expected no other alert that fires", "participation_rate of c")

    def test_refused_and_repeated_events_must_be_said(self):
        events = HEAD + """\
    events:
      - {type: spend, amount: 1, id: a}
      - {type: spend, amount: 1, id: a}
      - {type: spend, amount: 2, id: a}
      - {type: spend, amount: -1}
      - {type: spend, amount: -2}
      - {amount: 1}
"""
        said = "    refused: {amount: 2, type: 1}\n    duplicates: 1\n    conflicts: 1\n"
        self.check_passes(events + said)
        self.check_fails(events + "    steps: []\n", "duplicates", "conflicts", "reason amount",
                         "expected 0, as nothing is said", "got      2, the first at ", ':17:9: "{"',
                         "reason type")
        for right, wrong in (("amount: 2", "amount: 3"), ("duplicates: 1", "duplicates: 0"),
                             ("conflicts: 1", "conflicts: 2"), ("type: 1", "json: 1")):
            self.check_fails(events + said.replace(right, wrong), "expected ", "got      ")

    def test_events_of_files(self):
        directory = self.directory()
        line = '{"type":"spend","amount":%d,"campaign":"c","time":"2026-11-01T10:00:00+08:00"}\n'
        write(directory, "a.ndjson", (line % 1 + line % 2 + "oops\n").encode())
        write(directory, "b.ndjson", (line % 4).rstrip().encode())
        path = write(directory, "t.yaml", HEAD + """\
    files: [a.ndjson, b.ndjson, b.ndjson]
    steps: [{at: +1h, expect: [{kpi: roi, denominator: 7}]}]
    duplicates: 1
""")
        done = daemon.run("test", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("reason json", done.stdout)
        self.assertIn("the first at a.ndjson:3: \"oops\"", done.stdout)
        self.assertEqual(done.stdout.count("FAILED"), 1, done.stdout)

    def test_a_configuration_by_its_path(self):
        path = write(self.directory(), "t.yaml", f"""\
config: {os.path.join(ROOT, "config", "minimal.yaml")}
tests:
  - name: nothing yet
    steps: [{{at: 2026-11-02T00:00:00Z, expect: [{{kpi: roi, state: no_data}}]}}]
""")
        self.assertEqual(daemon.run("test", path).stdout, "1 passed, 0 failed\n")

    def test_money_and_counts_divide_exactly(self):
        kpis = ("  kpis: {cost_each: {formula: cost / participants, unit: money},"
                " spread: {formula: participants / cost}}\n  campaigns:\n")
        text = self.step("expect: [%s]").replace("  campaigns:\n", kpis, 1)
        text = text.replace("amount: 10}", "amount: 13.000013}")
        for words in ("kpi: cost_each, value: 13.000013/65", "kpi: spread, value: 65/13.000013"):
            self.check_passes(text.replace("%s", f"{{{words}}}"))
        for words in ("kpi: cost_each, value: 13/65", "kpi: cost_each, value: 0.2",
                      "kpi: cost_each, value: 0.200001", "kpi: spread, value: 5",
                      "kpi: spread, value: 65/13"):
            self.check_fails(text.replace("%s", f"{{{words}}}"), "got      ")
        text = text.replace("13.000013", "13")
        self.check_passes(text.replace("%s", "{kpi: cost_each, value: 0.2}, {kpi: spread, value: 5}"))

    def test_what_is_quoted_is_a_string(self):
        events = "    events: [{type: survey, user: %s, score: %s}, {type: survey, user: u8, score: 8}]\n"
        step = "    steps: [{at: +1h, expect: [{kpi: nps, value: %s}]}]\n"
        self.check_passes(HEAD + events % ("7", "9") + step % "100/2")
        self.check_passes(HEAD + events % ("'7'", "9") + step % "100/2")
        self.check_passes(HEAD + events % ("7", "'9'") + step % "0/1" + "    refused: {field: 1}\n")

    def test_a_tolerance_is_asked_for_where_nothing_is_exact(self):
        head = HEAD.replace("  campaigns:\n", "  kpis: {third: {formula: 1 / (reached / 3) / 7}}\n"
                            "  campaigns:\n", 1)
        step = "    steps: [{at: +1h, expect: [{kpi: third, value: 0.004286%s}]}]\n"   # 3/700
        self.check_fails(head + EVENTS + step % "", "which is not exact: give a tolerance")
        self.check_passes(head + EVENTS + step % ", tolerance: 0.000001")

    def test_mistakes_are_told_with_their_place(self):
        for template, text, column, part in MISTAKES:
            with self.subTest(text):
                path, done = self.run_text(template.replace("@", text))
                self.assertEqual(done.returncode, 78, done.stderr)
                self.assertEqual(done.stdout, "0 passed, 0 failed, 1 file not usable\n")
                self.assertIn(part, done.stderr)
                self.assertIn(f"{path}:", done.stderr)
                if column:
                    line = template[:template.index("@")].count("\n") + 1
                    self.assertIn(f"{path}:{line}:{column}: error: ", done.stderr)

    def test_all_mistakes_at_once(self):
        path, done = self.run_text(HEAD + """\
    events: [{repeat: x}]
    steps: [{at: y, expect: [{kpi: z, value: 1}]}]
""")
        self.assertEqual(re.findall(rf"^{re.escape(path)}:(\d+:\d+): error", done.stderr, re.M),
                         ["13:23", "14:18", "14:36"])

    def test_the_worst_file_gives_the_exit_code(self):
        directory = self.directory()
        good = write(directory, "good.yaml", self.step("expect: [{kpi: roi, value: 1}]"))
        bad = write(directory, "bad.yaml", self.step("expect: [{kpi: roi, value: 2}]"))
        broken = write(directory, "broken.yaml", "tests: 5\n")
        missing = os.path.join(directory, "missing.yaml")
        for code, said, files in (
                (0, "2 passed, 0 failed", (good, good)),
                (1, "1 passed, 1 failed", (bad, good)),
                (66, "1 passed, 1 failed, 1 file not usable", (missing, bad, good)),
                (78, "1 passed, 0 failed, 2 files not usable", (missing, broken, good))):
            done = daemon.run("test", *files)
            self.assertEqual(done.returncode, code)
            self.assertEqual(done.stdout.splitlines()[-1], said)
        for arguments in ((), ("-x", good)):
            self.assertEqual(daemon.run("test", *arguments).returncode, 64)

    def experiments(self, expected):
        """A test with 100 users in either arm of `theme`, one of whom saw both."""
        definition = ("  experiments:\n    theme: {variants: [A, B], goal: buyers, "
                      "exposure: type == \"exposure\", min_run: 1h}\n")
        return HEAD.replace("start: 2026-11-01T10", definition + "start: 2026-11-01T10") + f"""\
    events:
      - {{repeat: 100, type: exposure, variant: A, user: "a{{i}}"}}
      - {{repeat: 100, type: exposure, variant: B, user: "b{{i}}"}}
      - {{repeat: 90, type: purchase, user: "b{{i}}", amount: 1}}
      - {{type: exposure, variant: B, user: a1}}
    steps:
      - at: +2h
        experiments: [{expected}]
"""

    def test_experiments(self):
        for expected in ("{experiment: theme, verdict: undecided, reason: units, winner: null}",
                         "{experiment: theme, arms: [{arm: B, units: 100, value: 90%}, {arm: A, units: 99, "
                         "sums: {x: 0}}], excluded: 1}",
                         "{experiment: theme, comparisons: [{a: A, b: B, uplift: 9/10, significant: true}]}",
                         "{experiment: theme, tolerance: 0.001, srm_p: 0.943}"):
            self.check_passes(self.experiments(expected))
        for expected, said, wanted, came in (
                ("verdict: B", "theme", "verdict B", "verdict undecided"),
                ("reason: null", "theme", "reason null", "reason units"),
                ("winner: A", "theme", "winner A", "winner null"),
                ("arms: [{arm: A, units: 100}]", "theme, arms A", "units 100", "units 99"),
                ("arms: [{arm: C, units: 100}]", "theme, arms C", "to be there", "none"),
                ("comparisons: [{a: A, b: B, uplift: 0.8}]", "theme, comparisons A B", "uplift 0.8",
                 "uplift 0.9"),
                ("excluded: 0", "theme", "excluded 0", "excluded 1")):
            self.check_fails(self.experiments(f"{{experiment: theme, {expected}}}"),
                             f"FAILED t: experiment {said}\n", f"  expected {wanted}\n  got      {came}\n",
                             "^")
        for expected, part in (("{verdict: B}", "experiment is missing"),
                               ("{experiment: thema, verdict: B}", 'mean "theme"'),
                               ("{experiment: theme}", "nothing is expected"),
                               ("{experiment: theme, by: {channel: a}, verdict: B}", "it is not broken down"),
                               ("{experiment: theme, arms: 5}", "arms: a list is expected"),
                               ("{experiment: theme, arms: [{units: 5}]}", "arm is missing"),
                               ("{experiment: theme, arms: [{arm: A, unit: 5}]}", 'mean "units"'),
                               ("{experiment: theme, arms: [{arm: A, units: x}]}", "units: "),
                               ("{experiment: theme, excluded: [1]}", "excluded: "),
                               ("5", "expected keys and values")):
            with self.subTest(expected):
                _, done = self.run_text(self.experiments(expected))
                self.assertEqual(done.returncode, 78, done.stdout)
                self.assertIn(part, done.stderr)

    def answers(self, expected):
        """A test of what a table and a funnel have of four users, two of each channel."""
        definition = """\
  dimensions: {channel: {}}
  tables:
    back: {retention: {start: first_time(reached), return: active, periods: 2, by: channel}}
    days: {active_days: {of: active}}
  funnels:
    way: {steps: ['type == "exposure"', 'type == "participation"'], by: channel}
"""
        return HEAD.replace("start: 2026-11-01T10", definition + "start: 2026-11-01T10") + f"""\
    events:
      - {{repeat: 2, type: exposure, user: "a{{i}}", channel: app}}
      - {{repeat: 2, type: exposure, user: "w{{i}}", channel: web}}
      - {{type: participation, user: a1, time: +90s}}
      - {{type: participation, user: a1, time: +1d}}
      - {{type: participation, user: w1, time: +1d}}
    steps:
      - at: +2d
        {expected}
"""

    def test_tables_and_funnels(self):
        for expected in (
                "tables: [{table: back, cohorts: [{start: 2026-11-01, size: 4, cells: [{n: 0, users: 1}, "
                "{n: 1, users: 2, share: 1/2, mature: true}, {n: 2, mature: false}]}]}]",
                "tables: [{table: back, by: {channel: app}, means: [{n: 1, weighted: 50%, cohorts: 1}]}]",
                "tables: [{table: days, start: 2026-11-01, counts: [{n: 2, users: 1, or_more: 1}]}]",
                "funnels: [{funnel: way, late_events: 0, whole: {users: 2, median_seconds: 90}, "
                "steps: [{step: exposure, users: 4, median_seconds: null}, {step: participation, users: 2}]}]",
                "funnels: [{funnel: way, by: {channel: web}, trend: [{start: 2026-11-01, users: [2, 1]}]}]"):
            self.check_passes(self.answers(expected))
        for expected, said, wanted, came in (
                ("tables: [{table: back, cohorts: [{start: 2026-11-01, cells: [{n: 1, users: 3}]}]}]",
                 "table back, cohorts 2026-11-01, cells 1", "users 3", "users 2"),
                ("tables: [{table: back, by: {channel: web}, cohorts: [{start: 2026-11-02, size: 0}]}]",
                 "table back channel=web, cohorts 2026-11-02", "to be there", "none"),
                ("tables: [{table: back, by: {channel: null}, means: [{n: 0, simple: 1}]}]",
                 "table back channel=null", "to be there", "none"),
                ("funnels: [{funnel: way, steps: [{step: exposure, of_first: 1.1}]}]",
                 "funnel way, steps exposure", "of_first 1.1", "of_first 1"),
                ("funnels: [{funnel: way, trend: [{start: 2026-11-01, users: [4, 3]}]}]",
                 "funnel way, trend 2026-11-01", "users 3", "users 2"),
                ("funnels: [{funnel: way, whole: {users: 2, mean_seconds: null}}]",
                 "funnel way, whole", "mean_seconds null", "mean_seconds ")):
            self.check_fails(self.answers(expected), f"FAILED t: {said}\n",
                             f"  expected {wanted}\n  got      {came}", "^")
        for expected, part in (("tables: [{table: beck, means: []}]", 'mean "back"'),
                               ("tables: [{table: back, cells: []}]", "unknown key"),
                               ("tables: [{table: back, by: {channel: [a]}, means: []}]", "by: "),
                               ("tables: [{table: back, by: {city: a}, means: []}]", "by: "),
                               ("tables: [{table: back, cohorts: [{size: 4}]}]", "start is missing"),
                               ("tables: {table: back}", "a list is expected"),
                               ("tables: [{table: back, means: [], tolerance: null}]", "tolerance: "),
                               ("tables: [{table: days, counts: [], start: [1]}]", "start: "),
                               ("funnels: [{funnel: way, whole: [1]}]", "expected keys and values"),
                               ("funnels: [{funnel: way}]", "nothing is expected"),
                               ("funnels: [{funnel: way, trend: [{start: 2026-11-01, users: [a]}]}]",
                                "users: ")):
            with self.subTest(expected):
                _, done = self.run_text(self.answers(expected))
                self.assertEqual(done.returncode, 78, done.stdout)
                self.assertIn(part, done.stderr)

    def test_the_example_of_the_help_runs(self):
        text = daemon.run("test", "--help").stdout
        example = text[text.index("  config: "):text.index("status is ok")]
        example = re.sub(r"^  ", "", example, flags=re.M)
        directory = self.directory()
        write(directory, "kpid.yaml", """\
timezone: Asia/Shanghai
dimensions: {channel: {}}
breakdowns: [channel]
campaigns:
  - id: double11
    start: 2026-11-01
    end: 2026-11-12
    targets: [{kpi: participation_rate, value: 75%}]
""")
        write(directory, "more.ndjson", "")
        path = write(directory, "t.yaml", example)
        done = daemon.run("test", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def test_every_kpi_of_the_catalogue_has_a_test(self):
        done = daemon.run("replay", "-c", os.path.join(ROOT, "config", "minimal.yaml"), "-o", "json", "-",
                          stdin="")
        kpis = set(re.findall(r'"kpi":"(\w+)"', done.stdout))
        files = sorted(os.path.join(TESTS, name) for name in os.listdir(TESTS))
        text = ""
        for path in files:
            with open(path, encoding="utf-8") as f:
                text += f.read()
        self.assertGreaterEqual(len(kpis), 8)
        for kpi in kpis:
            self.assertRegex(text, rf"\{{kpi: {kpi}\b[^}}]*value: ", kpi)
        self.assertEqual(daemon.run("test", *files).returncode, 0)
