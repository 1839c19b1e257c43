"""The shipped catalogue: every KPI of it is what SQL makes of the same events, whatever their order, in zones
with summer time, for several campaigns; and nothing of it is without a title in both languages."""

import datetime
import json
import os

from support import catalogue_oracle, daemon
from support.campaigns import configuration
from support.case import ProcessCase, write
from support.catalogue_stream import END, Stream

DAY = 86_400_000_000
SEEDS = range(1, 21)
# Those of cohorts in retained() are the oracle's of test_replay.
ELSEWHERE = {"retention_d1", "retention_d7", "retention_m3"}


class Catalogue(ProcessCase):
    def replay(self, stream, *arguments, later=0):
        """later: days after the stream."""
        at = datetime.datetime.combine(END, datetime.time()) + datetime.timedelta(days=later)
        directory = self.directory()
        daemon.directory_for(
            configuration(stream.campaigns, catalogue="all", grains=["day", "month"]), directory)
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
        self.assertEqual(kpis, set(catalogue_oracle.KPIS) | ELSEWHERE)
        for kpi in kpis:
            self.assertIn((kpi, "ok"), states, "of each there is a value somewhere")

    def test_shards_add_up(self):
        stream = Stream(100)
        one, five = (self.replay(stream, "--shards", n)["kpis"] for n in (1, 5))
        self.assertEqual(one, five)
