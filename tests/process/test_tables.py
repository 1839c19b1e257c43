"""Tables of `kpid replay` equal the oracle's SQL, for every mode, cohort and basis that is offered,
whatever the number of shards and the order of arrival; those of a running kpid do, too. What retained()
says of the users of one period is what a table says of that cohort."""

import contextlib
import datetime
import itertools
import json
import os
import random
import time

from support import config as configs
from support import daemon
from support.case import ProcessCase, write
from support.tables_oracle import (BASES, COHORTS, ERROR, EXACT, LAST, MODES, SESSIONS, WHERE, Calendar,
                                   Oracle, stream)

ZONES = (("Asia/Shanghai", 0), ("Europe/Berlin", 6), ("America/New_York", 2))
SEEDS = range(1, 25)
OF_A_SEED = 10  # retention tables
TRAILING = {"hour": 24, "day": 30, "week": 12, "month": 6, "quarter": 4}  # at most
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
    for i, basis in enumerate(rng.sample(list(TRAILING), 2)):
        tables[f"t{i}"] = {"kind": "active_intervals", "of": "active", "basis": basis,
                           "trailing": rng.randint(1, TRAILING[basis]), "at_least": rng.choice((1, 1, 2)),
                           "last": rng.choice((LAST[basis], 3)), "by": rng.choice(([], ["channel"]))}
    for i, basis in enumerate(rng.sample(BASES, 2)):
        tables[f"s{i}"] = {"kind": "sessions", "of": "lengths", "users": "visitors", "bounced": "short",
                           "basis": basis, "last": rng.choice((LAST[basis], 3)),
                           "by": rng.choice(([], ["channel"], ["channel", "city"]))}
    return tables


def definition_of(table):
    keys = {"retention": ("start", "return", "basis", "cohort", "mode", "percent", "last", "by"),
            "lifecycle": ("of", "basis", "last", "by"),
            "active_intervals": ("of", "basis", "over", "trailing", "at_least", "last", "by"),
            "sessions": ("of", "users", "bounced", "basis", "last", "by")}[table["kind"]]
    definition = {key: table[key] for key in keys if table.get(key, []) != []}
    if table["kind"] == "retention":
        if table["mode"] == "bracket":
            definition["brackets"] = [list(b) for b in table["brackets"]]
        else:
            definition["periods"] = table["periods"]
        if table["by"]:
            definition["match"] = table["match"]
    return {table["kind"]: definition}


def kpis_of(tables):
    """What tables of retention tell, as KPIs: by name the table and the cell."""
    found = {}
    for name, table in tables.items():
        what = "retained({start}, {return}, {basis}, mode={mode}, cohort={cohort}".format(**table)
        periods = ["from={}, to={}".format(*b) for b in table["brackets"]] if table["mode"] == "bracket" else \
            [None] + [f"at={n}" for n in range(1, table["periods"] + 1)]
        found.update({f"{name}_{i}": (name, i, f"total({what}, {p}))") for i, p in enumerate(periods) if p})
    return found


def settings_of(tables, zone, week_start=0):
    return configs.merged({
        "kafka": {"brokers": "localhost:1", "topics": ["events"], "group": "tables"},
        "redis": {"url": "redis://localhost:1"},
        "timezone": zone,
        "week_start": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
                       "sunday")[week_start],
        "measures": {**{name: {"agg": "users", "where": where} for name, where in WHERE.items()},
                     **SESSIONS},
        "dimensions": {"channel": {}, "city": {}},
        "campaigns": [{"id": "any", "start": "2026-11-01", "end": "2026-11-02"}],
    }, {"tables": {name: definition_of(table) for name, table in tables.items()}})


class Checks(ProcessCase):
    def replay(self, settings, events, *arguments):
        directory = self.directory()
        daemon.directory_for(settings, directory)
        lines = "".join(json.dumps({**e, "time": e["time"] // 1000}) + "\n" for e in events)
        done = daemon.run("replay", "-c", os.path.join(directory, "kpid.yaml"), "-o", "json",
                          *arguments, write(directory, "events.ndjson", lines))
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return json.loads(done.stdout)

    def tried(self, **what):
        return self.subTest(**what)

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

    def check_sessions(self, got, want):
        """Exact up to 1,000 lengths, else within 1 %, and so it says."""
        self.assertEqual(len(got), len(want))
        for period, right in zip(got, want):
            error = ERROR if right["sessions"] > EXACT else 0
            self.assertEqual(period.pop("error", 0), error)
            for key in ("median_seconds", "p90_seconds"):
                value, exact = period.pop(key), right.pop(key)
                self.assertLessEqual(abs(value - float(exact)), error * float(exact), key)
            self.assertAlmostEqual(period.pop("mean_seconds"), float(right.pop("mean_seconds")), delta=1e-9)
            self.assertAlmostEqual(period.pop("bounce_rate"), right["bounced"] / right["sessions"],
                                   delta=1e-12)
            self.assertEqual(period, right)

    def check_group(self, name, table, entries, judge, group):
        with self.tried(table=name, group=group, definition=definition_of(table)):
            if table["kind"] == "retention":
                self.check_retention(table, entries, judge, group)
            elif table["kind"] == "lifecycle":
                entry, = entries or [{"periods": []}]
                self.assertEqual(entry["periods"], judge.lifecycle(table, group))
            elif table["kind"] == "sessions":
                entry, = entries or [{"periods": []}]
                self.check_sessions(entry["periods"], judge.sessions(table, group))
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


class Replay(Checks):
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
                          (1, 4, 16)[seed // 2 % 3])["tables"]
        self.check(tables, got, judge)

    def test_more_sessions_than_are_kept_one_by_one(self):
        """Some periods have them all, others have buckets, and shards both."""
        zone = "Europe/Berlin"
        tables = {basis: {"kind": "sessions", "of": "lengths", "users": "visitors", "bounced": "short",
                          "basis": basis, "last": LAST[basis], "by": ["city"]}
                  for basis in ("hour", "day", "week", "month")}
        events = stream(51, zone, 30, n_users=300, n_events=14000)
        judge = Oracle(events, Calendar(zone))
        for shards in (1, 8):
            self.check(tables, self.replay(settings_of(tables, zone), events, "--shards", shards)["tables"],
                       judge)
        sizes = [p["sessions"] for t in tables.values() for p in judge.sessions(t, {})]
        self.assertTrue(min(sizes) < EXACT < max(sizes))

    def check_values(self, tables, document):
        """What KPIs say of each period is what tables say of its cohort. Returns the tables that told."""
        values = {(e["kpi"], e["scope"]["kind"], e["scope"]["start"], json.dumps(e.get("by"))): e
                  for e in document["kpis"]}
        told = set()
        for kpi, (name, i, formula) in kpis_of(tables).items():
            for entry, cohort in ((e, c) for e in document["tables"] if e["table"] == name for c in e["cohorts"]):
                value = values[kpi, entry["basis"], cohort["start"], json.dumps(entry.get("by"))]
                cell = cohort["cells"][i] if i < len(cohort["cells"]) else {"mature": False}
                with self.subTest(formula, by=entry.get("by"), start=cohort["start"]):
                    if cell["mature"]:
                        self.assertEqual((value["state"], value["numerator"], value["denominator"]),
                                         ("ok", cell["users"], cohort["size"]))
                        told.add(name)
                    else:
                        self.assertEqual((value["state"], value["complete"]), ("no_data", 0))
        return told

    def test_retained_says_what_tables_say(self):
        """In every mode, of every group, by any number of shards; mature where they are."""
        tables = {f"{basis}_{mode}_{cohort}": {
            "kind": "retention", "start": "starts", "return": "active", "basis": basis, "mode": mode,
            "cohort": cohort, "percent": "start", "periods": 3, "last": 60, "match": "start",
            "brackets": [(0, 2), (1, 2), (2, 4)], "by": ["channel"]}
            for basis, mode, cohort in itertools.product(("day", "week", "month"), MODES,
                                                         ("first_time", "recurring"))}
        kpis = {name: {"formula": formula, "unit": "ratio", "by": "channel"}
                for name, (_table, _cell, formula) in kpis_of(tables).items()}
        for seed, (zone, week_start), shards in zip((61, 62, 63), ZONES, (1, 4, 16)):
            events = stream(seed, zone, 60)
            random.Random(seed).shuffle(events)
            settings = configs.merged(settings_of(tables, zone, week_start), {
                "grains": ["day", "week", "month"], "kpis": kpis,
                "campaigns": [{"id": "any", "start": "2026-08-31", "end": "2026-12-01"}]})
            document = self.replay(settings, events, "--shards", shards)
            self.assertEqual(self.check_values(tables, document), set(tables))

    def test_what_formulas_make_of_retained(self):
        """Percent of the day before, and simple means over days, are those of tables."""
        table = {"kind": "retention", "start": "starts", "return": "active", "basis": "day", "mode": "unbounded",
                 "cohort": "first_time", "periods": 3, "last": 60, "match": "start", "by": []}
        tables = {percent: {**table, "percent": percent} for percent in ("start", "previous")}
        at = {n: f"retained(starts, active, day, {n}, mode=unbounded)" for n in (1, 2, 3)}
        kpis = {f"{what}_{n}": {"formula": formula, "unit": "ratio"} for n in (2, 3) for what, formula in (
            ("previous", f"total(mature({at[n]} / {at[n - 1]}, {n}))"),
            ("start", f"trailing_mean(total({at[n]}), 59)"))}
        for seed, (zone, week_start), shards in zip((71, 72, 73), ZONES, (1, 4, 16)):
            document = self.replay(configs.merged(settings_of(tables, zone, week_start), {
                "kpis": kpis, "rolling": ["1d"], "campaigns": [
                    {"id": "any", "start": "2026-08-31", "end": "2026-12-01"}]}),
                stream(seed, zone, 55), "--shards", shards)
            means = {e["table"]: e["means"] for e in document["tables"]}
            values = {(e["kpi"], e["scope"]["kind"]): e["value"] for e in document["kpis"]}
            for n in (2, 3):
                self.assertAlmostEqual(values[f"previous_{n}", "campaign"], means["previous"][n]["weighted"],
                                       delta=1e-12)
                self.assertAlmostEqual(values[f"start_{n}", "rolling"], means["start"][n]["simple"], delta=1e-12)

    def test_all_variants_are_tried(self):
        tried = [(t["basis"], t["cohort"], t["mode"]) for seed in SEEDS
                 for t in tables_of(seed).values() if t["kind"] == "retention"]
        self.assertEqual(set(tried), {tuple(v.values()) for v in retentions()})


class Daemon(Checks):
    """Answers of a running kpid: by two instances, after a restart, under new definitions."""
    def tried(self, **what):
        return contextlib.nullcontext()  # the next look may find it right

    ZONE = "Asia/Shanghai"
    TABLES = {
        "came_back": {"kind": "retention", "start": "starts", "return": "active", "basis": "day",
                      "cohort": "first_time", "mode": "classic", "percent": "start", "periods": 5,
                      "last": 30, "match": "start", "by": ["channel"]},
        "first": {"kind": "retention", "start": "big", "return": "buyers", "basis": "elapsed",
                  "cohort": "first_ever", "mode": "unbounded", "percent": "start", "periods": 5,
                  "last": 30, "match": "start", "by": []},
        "life": {"kind": "lifecycle", "of": "active", "basis": "day", "last": 30, "by": []},
        "often": {"kind": "active_intervals", "of": "active", "basis": "day", "over": "week",
                  "at_least": 2, "last": 8, "by": ["channel"]},
        "dwell": {"kind": "sessions", "of": "lengths", "users": "visitors", "bounced": "short",
                  "basis": "day", "last": 30, "by": ["channel"]},
        "l7": {"kind": "active_intervals", "of": "active", "basis": "day", "trailing": 7,
               "at_least": 1, "last": 15, "by": ["channel"]},
    }

    def setUp(self):
        super().setUp()
        self.home = self.directory()
        end = int(time.time()) // 3600 * 3600 - 7200
        self.events = stream(1, self.ZONE, 20, n_events=600, end=end)

    def start(self):
        self.topic = self.cluster().create_topic(partitions=4)
        self.app = self.kpid(configs.merged(
            settings_of(self.TABLES, self.ZONE),
            self.settings(self.cluster(), self.topic, self.redis(), [])), directory=self.home)
        self.app.wait_ready()

    def produce_events(self, events):
        self.cluster().produce(self.topic, [
            (e["user"].encode(), json.dumps({**e, "time": e["time"] // 1000}).encode(),
             e["time"] // 1000) for e in events])

    def table(self, app, name, query="by=*"):
        answer = app.get(f"/api/v1/tables/{name}?{query}")
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def check_document(self, name, table, document):
        as_of = datetime.datetime.fromisoformat(document["as_of"].replace("Z", "+00:00"))
        judge = Oracle(self.events, Calendar(self.ZONE), int(as_of.timestamp() * 1e6))
        self.check({name: table}, document["tables"], judge)

    def expect(self, *apps):
        """Every table of every instance becomes that of the oracle, as of what it says."""
        def right(app):
            for name, table in self.TABLES.items():
                document = self.table(app, name)
                try:
                    self.check_document(name, table, document)
                except AssertionError as error:
                    self.wrong = error
                    return False
            return True

        for app in apps:
            try:
                app.wait(lambda app=app: right(app), 60, "tables are those of the oracle")
            except AssertionError:
                raise self.wrong from None

    def test_two_instances_and_a_restart(self):
        self.start()
        self.produce_events(self.events[:300])
        other = self.kpid(self.app.settings, directory=self.home)
        other.wait_ready()
        self.app.wait(lambda: len(self.app.shards("shard")) == 2, 60, "each has two shards")
        self.produce_events(self.events[300:])
        self.expect(self.app, other)
        other.stop()
        self.app.restart(kill=True).wait_ready()
        self.expect(self.app)

    def test_new_definitions(self):
        """What a table is made of stays over a reload; another table of the same measures has it all."""
        self.start()
        self.produce_events(self.events)
        self.expect(self.app)
        more = {"more": {**self.TABLES["came_back"], "mode": "every", "periods": 3}}
        self.TABLES = {**self.TABLES, **more}
        self.app.reload(tables={name: definition_of(table) for name, table in more.items()})
        self.app.wait(lambda: self.app.get("/api/v1/tables/more").status == 200, 60,
                      "the new table is there")
        self.expect(self.app)

    def test_complete_once_every_shard_has_answered(self):
        """New answers come shard by shard after a reload: one that says it is complete is all of them."""
        def complete(name):
            answer = self.app.get(f"/api/v1/tables/{name}?by=*")
            return answer.status == 200 and answer.json()["complete"] and answer.json()

        self.start()
        self.produce_events(self.events)
        self.expect(self.app)
        for periods in (2, 3, 4):
            table = {**self.TABLES["came_back"], "periods": periods}
            name = f"periods_{periods}"
            self.app.reload(tables={name: definition_of(table)})
            document = self.app.wait(lambda name=name: complete(name), 60, "the table is complete")
            self.check_document(name, table, document)

    def test_a_table_says_from_when_it_counts(self):
        """A new measure has missed what was there before: nothing of it is mature, and it says so. So
        has a table of old ones that looks for the first event ever of each user."""
        self.start()
        self.produce_events(self.events)
        self.expect(self.app)
        self.app.reload(measures={"late": {"agg": "users", "where": 'type == "visit"'}},
                        tables={"late": {"lifecycle": {"of": "late", "basis": "day"}},
                                "late_7": {"active_days": {"of": "late", "trailing": 7}},
                                "ever": definition_of({**self.TABLES["first"], "start": "buyers"})})
        for name in "late", "late_7", "ever":  # also while they are empty
            entry, = self.app.wait(lambda name=name: self.app.get(f"/api/v1/tables/{name}").status == 200 and
                                   self.table(self.app, name, "")["tables"], 60, "it says from when it counts")
            self.assertIn("counts_from", entry)
            self.assertEqual([entry.get(key, []) for key in ("cohorts", "means", "periods", "counts")], [[]] * 4)
        self.produce_events([{**e, "id": e["id"] + "-again", "type": "visit"}
                             for e in self.events[-50:]])
        self.produce_events([{**self.events[-1], "id": "new", "user": "new", "type": "purchase"}])
        self.app.wait_caught_up(len(self.events) + 51)
        for name, of in ("late", "periods"), ("late_7", "counts"), ("ever", "cohorts"):
            self.app.wait(lambda name=name, of=of: self.table(self.app, name)["tables"][0][of], 60,
                          "it has counted")
        late, = self.table(self.app, "late")["tables"]
        self.assertIn("counts_from", late)
        self.assertFalse(any(period["mature"] for period in late["periods"]))
        for entry in self.table(self.app, "late_7")["tables"]:
            self.assertEqual((entry["counts_from"], entry["mature"]), (late["counts_from"], False))
        life, = self.table(self.app, "life")["tables"]
        self.assertNotIn("counts_from", life)
        ever, = self.table(self.app, "ever")["tables"]
        self.assertIn("counts_from", ever)
        self.assertFalse(any(cell["mature"] for cohort in ever["cohorts"] for cell in cohort["cells"]))
        first, = self.table(self.app, "first")["tables"]
        self.assertNotIn("counts_from", first)

    def test_what_is_asked_for(self):
        """from and to, by, and what is not there."""
        self.start()
        self.produce_events(self.events)
        self.expect(self.app)
        whole, = self.table(self.app, "life", "")["tables"]
        starts = [period["start"] for period in whole["periods"]]
        self.assertGreater(len(starts), 10)
        some, = self.table(self.app, "life", f"from={starts[3][:10]}&to={starts[7][:10]}")["tables"]
        self.assertEqual(some["periods"], whole["periods"][3:7])
        moment = starts[5].replace("+", "%2B")
        some, = self.table(self.app, "life", f"from={moment}")["tables"]
        self.assertEqual(some["periods"], whole["periods"][5:])
        days = self.table(self.app, "l7", "")["tables"]
        self.assertEqual(len(days), 15)
        of_that_day = f"from={days[5]['end'][:10]}&to={days[6]['end'][:10]}"  # the last of its seven
        self.assertEqual(self.table(self.app, "l7", of_that_day)["tables"], days[6:7])
        self.assertTrue(all("by" in e for e in self.table(self.app, "came_back", "by=channel")["tables"]))
        self.assertFalse(any("by" in e for e in self.table(self.app, "came_back", "")["tables"]))
        plan = self.app.get("/api/v1/plan").json()
        self.assertEqual([t["name"] for t in plan["tables"]], list(self.TABLES))
        for path, status, code in (("none", 404, "unknown_name"), ("life/", 404, "unknown_name"),
                                   ("", 404, "not_found"), ("life?by=channel", 404, "unknown_breakdown"),
                                   ("came_back?by=city", 404, "unknown_breakdown"),
                                   ("life?from=yesterday", 400, "bad_time"),
                                   ("life?to=2026-02-30", 400, "bad_time"),
                                   ("life?until=2026-11-01", 400, "unknown_parameter")):
            with self.subTest(path):
                answer = self.app.get("/api/v1/tables/" + path)
                self.assertEqual((answer.status, answer.json()["error"]["code"]), (status, code))


def _seed_test(seed):
    def test(self):
        self.check_seed(seed)

    test.__doc__ = f"The tables of seed {seed} equal the oracle's."
    return test


for _seed in SEEDS:
    setattr(Replay, f"test_oracle_seed_{_seed:02}", _seed_test(_seed))
