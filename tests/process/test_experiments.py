"""Experiments: units and sums are those of SQL, p and intervals those of the literature's formulas, whatever
the number of shards, over a restart; a definition that is wrong is told where."""

import datetime
import json
import os
import re

from support import config, daemon, experiments, stream
from support.case import ProcessCase, write
from support.ports import wait_until

SEEDS = range(1, 21)
EX_CONFIG = 78


class Experiments(ProcessCase):
    def replay(self, documents, as_of, *arguments):
        directory = self.directory()
        daemon.directory_for(experiments.settings(), directory)
        at = datetime.datetime.fromtimestamp(as_of // 1000000, datetime.timezone.utc)
        done = daemon.run("replay", "-c", os.path.join(directory, "kpid.yaml"), "-o", "json",
                          "--at", f"{at:%Y-%m-%dT%H:%M:%SZ}", *arguments,
                          write(directory, "events.ndjson", experiments.lines(documents)))
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        self.assertIn(" 0 conflicts, 0 refused", done.stderr)
        return json.loads(done.stdout)

    def entries(self, documents, as_of, *arguments):
        """Of the whole by name; and of groups by that and the values, in the order of their names."""
        entries = self.replay(documents, as_of, *arguments)["experiments"]
        wholes = {e["experiment"]: e for e in entries if "by" not in e}
        groups = {(e["experiment"], *(e["by"][k] for k in sorted(e["by"]))): e for e in entries
                  if "by" in e}
        self.assertEqual(len(wholes) + len(groups), len(entries))
        return wholes, groups

    def test_they_equal_sql_and_the_formulas(self):
        """Half of the streams in order: then everything is equal. In the others what was whether is,
        and sums are where nobody is uncertain."""
        seen = {"tests": set(), "reasons": set(), "uncertain": 0, "exact": 0, "groups": 0}
        for seed in SEEDS:
            in_order = seed % 2 == 0
            documents, as_of = experiments.generate(seed, in_order, n_users=240 if seed % 4 else 1200)
            events = experiments.Events(documents)
            if seed % 5 == 0:  # nothing is decidable yet
                as_of = events.units(experiments.EXPERIMENTS["plain"])[2] + 30 * 3600 * 1000000
            as_of = as_of // 1000000 * 1000000
            found, groups = self.entries(documents, as_of)
            self.assertEqual(list(found), list(experiments.EXPERIMENTS))
            for name, definition in experiments.EXPERIMENTS.items():
                entry = found[name]
                uncertain = sum(a["uncertain"] for a in entry["arms"])
                if in_order or experiments.metric_of(definition) == "proportion":
                    self.assertEqual(uncertain, 0)
                units, excluded, first = events.units(definition)
                wrong = experiments.differences(entry, definition, units, excluded, first, as_of)
                for values, counts in events.groups(definition).items() if "by" in definition else ():
                    group = groups.pop((name, *values))
                    if seed % 3:  # these are many
                        self.assertEqual(sum(a["units"] for a in group["arms"]),
                                         sum(map(len, counts[0].values())))
                        continue
                    wrong += experiments.differences(group, definition, *counts, first, as_of)
                    seen["groups"] += 1
                self.assertEqual(wrong, [], "\n".join([f"seed {seed}"] + wrong))
                seen["uncertain"] += uncertain
                seen["exact"] += uncertain == 0
                seen["tests"] |= {c["test"] for c in entry["comparisons"]}
                seen["reasons"].add(entry["reason"])
            self.assertEqual(groups, {})
        self.assertLessEqual({"sequential", "z", "welch", "delta", "fisher"}, seen["tests"])
        self.assertLessEqual({"run", "units", "no_winner", "evidence"}, seen["reasons"])
        self.assertGreater(seen["uncertain"], 0)
        self.assertGreater(seen["exact"], 100)
        self.assertGreater(seen["groups"], 80)

    def test_shards_add_up(self):
        documents, as_of = experiments.generate(51, False)
        one, four, sixteen = (self.entries(documents, as_of, "--shards", n) for n in (1, 4, 16))
        self.assertGreater(len(one[1]), 10)
        self.assertEqual(one, four)
        self.assertEqual(one, sixteen)

    def test_the_table_for_people(self):
        directory = self.directory()
        documents, _ = experiments.generate(52, True)
        daemon.directory_for(experiments.settings(), directory)
        done = daemon.run("replay", "-c", os.path.join(directory, "kpid.yaml"),
                          write(directory, "events.ndjson", experiments.lines(documents)))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^experiment +arm +units +value$")
        self.assertRegex(done.stdout, r"(?m)^plain +A +\d+ +\d+\.\d\d %$")
        self.assertRegex(done.stdout, r"(?m)^plain +B - A +-?\d+\.\d\d pp ")
        self.assertRegex(done.stdout, r"(?m)^plain: undecided, (units|no_winner)(;|$)")
        self.assertRegex(done.stdout, r'(?m)^  channel="web" +A +\d+ +\d+\.\d\d %$')
        self.assertRegex(done.stdout, r'(?m)^plain channel=null: undecided, ')

    def test_nothing_of_experiments_without_any(self):
        directory = self.directory()
        daemon.directory_for({"campaigns": [experiments.CAMPAIGN]}, directory)
        for output in ("json", "table"):
            done = daemon.run("replay", "-c", os.path.join(directory, "kpid.yaml"), "-o", output, "-",
                              stdin="")
            self.assertNotIn("experiment", done.stdout)

    def test_over_http_and_a_restart(self):
        """The daemon says what the replay says, also after it was stopped; it goes on from there."""
        campaign = stream.campaign_now()
        now = stream.now_us()
        more = {"experiments": {"theme": {"variants": ["A", "B"], "exposure": 'type == "exposure"',
                                          "goal": "buyers", "min_run": "0s", "min_units": 5,
                                          "by": "channel"}},
                "dimensions": {"channel": {}}}
        app = self.stage([campaign], **more)

        def exposed(n, arm, begin):
            return [json.dumps({"id": f"{arm}{i}", "type": "exposure", "user": f"{arm}{i}",
                                "variant": arm, "campaign": campaign.id,
                                "channel": ("web", "app", "mini")[i % 3],
                                "time": (now - 60_000_000) // 1000}) for i in range(begin, begin + n)]

        def bought(n, arm):
            return [json.dumps({"id": f"b{arm}{i}", "type": "purchase", "user": f"{arm}{i}", "amount": "1",
                                "time": now // 1000}) for i in range(n)]

        def send(texts):
            self.cluster().produce(self.topic, [
                (json.loads(t)["user"], t.encode(), now // 1000) for t in texts])

        def is_so(arms, verdict):
            def look():
                answer = app.get("/api/v1/experiments/theme")
                if answer.status != 200:
                    return False
                document = answer.json()
                entry = document["experiments"][0]
                return document["complete"] and entry["verdict"] == verdict and \
                    [(a["arm"], a["units"], a["sums"]["x"]) for a in entry["arms"]] == arms
            wait_until(look, 60, f"{arms}, {verdict}", alive=app.alive)

        def by_channel():
            """Units and x of each arm, by channel."""
            entries = app.get("/api/v1/experiments/theme?by=channel").json()["experiments"]
            return {e["by"]["channel"]: [(a["units"], a["sums"]["x"]) for a in e["arms"]]
                    for e in entries}

        send(exposed(60, "A", 0) + exposed(60, "B", 0) + bought(3, "A") + bought(40, "B"))
        is_so([("A", 60, "3"), ("B", 60, "40")], "B")
        parts = {"app": [(20, "1"), (20, "13")], "mini": [(20, "1"), (20, "13")],
                 "web": [(20, "1"), (20, "14")]}
        self.assertEqual(by_channel(), parts)
        app.restart()
        app.wait_ready()
        is_so([("A", 60, "3"), ("B", 60, "40")], "B")
        self.assertEqual(by_channel(), parts)
        send(exposed(10, "A", 60) + exposed(10, "B", 60))
        is_so([("A", 70, "3"), ("B", 70, "40")], "B")
        for path, status in (("/api/v1/experiments/them", 404), ("/api/v1/experiments/", 404),
                             ("/api/v1/experiments/theme?by=city", 404),
                             ("/api/v1/experiments/theme?arm=A", 400),
                             ("/api/v1/experiments/theme?from=yesterday", 400)):
            self.assertEqual(app.get(path).status, status, path)
        later = app.get("/api/v1/experiments/theme?from=2099-01-01").json()
        self.assertEqual(later["experiments"], [])
        plan = app.get("/api/v1/plan").json()
        self.assertEqual([e["name"] for e in plan["experiments"]], ["theme"])
        self.assertIn(("experiment", "theme"), [(s["kind"], s["name"]) for s in plan["state"]])


# --- what is wrong ---------------------------------------------------------------------------------------

GOOD = {"variants": "[A, B]", "exposure": 'type == "exposure"', "goal": "buyers"}

# What is laid over a good one, what the message is, and the text that it points at.
BAD = [
    ({"variants": "[A]"}, "an experiment has 2 to 16 variants, not 1", "A"),
    ({"variants": "[" + ", ".join(f"v{i}" for i in range(17)) + "]"},
     "an experiment has 2 to 16 variants, not 17", "v16"),
    ({"variants": "[A, B, A]"}, 'the variant "A" is listed twice', "A"),
    ({"variants": None}, 'experiment "theme": variants is missing', "theme"),
    ({"variants": "{A: 1}"}, "variants: expected a list, found keys and values", ""),
    ({"exposure": None}, 'experiment "theme": exposure is missing', "theme"),
    ({"goal": None}, 'experiment "theme": goal is missing', "theme"),
    ({"goal": "byers"}, 'there is no measure or segment "byers"; a condition reads type == "purchase"',
     "byers"),
    ({"goal": "repeat_buyers"},
     '"repeat_buyers" is neither users, count nor sum(field), so an experiment cannot take it',
     "repeat_buyers"),
    ({"goal": "amount > 3 and"}, None, ""),
    ({"exposure": "type"}, None, ""),
    ({"control": "C"}, 'the control is one of the variants, and "C" is none', "C"),
    ({"campaign": "sprnig"}, 'there is no campaign "sprnig"', "sprnig"),
    ({"alpha": "0"}, 'alpha: "0" is not a number between 0 and 0.5, as 0.05', "0"),
    ({"alpha": "0.5"}, 'alpha: "0.5" is not a number between 0 and 0.5, as 0.05', "0.5"),
    ({"alpha": "5%"}, 'alpha: "5%" is not a number between 0 and 0.5, as 0.05', "5%"),
    ({"alpha": "-0.1"}, 'alpha: "-0.1" is not a number between 0 and 0.5, as 0.05', "-0.1"),
    ({"one_sided": "true"},
     "one_sided: it asks which arms are better than the control, and there is none", "true"),
    ({"one_sided": "perhaps", "control": "A"}, 'one_sided: "perhaps" is none of false|true', "perhaps"),
    ({"method": "bayes"}, 'method: "bayes" is none of fixed|sequential', "bayes"),
    ({"method": "fixed"},
     "method fixed: it looks once, at the end, so there must be a to or a campaign", "fixed"),
    ({"metric": "median"}, 'metric: "median" is none of proportion|mean|ratio', "median"),
    ({"metric": "ratio", "goal": "sales"}, "a ratio needs a denominator", "sales"),
    ({"metric": "mean"}, "this counts users, who are a proportion; a mean or ratio takes a count or a sum",
     "buyers"),
    ({"metric": "proportion", "goal": "sales"},
     "a sum is no proportion of users: take the metric mean, or a goal of users", "sales"),
    ({"goal": "sales", "denominator": "buyers"},
     "this counts users; a denominator is a count or a sum, and the units are users already", "buyers"),
    ({"correction": "bonferroni"}, 'correction: "bonferroni" is none of holm|bh', "bonferroni"),
    ({"better": "band"}, 'better: "band" is none of up|down', "band"),
    ({"split": "[1, 2, 3]"},
     "split: a share for each of the 2 variants is expected, as [2, 1, 1]", ""),
    ({"split": "half"}, "split: a share for each of the 2 variants is expected, as [2, 1, 1]", ""),
    ({"split": "[1, 0]"}, 'split: "0" is not a number above 0', "0"),
    ({"split": "[1, -1]"}, 'split: "-1" is not a number above 0', "-1"),
    ({"min_run": "soon"}, None, "soon"),
    ({"min_run": "4000d"}, 'min_run: "4000d" is longer than 3650d', "4000d"),
    ({"min_units": "-1"}, 'min_units: "-1" is no whole number from 0 to 1000000000', "-1"),
    ({"tuning_units": "0"}, 'tuning_units: "0" is no whole number from 1 to 1000000000', "0"),
    ({"from": "monday"}, 'from: "monday" is neither a date, as 2026-11-01, nor a time with zone, as '
     "2026-11-01T10:00:00+08:00", "monday"),
    ({"from": "2026-11-02", "to": "2026-11-02"}, 'experiment "theme": it ends before it begins',
     "2026-11-02"),
    ({"campaign": "spring", "from": "2099-05-01"}, 'experiment "theme": it ends before it begins',
     "2099-05-01"),
    ({"by": "chanel"}, None, "chanel"),
    ({"by": "[channel, channel]"}, '"channel" is twice in this combination', "channel"),
    ({"by": "{}"}, None, ""),
    ({"by": "[]"}, "a breakdown is the name of a dimension, or a list of them; this one is empty", ""),
    ({"arms": "[A, B]"}, 'unknown key "arms" in experiment', "arms"),
]

FRAME = """measures:
  clicks: {{agg: count, where: type == "click"}}
campaigns:
  - {{id: spring, start: 2099-03-01, end: 2099-04-01}}
dimensions: {{channel: {{}}}}
experiments:
  {name}:
{body}"""


class BadExperiments(ProcessCase):
    def check(self, text):
        """What kpid check says of a configuration: the errors as JSON."""
        path = write(self.directory(), "kpid.yaml", text)
        done = daemon.run("check", "-c", path, "-o", "json")
        return done.returncode, [d for d in json.loads(done.stdout) if d["severity"] == "error"]

    def text_of(self, changes, name="theme"):
        body = "".join(f"    {key}: {value}\n" for key, value in dict(GOOD, **changes).items()
                       if value is not None)
        return FRAME.format(name=name, body=body)

    def test_a_good_one_is_good(self):
        for changes in ({}, {"goal": "clicks"}, {"goal": "sales", "denominator": "clicks"},
                        {"control": "A", "one_sided": "true", "split": "[9, 1.5]"},
                        {"method": "fixed", "campaign": "spring"}, {"title": "{en: Theme, zh: 主题}"},
                        {"by": "channel"},
                        {"from": "2026-11-01", "to": "2026-11-08T12:00:00+08:00", "alpha": "0.499999"}):
            self.assertEqual(self.check(self.text_of(changes)), (0, []), changes)

    def test_every_mistake_is_told_once_and_where(self):
        for changes, message, at in BAD:
            with self.subTest(changes=changes):
                text = self.text_of(changes)
                code, errors = self.check(text)
                self.assertEqual(code, EX_CONFIG)
                self.assertEqual(len(errors), 1, errors)
                if message:
                    self.assertEqual(errors[0]["message"], message)
                line = text.splitlines()[errors[0]["line"] - 1]
                pointed = line[errors[0]["column"] - 1:errors[0]["end_column"] - 1]
                if at:
                    self.assertEqual(pointed, at)
                self.assertRegex(line, "|".join([re.escape(k) for k in changes] + ["theme", "goal"]))

    def test_a_section_that_is_none(self):
        for text in ("experiments: [theme]\n", "experiments: {theme: [A, B]}\n",
                     "experiments: {a theme: {variants: [A, B], exposure: true, goal: buyers}}\n"):
            code, errors = self.check(text)
            self.assertEqual((code, len(errors)), (EX_CONFIG, 1), errors)
