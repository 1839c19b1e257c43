"""Tables of `kpid replay` equal the oracle's SQL, for every mode, cohort and basis that is offered,
whatever the number of shards and the order of arrival; bad definitions are refused where they stand."""

import itertools
import json
import os
import random
import re

from support import config as configs
from support import daemon
from support.case import ProcessCase, write
from support.tables_oracle import BASES, COHORTS, LAST, MODES, WHERE, Calendar, Oracle, stream

ZONES = (("Asia/Shanghai", 0), ("Europe/Berlin", 6), ("America/New_York", 2))
SEEDS = range(1, 25)
OF_A_SEED = 10  # retention tables
DAYS = {"hour": 4, "day": 20, "elapsed": 20, "week": 90, "month": 300, "quarter": 380, "year": 390}


def retentions():
    """Every variant that is offered."""
    for basis, cohort, mode in itertools.product((*BASES, "elapsed"), COHORTS, MODES):
        if basis != "elapsed" or cohort != "recurring":
            yield {"basis": basis, "cohort": cohort, "mode": mode}


def tables_of(seed):
    """Some of the variants, so that all seeds together have each of them more than once; by name."""
    rng = random.Random(seed)
    variants = list(retentions())
    tables = {}
    for i in range(OF_A_SEED):
        table = dict(variants[(seed * OF_A_SEED + i) % len(variants)])
        table.update({"kind": "retention", "start": rng.choice(("starts", "big")),
                      "return": rng.choice(("active", "buyers")), "periods": rng.randint(1, 12),
                      "percent": rng.choice(("start", "previous")), "match": "start",
                      "last": rng.choice((LAST[table["basis"]], 3, 60)), "by": []})
        if table["mode"] == "bracket":
            bounds = sorted(rng.sample(range(14), 3))
            table["brackets"] = [(0, bounds[2]), (bounds[0], bounds[1]), (bounds[1], bounds[2])]
        if table["cohort"] != "first_ever":
            table["by"] = rng.choice(([], ["channel"], ["channel", "city"]))
            if table["by"]:
                table["match"] = rng.choice(("start", "both"))
        tables[f"r{i}"] = table
    for i, basis in enumerate(rng.sample(BASES, 2)):
        tables[f"l{i}"] = {"kind": "lifecycle", "of": rng.choice(("active", "buyers")), "basis": basis,
                           "last": rng.choice((LAST[basis], 7)), "by": rng.choice(([], ["channel"]))}
    for i in range(2):
        basis, over = sorted(rng.sample(BASES, 2), key=BASES.index)
        tables[f"i{i}"] = {"kind": "active_intervals", "of": "active", "basis": basis, "over": over,
                           "at_least": rng.choice((1, 2, 3)), "last": LAST[over],
                           "by": rng.choice(([], ["channel"]))}
    return tables


def definition_of(table):
    keys = {"retention": ("start", "return", "basis", "cohort", "mode", "percent", "last", "by"),
            "lifecycle": ("of", "basis", "last", "by"),
            "active_intervals": ("of", "basis", "over", "at_least", "last", "by")}[table["kind"]]
    definition = {key: table[key] for key in keys if table[key] != []}
    if table["kind"] == "retention":
        if table["mode"] == "bracket":
            definition["brackets"] = [list(b) for b in table["brackets"]]
        else:
            definition["periods"] = table["periods"]
        if table["by"]:
            definition["match"] = table["match"]
    return {table["kind"]: definition}


def settings_of(tables, zone, week_start=0):
    return configs.merged({
        "kafka": {"brokers": "localhost:1", "topics": ["events"], "group": "tables"},
        "redis": {"url": "redis://localhost:1"},
        "timezone": zone,
        "week_start": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
                       "sunday")[week_start],
        "measures": {name: {"agg": "users", "where": where} for name, where in WHERE.items()},
        "dimensions": {"channel": {}, "city": {}},
        "campaigns": [{"id": "any", "start": "2026-11-01", "end": "2026-11-02"}],
    }, {"tables": {name: definition_of(table) for name, table in tables.items()}})


class Tables(ProcessCase):
    def replay(self, settings, events, *arguments):
        directory = self.directory()
        daemon.directory_for(settings, directory)
        lines = "".join(json.dumps({**e, "time": e["time"] // 1000}) + "\n" for e in events)
        done = daemon.run("replay", "-c", os.path.join(directory, "kpid.yaml"), "-o", "json",
                          *arguments, write(directory, "events.ndjson", lines))
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return json.loads(done.stdout)["tables"]

    def check_retention(self, table, entries, judge, group):
        entry, = entries or [{"cohorts": [], "means": []}]
        shares = {}
        cohorts = []
        for cohort in entry["cohorts"]:
            cells, previous = [], cohort["size"]
            for cell in cohort["cells"]:
                of = previous if table["percent"] == "previous" else cohort["size"]
                previous = cell["users"]
                share = cell.pop("share")
                if of:
                    self.assertAlmostEqual(share, cell["users"] / of, delta=1e-12)
                    if cell["mature"]:
                        shares.setdefault((cell["n"], cell.get("to")), []).append((cell["users"], of))
                else:
                    self.assertIsNone(share)
                cells.append(cell)
            cohorts.append({**cohort, "cells": cells})
        self.assertEqual(cohorts, judge.retention(table, group))
        means = {(m["n"], m.get("to")): m for m in entry["means"]}
        self.assertEqual(set(means), set(shares))
        for key, parts in shares.items():
            self.assertEqual(means[key]["cohorts"], len(parts))
            self.assertAlmostEqual(means[key]["weighted"],
                                   sum(u for u, _ in parts) / sum(o for _, o in parts), delta=1e-12)
            self.assertAlmostEqual(means[key]["simple"], sum(u / o for u, o in parts) / len(parts),
                                   delta=1e-12)

    def check_group(self, name, table, entries, judge, group):
        with self.subTest(table=name, group=group, definition=definition_of(table)):
            if table["kind"] == "retention":
                self.check_retention(table, entries, judge, group)
            elif table["kind"] == "lifecycle":
                entry, = entries or [{"periods": []}]
                self.assertEqual(entry["periods"], judge.lifecycle(table, group))
            else:
                got = {e["start"]: e["counts"] for e in entries}
                self.assertEqual(got, judge.intervals(table, group))

    def check(self, tables, got, judge):
        """Every group of every table, and no other."""
        for name, table in tables.items():
            mine = [e for e in got if e["table"] == name]
            self.assertTrue(all(e["kind"] == table["kind"] and e["basis"] == table["basis"]
                                for e in mine))
            groups = [{}] + (judge.groups(table["by"]) if table["by"] else [])
            for group in groups:
                self.check_group(name, table, [e for e in mine if e.get("by", {}) == group], judge,
                                 group)
            self.assertEqual([e for e in mine if e.get("by", {}) not in groups], [])

    def check_seed(self, seed):
        zone, week_start = ZONES[seed % len(ZONES)]
        tables = tables_of(seed)
        rng = random.Random(seed * 7)
        events = stream(seed, zone, DAYS[rng.choice([t["basis"] for t in tables.values()])],
                        copies=seed % 2 == 0)
        if seed % 2:
            rng.shuffle(events)  # the order of arrival means nothing
        judge = Oracle(events, Calendar(zone, week_start))
        got = self.replay(settings_of(tables, zone, week_start), events, "--shards",
                          (1, 4, 16)[seed // 2 % 3])
        self.check(tables, got, judge)

    def test_all_variants_are_tried(self):
        tried = [(t["basis"], t["cohort"], t["mode"]) for seed in SEEDS
                 for t in tables_of(seed).values() if t["kind"] == "retention"]
        self.assertEqual(set(tried), {tuple(v.values()) for v in retentions()})


def _seed_test(seed):
    def test(self):
        self.check_seed(seed)

    test.__doc__ = f"The tables of seed {seed} equal the oracle's."
    return test


for _seed in SEEDS:
    setattr(Tables, f"test_oracle_seed_{_seed:02}", _seed_test(_seed))
