"""Grains in the running daemon: every scope equals the oracle, over a restart; the API's filter `scope`
names what it says; metrics show the last whole window and the present one of each sort."""

import datetime

from support import stream
from support.case import ProcessCase
from support.generate import generate
from support import daemon, oracle

GRAINS = ["day", "week", "month", "quarter", "year", "hour", "5m"]
MINUTE = 60_000_000


def utc(at):
    return datetime.datetime.fromtimestamp(at / 1e6, datetime.timezone.utc)


class Grains(ProcessCase):
    def test_everything_of_one_stream(self):
        journal = generate(31, anchor=datetime.datetime.now(datetime.timezone.utc).date(), n_users=300)
        app = self.stage(journal.campaigns, grains=GRAINS)
        self.cluster().produce(self.topic, journal.messages())
        app.wait_caught_up(len(journal.records))
        judge = oracle.Oracle(journal, GRAINS)
        daemon.wait_view([app], lambda d: "\n".join(oracle.differences(d, judge)), 60)
        app.restart()
        app.wait_ready().wait_caught_up()
        daemon.wait_view([app], lambda d: "\n".join(oracle.differences(d, judge)), 60)

    def test_names_of_scopes(self):
        """UTC has no summer time, so a name is the clock's."""
        campaign = stream.campaign_now()
        app = self.stage([campaign], grains=GRAINS, rolling=["7d", "4w", "24h", "6x5m"])
        at = stream.now_us() - 6 * MINUTE
        records = stream.crowd(campaign.id, 20, 5, at=at)
        self.produce(records)
        app.wait_caught_up(len(records))
        when = utc(at)
        window = when.replace(minute=when.minute // 5 * 5)
        monday = when - datetime.timedelta(days=when.weekday())
        names = {
            f"day:{when:%Y-%m-%d}": "day",
            f"week:{monday:%Y-%m-%d}": "week",
            f"month:{when:%Y-%m}": "month",
            f"quarter:{when:%Y}-Q{(when.month + 2) // 3}": "quarter",
            f"year:{when:%Y}": "year",
            f"hour:{when:%Y-%m-%dT%H}": "hour",
            f"5m:{window:%Y-%m-%dT%H:%M}": "minutes",
            "rolling:7d": "rolling",
            "rolling:4w": "rolling",
            "rolling:24h": "rolling",
            "rolling:6x5m": "rolling",
            "campaign": "campaign",
        }

        def wrong(_document):
            for name, kind in names.items():
                document = app.kpis(f"?kpi=participation_rate&scope={name}")
                entries = [(e["scope"]["kind"], e["numerator"], e["denominator"])
                           for e in document["kpis"]]
                if entries != [(kind, 5, 20)]:
                    return f"{name}: {entries}"
            return ""

        daemon.wait_view([app], wrong, 30)
        for sort, least in (("5m", 2), ("hour", 1), ("week", 2), ("rolling", 4), ("minutes", 2)):
            entries = app.kpis(f"?kpi=participation_rate&scope={sort}")["kpis"]
            self.assertGreaterEqual(len(entries), least, sort)
        for name in ("10m", "fortnight", "rolling:8d", f"hour:{when:%Y-%m-%d}", "5m:2026-01-01T00:01"):
            self.assertEqual(app.get(f"/api/v1/kpis?scope={name}").status, 404, name)
        scopes = self.scopes_of_metrics(app)
        self.assertLessEqual({"this_week", "this_month", "this_year", "rolling:24h", "rolling:6x5m"},
                             scopes)
        # Of windows, metrics have the last two; the one of before may be older by now.
        self.produce(stream.crowd(campaign.id, 20, 5))
        app.wait(lambda: {"5m", "this_5m"} & self.scopes_of_metrics(app), 30, "a window is in metrics")

    def scopes_of_metrics(self, app):
        return {dict(labels)["scope"] for labels in app.metrics().select("kpid_kpi_denominator")}
