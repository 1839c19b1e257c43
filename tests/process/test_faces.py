"""What other programs and people see: metrics that promtool and the OpenMetrics parser accept, JSON of
the shapes that were promised, health and readiness, help, and a log without secrets."""

import gzip
import json
import os
import re
import shutil
import subprocess

from support import daemon, oracle, stream
from support.case import ProcessCase
from support.kafka import Unavailable
from support.metrics import parse_text
from support.receiver import SECRET

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PROMETHEUS_2_42 = (OPENMETRICS + ",application/openmetrics-text;version=0.0.1;q=0.75,"
                   "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")


class Faces(ProcessCase):
    """One instance for all of them, with numbers of every unit and a campaign whose name needs escaping."""

    NAME = 'c "1" \\ 双十一'

    shared = None

    @classmethod
    def tearDownClass(cls):
        if cls.shared:
            cls.shared.doCleanups()
            cls.shared = None

    def setUp(self):
        super().setUp()
        if not Faces.shared:
            case = Faces("test_root_links")
            ProcessCase.setUp(case)
            try:
                case.begin()
            except BaseException:
                case.on_failure()
                case.doCleanups()
                raise
            Faces.shared = case
        self.instances, self.parts = self.shared.instances, self.shared.parts
        self.app = self.shared.app
        self.app.alive()

    def begin(self):
        secret = os.path.join(self.directory(), "secret")
        with open(secret, "w", encoding="ascii") as f:
            f.write(SECRET + "\n")
        os.chmod(secret, 0o600)
        campaign = stream.campaign_now(self.NAME)
        target = {"kpi": "participation_rate", "value": "65%", "for": "0s", "min_sample": 1}
        self.stage([campaign], campaigns=[dict(campaign.configuration(), targets=[target])],
                   dimensions={"channel": {}, "渠道": {"of": "channel", "values": 1}},
                   kpis={"purchasers": {"formula": "buyers", "unit": "count",
                                        "by": ["channel", ["channel", "渠道"]]}},
                   receivers=[{"name": "hook", "type": "webhook",
                               "url": "http://127.0.0.1:9/hook?token=t0ken-in-url",
                               "secret_file": secret, "allow": ["127.0.0.0/8"]}])
        self.records = stream.crowd(self.NAME, 200, 50, prefix="person-")
        self.records += [stream.record("purchase", "person-1", self.NAME, amount="9.50", channel="web"),
                         stream.record("purchase", "person-1", self.NAME, amount="1", channel="app"),
                         stream.record("spend", None, self.NAME, amount="4.20"),
                         stream.record("survey", "person-2", self.NAME, score=10)]
        self.produce(self.records)
        self.cluster().produce(self.topic, [(b"person-3", b'{"user":"person-3"', 1, 0)])
        self.assert_fraction(self.app, 50, 200)
        self.app.wait_caught_up(len(self.records) + 1)

    # Metrics.

    def test_promtool_accepts_the_metrics(self):
        if not shutil.which("promtool"):
            raise Unavailable("promtool is not installed")
        answer = self.app.get("/metrics")
        self.assertEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        done = subprocess.run(["promtool", "check", "metrics"], input=answer.body,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, ""))

    def test_openmetrics_parser_accepts_the_other_form(self):
        try:
            from prometheus_client.openmetrics import parser
        except ImportError:
            raise Unavailable("python3-prometheus-client is not installed") from None
        answer = self.app.get("/metrics", Accept=PROMETHEUS_2_42)
        self.assertEqual(answer.headers["content-type"],
                         "application/openmetrics-text; version=1.0.0; charset=utf-8")
        families = {f.name: f for f in parser.text_string_to_metric_families(answer.text)}
        self.assertIn("kpid_kpi_ratio", families)
        self.assertEqual(families["kpid_events"].type, "counter")
        samples = [s for f in families.values() for s in f.samples]
        self.assertGreater(len(samples), 50)

    def test_both_forms_have_the_same_series(self):
        def series(text):
            return {k for k in parse_text(text) if not k[0].startswith(("process_", "kpid_http"))}

        plain = series(self.app.get("/metrics").text)
        other = series(self.app.get("/metrics", Accept=OPENMETRICS).text)
        self.assertEqual(plain, other)

    def test_every_promised_family_is_there(self):
        names = {name for name, _labels in self.app.metrics()}
        for name in ("kpid_kpi_ratio", "kpid_kpi_multiple", "kpid_kpi_points", "kpid_kpi_numerator",
                     "kpid_kpi_denominator", "kpid_alert_state", "kpid_events_total",
                     "kpid_events_refused_total", "kpid_consumer_lag_records", "kpid_redis_up",
                     "kpid_build_info", "process_cpu_seconds_total",
                     "process_resident_memory_bytes", "kpid_config_last_reload_successful"):
            self.assertIn(name, names)
        self.assertTrue([n for n in names if n.startswith("kpid_checkpoint_")])

    def test_values_in_metrics(self):
        labels = {"kpi": "participation_rate", "campaign": self.NAME, "scope": "campaign"}
        metrics = self.app.metrics()
        self.assertEqual(metrics.one("kpid_kpi_ratio", **labels), 0.25)
        self.assertEqual(metrics.one("kpid_kpi_numerator", **labels), 50)
        self.assertEqual(metrics.one("kpid_kpi_denominator", **labels), 200)
        roi = {"kpi": "roi", "campaign": self.NAME, "scope": "campaign"}
        self.assertEqual(metrics.one("kpid_kpi_multiple", **roi), 2.5)
        self.assertEqual(metrics.one("kpid_events_refused_total", reason="json"), 1)

    def test_no_data_is_absent_and_counters_begin_at_zero(self):
        metrics = self.app.metrics()
        self.assertEqual(metrics.values("kpid_kpi_ratio", kpi="retention_m3", scope="campaign"), [])
        self.assertEqual(metrics.one("kpid_events_total", result="conflict"), 0)
        self.assertEqual(metrics.one("kpid_events_refused_total", reason="too_large"), 0)

    def test_gzip_head_and_etag(self):
        packed = self.app.get("/metrics", Accept_Encoding="gzip")
        self.assertEqual(packed.headers.get("content-encoding"), "gzip")
        parse_text(gzip.decompress(packed.body).decode())
        head = self.app.request("/metrics", method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        first = self.app.get("/api/v1/kpis")
        if "etag" in first.headers:
            again = self.app.get("/api/v1/kpis", If_None_Match=first.headers["etag"])
            self.assertIn(again.status, (200, 304))

    # JSON.

    def test_shape_of_kpis(self):
        answer = self.app.get("/api/v1/kpis")
        self.assertTrue(answer.headers["content-type"].startswith("application/json"))
        document = answer.json()
        oracle.as_of(document)
        self.assertIs(document["complete"], True)
        for entry in document["kpis"]:
            self.assertLessEqual({"kpi", "campaign", "scope", "unit", "state", "value", "numerator",
                                  "denominator", "complete", "definition"}, set(entry))
            self.assertIn(entry["state"], ("ok", "undefined", "no_data"))
            self.assertIn(entry["unit"], ("ratio", "count", "money", "duration", "points",
                                          "multiple"))
            self.assertLessEqual({"kind", "start", "end"}, set(entry["scope"]))
            self.assertTrue(0 <= entry["complete"] <= 1)
        roi = stream.find(document, "roi")
        self.assertEqual((roi["value"], float(roi["numerator"]), float(roi["denominator"])),
                         (2.5, 10.5, 4.2))
        self.assertIsInstance(roi["numerator"], str)

    def test_numbers_are_the_oracles(self):
        self.assert_oracle(self.app, stream.journal(self.shared.campaigns, self.shared.records))

    def test_filters(self):
        every = self.app.kpis()["kpis"]
        one = self.app.kpis("?kpi=nps&scope=campaign")["kpis"]
        self.assertEqual([(e["kpi"], e["scope"]["kind"]) for e in one], [("nps", "campaign")])
        self.assertEqual(self.app.get("/api/v1/kpis?campaign=nobody").status, 404)
        quoted = "?campaign=c%20%221%22%20%5C%20%E5%8F%8C%E5%8D%81%E4%B8%80"
        self.assertEqual(len(self.app.kpis(quoted)["kpis"]), len(every))

    def test_breakdowns(self):
        """by chooses: nothing, everything, or one breakdown, whose entries are those of everything."""
        plain = self.app.kpis("?kpi=purchasers&scope=campaign")["kpis"]
        self.assertEqual([e["numerator"] for e in plain], [1])
        self.assertFalse([e for e in self.app.kpis()["kpis"] if "by" in e])
        every = self.app.kpis("?kpi=purchasers&scope=campaign&by=*")["kpis"]
        self.assertEqual(every[:1], plain)
        self.assertEqual([(e["by"], e["numerator"]) for e in every[1:3]],
                         [({"channel": "app"}, 1), ({"channel": "web"}, 1)])
        one = self.app.kpis("?kpi=purchasers&scope=campaign&by=channel")["kpis"]
        self.assertEqual(one, every[1:3])
        both = self.app.kpis("?scope=campaign&by=%E6%B8%A0%E9%81%93,channel")["kpis"]
        self.assertEqual(both, every[3:])
        self.assertEqual(sorted(e["by"]["渠道"] for e in both), ["__other__", both[-1]["by"]["渠道"]])
        for by in ("city", "", "channel,", ",channel"):
            self.assertEqual(self.app.get(f"/api/v1/kpis?by={by}").status, 404, by)
        metrics = self.app.metrics()
        web = {"kpi": "purchasers", "campaign": self.NAME, "by_channel": "web"}
        for scope in ("campaign", "today"):
            self.assertEqual(metrics.values("kpid_kpi_count", scope=scope, **web), [1, 1])
            self.assertEqual(len(metrics.values("kpid_kpi_count", scope=scope,
                                                U__by___6e20__9053_="__other__", **web)) +
                             len(metrics.values("kpid_kpi_count", scope=scope,
                                                U__by___6e20__9053_="web", **web)), 1)

    def test_shape_of_status_and_alerts(self):
        self.app.wait(lambda: self.app.status()["view"]["leader"], 30, "it judges")
        status = self.app.status()
        self.assertEqual(len(status["shards"]), 4)
        for shard in status["shards"]:
            self.assertLessEqual({"shard", "lag", "unsaved", "epoch", "generation"}, set(shard))
        (alert,) = self.app.alerts()["alerts"]
        self.assertLessEqual({"campaign", "kpi", "status", "level", "since", "fingerprint"},
                             set(alert))

    def test_what_is_not_there(self):
        self.assertEqual(self.app.get("/api/v1/nothing").status, 404)
        self.assertEqual(self.app.request("/api/v1/kpis", method="POST", body=b"{}").status // 100, 4)

    def test_root_links(self):
        page = self.app.get("/")
        self.assertEqual(page.status, 200)
        self.assertTrue(page.headers["content-type"].startswith("text/html"))
        for path in ("/metrics", "/api/v1/kpis", "/api/v1/alerts", "/api/v1/status"):
            self.assertIn(path, page.text)

    def test_health(self):
        self.assertEqual(self.app.get("/-/healthy").status, 200)
        self.assertEqual(self.app.get("/-/ready").status, 200)

    def test_safe_headers(self):
        headers = self.app.get("/").headers
        self.assertEqual(headers.get("x-content-type-options"), "nosniff")
        self.assertIn("default-src", headers.get("content-security-policy", ""))

    # Command line and log.

    def test_status_command(self):
        url = f"http://127.0.0.1:{self.app.port}"
        done = daemon.run("status", "--url", url)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("shard", done.stdout)
        json.loads(daemon.run("status", "--url", url, "-o", "json").stdout)

    def test_the_log_holds_no_secret_and_no_user(self):
        log = self.app.logs()
        for word in ("person-", SECRET, SECRET.removeprefix("whsec_"), "t0ken-in-url"):
            self.assertNotIn(word, log)

    def test_the_log_is_logfmt_of_few_lines(self):
        lines = self.app.log().splitlines()
        pattern = re.compile(r'ts=\S+ level=(error|warning|notice|info|debug) msg=("[^"]*"|\S+)')
        for line in lines:
            self.assertRegex(line, pattern)
        self.assertLess(len(lines), 100, "none for an event")

    def test_no_other_endpoint_shows_the_secret(self):
        for path in ("/", "/metrics", "/api/v1/status", "/api/v1/alerts", "/api/v1/kpis"):
            body = self.app.get(path).text
            for word in (SECRET.removeprefix("whsec_"), "t0ken-in-url", "person-"):
                self.assertNotIn(word, body, path)
