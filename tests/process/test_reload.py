"""SIGHUP: a good configuration takes effect whole, a bad one changes nothing and is said; the state of
what has not changed stays."""

from support import stream
from support.case import ProcessCase


class Reload(ProcessCase):
    def begin(self):
        self.stage()
        self.produce(stream.crowd("c1", 8, 2) + stream.crowd("c2", 6, 3, "v"))
        self.assert_fraction(self.app, 2, 8)
        self.app.wait_caught_up()

    def succeeded(self):
        return self.app.metrics().one("kpid_config_last_reload_successful")

    def both(self):
        return [c.configuration() for c in (stream.campaign_now(), stream.campaign_now("c2"))]

    def test_a_new_campaign_has_its_numbers_from_before(self):
        """Cells are kept by campaign name: what came before it was defined is there."""
        self.begin()
        self.app.reload(campaigns=self.both())
        self.assert_fraction(self.app, 3, 6, campaign="c2")
        self.assert_fraction(self.app, 2, 8, campaign="c1")
        self.assertEqual(self.succeeded(), 1)

    def test_unchanged_measures_keep_their_state(self):
        self.begin()
        self.app.reload(
            measures={"sharers": {"agg": "users", "where": 'type == "share"'}},
            kpis={"share_rate": {"formula": "sharers / participants", "unit": "ratio"}})
        self.app.wait(lambda: any(e["kpi"] == "share_rate" for e in self.app.kpis()["kpis"]), 20,
                      "the new KPI is there")
        self.assert_fraction(self.app, 2, 8)
        self.produce([stream.record("share", "u0", "c1")])
        self.assert_fraction(self.app, 1, 2, kpi="share_rate")

    def test_unchanged_measures_keep_their_state_over_a_restart(self):
        self.begin()
        self.assertEqual(self.app.stop(), 0)
        self.app.settings["measures"] = {"sharers": {"agg": "users", "where": 'type == "share"'}}
        again = self.kpid(self.app.settings, directory=self.app.directory)
        again.wait_ready()
        self.assert_fraction(again, 2, 8)

    def test_a_bad_file_changes_nothing(self):
        self.begin()
        for text in ("campaigns: [", "timezone: Nowhere/Land\n", "",
                     "nosuch: 1\n"):
            before = self.app.log().count("level=error")
            self.app.rewrite(text)
            self.app.wait(lambda: self.app.log().count("level=error") > before, 20, "it says so")
            self.app.wait(lambda: self.succeeded() == 0, 20, "the metric says so")
            self.assert_fraction(self.app, 2, 8)
        self.produce(stream.crowd("c1", 2, 2, "w"))
        self.assert_fraction(self.app, 4, 10)
        self.app.reload(campaigns=self.both())
        self.app.wait(lambda: self.succeeded() == 1, 20, "a good one takes effect again")

    def test_what_cannot_be_reloaded_is_said(self):
        self.begin()
        self.app.reload(kafka={"group": "another-group"})
        self.app.wait(lambda: "kafka.group" in self.app.log(), 20, "it names the setting")
        self.assert_fraction(self.app, 2, 8)

    def test_many_reloads_under_load(self):
        self.begin()
        n = 0
        for i in range(20):
            self.app.reload(campaigns=self.both() if i % 2 else self.both()[:1])
            self.produce(stream.crowd("c1", 20, 10, f"l{i}-"))
            n += 20
        self.assert_fraction(self.app, 2 + n // 2, 8 + n, campaign="c1")
