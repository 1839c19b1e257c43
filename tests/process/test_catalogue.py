"""The shipped catalogue: every KPI of it is what SQL makes of the same events, in zones with summer time, for
several campaigns; its page shows what kpid says; the plans that are made of it are good."""

import datetime
import decimal
import glob
import json
import os
import re
import shutil
import subprocess
import unittest

from support import catalogue_oracle, daemon, money_oracle
from support.campaigns import configuration
from support.case import ProcessCase, write
from support.catalogue_stream import END, Stream
from support.paths import ROOT

DAY = 86_400_000_000
SEEDS = range(1, 21)
# Those of cohorts in retained() are the oracle's of test_replay.
ELSEWHERE = {"retention_d1", "retention_d7", "retention_m3"}


class Catalogue(ProcessCase):
    def replay(self, stream, *arguments, later=0, **more):
        """later: days after the stream; more: of the configuration."""
        at = datetime.datetime.combine(END, datetime.time()) + datetime.timedelta(days=later)
        directory = self.directory()
        daemon.directory_for(
            configuration(stream.campaigns, catalogue="all", grains=["day", "month"],
                          **(more or catalogue_oracle.DEFINED)), directory)
        events = write(directory, "events.ndjson", stream.ndjson())
        done = daemon.run("replay", "-c", os.path.join(directory, "kpid.yaml"), "--at", at.isoformat() + "Z",
                          "-o", "json", *arguments, events)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        self.assertIn(" 0 conflicts, 0 refused", done.stderr)
        return json.loads(done.stdout)

    def test_every_kpi_equals_the_oracle(self):
        states, kpis = set(), set()
        for seed in SEEDS:
            with self.subTest(seed=seed):
                stream = Stream(seed)
                later = 75 if seed % 4 == 0 else 0  # when all cohorts have had their time
                document = self.replay(stream, later=later)
                oracle = catalogue_oracle.Oracle(stream.events, stream.campaigns, stream.end + later * DAY)
                wrong = catalogue_oracle.differences(
                    catalogue_oracle.read(document, stream.campaigns), oracle.values())
                self.assertEqual(wrong, [], "\n".join(wrong[:20]))
                states |= {(e["kpi"], e["state"]) for e in document["kpis"]}
                kpis |= {e["kpi"] for e in document["kpis"]}
        self.assertEqual(kpis, set(catalogue_oracle.KPIS) | set(catalogue_oracle.FORMS) | ELSEWHERE)
        for kpi in kpis:
            self.assertIn((kpi, "ok"), states, "of each there is a value somewhere")

    def test_shards_add_up(self):
        stream = Stream(100)
        one, five = (self.replay(stream, "--shards", n, **money_oracle.configuration())["kpis"] for n in (1, 5))
        self.assertEqual(one, five)

    def test_variants_of_money_equal_the_oracle(self):
        """Capped sums, touches, and repeat purchase by days, upper and lower sides exactly."""
        ok = set()
        for seed in range(21, 41):
            with self.subTest(seed=seed):
                stream = Stream(seed, n_users=8)
                later = 75 if seed % 2 == 0 else 0
                document = self.replay(stream, later=later, **money_oracle.configuration())
                expected = money_oracle.Oracle(stream.events).values(stream.campaigns, stream.end + later * DAY)
                got = catalogue_oracle.entries(document, stream.campaigns, money_oracle.KPIS)
                self.assertEqual(got.keys(), expected.keys())
                for key, sides in expected.items():
                    entry = got[key]
                    sides_got = tuple(decimal.Decimal(entry[side] or 0) for side in ("numerator", "denominator"))
                    self.assertEqual(sides_got, sides, (key, entry))
                    if entry["state"] == "ok":
                        ok.add(key[1])
                    else:
                        self.assertEqual(sides[1], 0, (key, entry))
        self.assertEqual(ok, set(money_oracle.KPIS))

    def test_variants_are_good(self):
        """What stands behind "or:" can be put in the place of a formula."""
        with open(os.path.join(ROOT, "config", "catalogue.yaml"), encoding="utf-8") as file:
            part = file.read().partition("\nkpis:\n")[2]
        variants = [v for v in re.findall(r"^    # or:    (.+?)(?:, unit: \w+)?(?:  .*)?$", part, re.M)
                    if " in the measure" not in v]
        self.assertGreater(len(variants), 70)
        # Some are of measures that are left to whoever wants them.
        own = "".join(f"  {name}: {{agg: count, where: type == \"{kind}\"}}\n" for name, kind in (
            ("interactions", "comment"), ("participations", "participation"), ("exposures", "exposure"),
            ("own_mentions", "mention"), ("mentions", "mention")))
        kpis = "".join(f"  v{i}: {{formula: {json.dumps(v)}, unit: ratio}}\n" for i, v in enumerate(variants))
        path = write(self.directory(), "or.yaml", "timezone: UTC\ncatalogue: []\ncampaigns:\n"
                     "  - {id: spring, start: 2099-01-01, end: 2099-02-01, budget: 1, audience: 9}\n"
                     f"measures:\n{own}kpis:\n{kpis}")
        done = daemon.run("check", "-c", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Forms(ProcessCase):
    """What stands behind `or:` in place of a whole measure can be put in its place."""

    def test_measures(self):
        with open(os.path.join(ROOT, "config", "catalogue.yaml"), encoding="utf-8") as file:
            lines = file.read().partition("\nmeasures:\n")[2].splitlines()
        forms, name = [], None
        for line in lines:
            if measure := re.match(r"  (\w+):", line):
                name = measure[1]
            elif form := re.match(r"  # or: +(\{.*?\})(  |$)", line):
                forms.append((name, form[1]))
        self.assertGreater(len(forms), 10)
        for name, form in forms:
            with self.subTest(name=name, form=form):
                path = write(self.directory(), "form.yaml", f"measures:\n  {name}: {form}\n")
                done = daemon.run("check", "-c", path)
                self.assertEqual(done.returncode, 0, done.stderr)


class Page(ProcessCase):
    """config/README.md, on the catalogue: what it shows is what kpid says, and all of it is there."""

    def setUp(self):
        super().setUp()
        with open(os.path.join(ROOT, "config", "README.md"), encoding="utf-8") as file:
            self.page = file.read().partition("\n# The KPIs of the catalogue\n")[2]

    def block(self, language):
        return re.search(rf"^```{language}\n(.*?)^```$", self.page, re.M | re.S)[1]

    def test_every_value_of_the_page(self):
        at = self.directory()
        files = {"kpis.yaml": self.block("yaml"), "events.ndjson": self.block("ndjson")}
        command, said = self.block("console").split("\n", 1)
        done = daemon.run(*(write(at, word, files[word]) if word in files else word
                            for word in command.split()[2:]))
        self.assertIn(" 0 duplicates, 0 conflicts, 0 refused\n", done.stderr)
        self.assertEqual(done.stdout, said)
        self.assertNotRegex(said, "no data|undefined", "each has a value")

    @unittest.skipUnless(shutil.which("jq"), "jq is not installed")
    def test_what_jq_prints(self):
        """The best time; invitations; other scales."""
        for of in ("best", "invitations", "scales"):
            at = self.directory()
            for kind in ("yaml", "ndjson"):
                write(at, f"{of}.{kind}", self.block(f"{kind} {of}.{kind}"))
            for part in self.block(f"console {of}").split("$ kpid ")[1:]:
                command, said = part.split("\n", 1)
                arguments, program = command.split(" | jq -r ", 1)
                done = daemon.run(*(os.path.join(at, word) if word.startswith(f"{of}.") else word
                                    for word in arguments.split()))
                jq = subprocess.run(["jq", "-r", program.strip("'")], input=done.stdout,
                                    capture_output=True, text=True, check=False)
                self.assertEqual(jq.stdout, said, done.stderr + jq.stderr)

    def test_the_table_of_the_page(self):
        at = self.directory()
        files = [write(at, name, self.block(block)) for name, block in
                 (("kpis.yaml", "yaml"), ("events.ndjson", "ndjson"))]
        moment = re.search(r"--at (\S+)", self.block("console"))[1]
        done = daemon.run("replay", "-c", files[0], "-o", "json", "--at", moment, files[1])
        self.assertEqual(json.loads(done.stdout)["tables"], [json.loads(self.block("json"))])

    def test_every_other_form(self):
        at = self.directory()
        forms = write(at, "forms.yaml", self.block("yaml forms.yaml"))
        done = daemon.run("replay", "-c", forms, "--at", "2027-03-10T00:00:00+08:00", "-o", "json",
                          write(at, "events.ndjson", self.block("ndjson")))
        got = {e["kpi"]: tuple(float(e[side]) for side in ("numerator", "denominator"))
               for e in json.loads(done.stdout)["kpis"] if e["campaign"] == "autumn" and e["denominator"]}
        rows = re.findall(r"^\| K\d+ \| `(\w+)` \| (\d+) / (\d+) \| .+ \|$", self.page, re.M)
        self.assertEqual({name for name, _n, _d in rows},
                         set(re.findall(r"^  (\w+): +\{formula", self.block("yaml forms.yaml"), re.M)))
        for name, numerator, denominator in rows:
            with self.subTest(name):
                self.assertEqual(got[name], (int(numerator), int(denominator)))

    def test_every_kpi_is_explained(self):
        rows = re.findall(r"^\| K(\d+) \| `(\w+)` \| [^|]+ \|$", self.page, re.M)
        self.assertEqual({int(k) for k, _name in rows}, set(range(1, 35)))
        self.assertEqual({name for _k, name in rows}, set(catalogue_oracle.KPIS) | ELSEWHERE)

    def test_every_word_of_the_checklist_is_settled(self):
        words = re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \| [^|]* \|$", self.page, re.M)
        self.assertEqual([int(n) for n in words], list(range(1, 23)))


class Plans(ProcessCase):
    """config/campaigns: whole plans, of which kpid has nothing to say but that they are good."""

    def test_they_are_good(self):
        plans = glob.glob(os.path.join(ROOT, "config", "campaigns", "*.yaml"))
        self.assertGreaterEqual(len(plans), 2)
        for plan in plans:
            with self.subTest(plan):
                done = daemon.run("check", "-c", plan)
                self.assertEqual(done.returncode, 0, done.stderr)
                warnings = [line for line in done.stderr.splitlines() if ": warning: " in line]
                self.assertEqual([w for w in warnings if "is over" not in w], [])  # one day they are
