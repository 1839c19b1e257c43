"""The JSON Schema of the configuration: config/schema.json is what the binary prints, takes every shipped
example and refuses bad ones, names every setting, and knows no key that kpid does not."""

import glob
import json
import os
import re
import unittest

from support import daemon
from support.case import ProcessCase, write
from support.paths import ROOT

try:
    import jsonschema
    import yaml
except ImportError:
    jsonschema = yaml = None

SCHEMA = os.path.join(ROOT, "config", "schema.json")
TABLES = ("retention", "active_intervals", "active_days", "lifecycle", "sessions")
NEEDED = "python3-jsonschema or python3-yaml is not installed"

BAD = {
    "an unknown section": "kafak: {}",
    "an unknown setting": "kafka: {broker: a:1}",
    "a number out of range": "workers: 1000",
    "a number that is none": "workers: many",
    "a duration without unit": "keep: 400",
    "a size with a wrong unit": "dedupe: {memory: 1GB}",
    "a word that is none": "state: {on_loss: rebuilt}",
    "a list for a text": "timezone: [UTC]",
    "a measure without agg": "measures: {m: {where: type == \"a\"}}",
    "an unknown key of a measure": "measures: {m: {agg: users, wehre: x}}",
    "a KPI without formula": "kpis: {k: {unit: ratio}}",
    "an unknown unit": "kpis: {k: {formula: buyers, unit: percent}}",
    "a funnel of one step": 'funnels: {f: {steps: [type == "a"]}}',
    "a funnel without steps": "funnels: {f: {within: 1d}}",
    "an unknown key of a funnel": 'funnels: {f: {steps: [type == "a", type == "b"], window: 1d}}',
    "an order that is none": 'funnels: {f: {steps: [type == "a", type == "b"], order: loose}}',
    "a step without condition": 'funnels: {f: {steps: [type == "a", {name: b}]}}',
    "a window of days alone": 'funnels: {f: {steps: [type == "a", type == "b"], within: 7}}',
    "campaigns by name": "campaigns: {c: {start: 2026-11-01, end: 2026-12-01}}",
    "a campaign without end": "campaigns: [{id: c, start: 2026-11-01}]",
    "a date of another form": "campaigns: [{id: c, start: 1.11.2026, end: 2026-12-01}]",
    "a phase of one day": "campaigns: [{id: c, start: 2026-11-01, end: 2026-12-01, phases: {p: [start]}}]",
    "a target without value":
        "campaigns: [{id: c, start: 2026-11-01, end: 2026-12-01, targets: [{kpi: roi}]}]",
    "a deviation of nothing":
        "campaigns: [{id: c, start: 2026-11-01, end: 2026-12-01,"
        " targets: [{kpi: roi, value: 4, deviation: 0}]}]",
    "a deviation of another form":
        "campaigns: [{id: c, start: 2026-11-01, end: 2026-12-01,"
        " targets: [{kpi: roi, value: 4, deviation: 10 percent}]}]",
    "a receiver without url": "receivers: [{name: a}]",
    "a preset that is none": "mappings: {m: {preset: segmnet}}",
    "an unknown key of a mapping": "mappings: {m: {usr: a}}",
    "an unknown unit of time": "mappings: {m: {time: {path: a, unit: h}}}",
    "conditions that are none": "mappings: {m: {when: {}}}",
    "a rate that is none": "rates: {USD: 0}",
    "rates of no currency": "rates: {dollar: 7}",
    "rates of days of another form": "rates: {USD: {1.1.2026: 7}}",
}


def load(text):
    """As editors do, by YAML 1.2: dates are texts, and so are yes and no."""
    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {}

    for tag, pattern, first in (("bool", r"true|false", "tf"), ("null", r"~|null|", "~n"),
                                ("int", r"[-+]?[0-9]+", "-+0123456789"),
                                ("float", r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?",
                                 "-+.0123456789")):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})\\Z"),
                                     [*first, ""] if tag == "null" else list(first))
    return yaml.load(text, Loader)


class Schema(ProcessCase):
    def setUp(self):
        super().setUp()
        done = daemon.run("check", "--schema")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.printed = done.stdout
        self.schema = json.loads(done.stdout)

    def test_the_shipped_one_is_what_the_binary_prints(self):
        with open(SCHEMA, encoding="utf-8") as f:
            self.assertEqual(f.read(), self.printed,
                             "make it anew: kpid check --schema >config/schema.json")

    def test_every_setting_is_described(self):
        lines = daemon.run("check", "--settings").stdout.splitlines()
        settings = [(lines[i].split(":")[0], lines[i + 1].strip()) for i in range(0, len(lines), 3)]
        self.assertGreater(len(settings), 20)
        for path, help_text in settings:
            node = self.schema
            for key in path.split("."):
                node = node["properties"][key]
            self.assertIn(help_text, node["description"])

    def test_functions_are_described(self):
        sections = self.schema["properties"]
        agg = sections["measures"]["additionalProperties"]["properties"]["agg"]["description"]
        self.assertIn("users or users(n): distinct users", agg)
        self.assertNotIn("min(time)", agg)
        self.assertNotRegex(self.printed, r"@\w+@", "no place is left open")

    def example(self, node, key):
        """A text with that key at that place of the schema, for kpid to say what it thinks of it."""
        base = {"attributes": "attributes: {x: {%s: }}", "dimensions": "dimensions: {x: {%s: }}",
                "segments": "segments: {x: {%s: }}", "measures": "measures: {x: {%s: }}",
                "kpis": "kpis: {x: {%s: }}", "experiments": "experiments: {x: {%s: }}", "title": "kpis: {x: {title: {%s: }}}",
                "campaigns": "campaigns: [{%s: }]", "budget": "campaigns: [{budget: {%s: }}]",
                "target": "campaigns: [{start: 2026-11-01, end: 2026-12-01, targets: [{%s: }]}]",
                "receivers": "receivers: [{%s: }]", "mapping": "mappings: {x: {%s: }}",
                "mapping_entry": "mappings: {x: {type: {%s: }}}",
                **{f"table {kind}": "tables: {x: {" + kind + ": {%s: }}}" for kind in TABLES}}
        return base.get(node, "%s: {%%s: }" % node) % key

    def objects(self):
        """(what it is, its properties) of everything in the schema that has keys of its own."""
        found = [(None, self.schema["properties"])]
        sections, definitions = self.schema["properties"], self.schema["definitions"]
        for name, section in sections.items():
            item = section.get("additionalProperties") or section.get("items")
            owner = item if isinstance(item, dict) else section
            if "properties" in owner:
                found.append((name, owner["properties"]))
        campaign = sections["campaigns"]["items"]["properties"]
        found.append(("budget", campaign["budget"]["anyOf"][1]["properties"]))
        found.append(("title", definitions["title"]["anyOf"][1]["properties"]))
        found.append(("target", definitions["target"]["properties"]))
        found.append(("receivers", definitions["receivers"]["items"]["properties"]))
        found.append(("mapping", definitions["mappings"]["additionalProperties"]["properties"]))
        found.append(("mapping_entry", definitions["mapping_entry"]["anyOf"][1]["properties"]))
        found += [(f"table {kind}", definitions[kind]["properties"]) for kind in TABLES]
        return found

    def test_every_key_is_one_of_kpid(self):
        n = 0
        for node, properties in self.objects():
            for key in properties:
                text = f"{key}: \n" if node is None else self.example(node, key) + "\n"
                done = daemon.run("check", "-c", write(self.directory(), "f.yaml", text))
                self.assertNotIn("unknown key", done.stderr)
                n += 1
        self.assertGreater(n, 70)

    @unittest.skipUnless(jsonschema, NEEDED)
    def test_it_is_a_schema(self):
        jsonschema.Draft7Validator.check_schema(self.schema)

    @unittest.skipUnless(jsonschema, NEEDED)
    def test_shipped_files_fit(self):
        validator = jsonschema.Draft7Validator(self.schema)
        files = [path for where in (".", "campaigns")
                 for path in glob.glob(os.path.join(ROOT, "config", where, "*.yaml"))]
        self.assertGreaterEqual(len(files), 5)
        for path in files:
            with self.subTest(os.path.basename(path)), open(path, encoding="utf-8") as f:
                self.assertEqual([f"{list(e.path)}: {e.message}"
                                  for e in validator.iter_errors(load(f.read()))], [])

    @unittest.skipUnless(jsonschema, NEEDED)
    def test_bad_files_do_not(self):
        validator = jsonschema.Draft7Validator(self.schema)
        for what, text in BAD.items():
            with self.subTest(what):
                self.assertFalse(validator.is_valid(load(text)))
                done = daemon.run("check", "-c", write(self.directory(), "f.yaml", text + "\n"))
                self.assertEqual(done.returncode, 78, "kpid refuses it, too")

    @unittest.skipUnless(jsonschema, NEEDED)
    def test_variables_fit_anywhere(self):
        validator = jsonschema.Draft7Validator(self.schema)
        text = ("workers: ${N}\nkeep: ${KEEP:-30d}\nstate: {on_loss: \"${LOSS}\"}\n"
                "dedupe: {memory: \"${BYTES}\"}\nrolling: [\"${R}\"]\n"
                "campaigns: [{id: c, start: \"${FROM}\", end: 2026-12-01}]\n")
        self.assertEqual([e.message for e in validator.iter_errors(load(text))], [])
