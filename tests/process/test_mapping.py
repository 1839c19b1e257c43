"""Events as they come: topics of different shapes under mappings, CloudEvents in headers, amounts in
other currencies, a mapping changed while running, and what `kpid check --sample` says of events."""

import json
import os
from decimal import Decimal

from support import daemon, kafka, stream
from support.case import ProcessCase, write
from support.config import to_yaml

RATES = {"USD": {"2000-01-01": "7"}, "JPY": "0.05"}


def shop(event, order, user, amount, **more):
    """An order as a shop might tell of it."""
    document = {"事件": event, "order": {"no": order, "activity": "c1"}, "buyer": {"uid": user},
                "paid_at": stream.now_us() / 1000000 - 1, "total": {"amount": amount, **more}}
    return user.encode(), json.dumps(document, ensure_ascii=False).encode(), None


def shop_mapping(topic, **more):
    return {"topics": topic, "when": {"事件": ["下单", "退款", "浏览"]}, "id": "order.no",
            "source": {"value": "shop"},
            "type": {"path": "事件", "values": {"下单": "purchase", "退款": "refund"}, "other": "skip"},
            "user": "buyer.uid", "time": {"path": "paid_at", "unit": "s"},
            "currency": {"path": "total.currency", "absent": "CNY"},
            "fields": {"amount": {"path": "total.amount", "negative": {"purchase": "refund"}},
                       "campaign": "order.activity"}, **more}


def cloudevent(number, kind, user):
    """In binary mode."""
    headers = [("ce_specversion", b"1.0"), ("ce_id", str(number).encode()), ("ce_source", b"/app"),
               ("ce_type", kind.encode()), ("ce_subject", user.encode()),
               ("content-type", b"application/json")]
    return user.encode(), b'{"campaign":"c1"}', stream.now_us() // 1000, None, headers


def money(document, kpi):
    return Decimal(stream.fraction(document, kpi)[0] or "0")


DEFINED = {
    "measures": {"sales": {"agg": "sum(amount)", "where": 'type == "purchase"'},
                 "returns": {"agg": "sum(amount)", "where": 'type == "refund"'}},
    "kpis": {"gmv": {"formula": "sales", "unit": "money"},
             "returned": {"formula": "returns", "unit": "money"}},
}


class Mapping(ProcessCase):
    def begin(self, **mappings):
        cluster = self.cluster()
        self.orders, self.app_topic = cluster.create_topic("orders"), cluster.create_topic("app")
        self.dead = cluster.create_topic("dead", 1)
        mappings = mappings or {"shop": shop_mapping(self.orders),
                                "app": {"topics": self.app_topic, "preset": "cloudevents"}}
        self.app = self.kpid(self.settings(
            cluster, [self.orders, self.app_topic], self.redis(), [stream.campaign_now()],
            kafka={"dead_letter_topic": self.dead}, mappings=mappings, rates=RATES, **DEFINED))
        self.app.wait_ready()

    def send(self, topic, *records):
        now = stream.now_us() // 1000
        self.cluster().produce(topic, [(r[0], r[1], r[2] or now, *r[3:]) for r in records])

    def assert_money(self, kpi, value):
        self.app.wait(lambda: money(self.app.kpis(), kpi) == value, 30, f"{kpi} becomes {value}")

    def test_topics_of_two_shapes(self):
        self.begin()
        first = shop("下单", 1, "u1", "100.50")
        self.send(self.orders, first, first,
                  shop("下单", 2, "u2", 10, currency="USD"), shop("下单", 3, "u3", 100, currency="JPY"),
                  shop("下单", 4, "u1", -20.5), shop("退款", 5, "u2", "5"), shop("浏览", 6, "u2", 0))
        self.send(self.app_topic, *(cloudevent(i, "exposure", f"u{i}") for i in range(4)),
                  cloudevent(0, "exposure", "u0"), cloudevent(9, "participation", "u1"))
        self.assert_fraction(self.app, 1, 4)
        self.assert_money("gmv", Decimal("175.5"))
        self.assert_money("returned", Decimal("25.5"))
        metrics = self.app.metrics()
        self.assertEqual(metrics.sum("kpid_events_total", result="duplicate"), 2)
        self.assertEqual(metrics.sum("kpid_events_total", result="skipped"), 1)
        self.assertEqual(metrics.sum("kpid_events_total", result="refused"), 0)
        self.assertEqual(self.app.status()["currency"], "CNY")

    def test_what_no_mapping_is_for_is_a_dead_letter(self):
        self.begin()
        avro = [("content-type", b"application/cloudevents+avro")]
        self.send(self.orders, shop("取消", 1, "u1", 1), shop("下单", 2, "u1", 1, currency="EUR"))
        self.send(self.app_topic, (b"u", b'{"type":"exposure"}', None), (b"u", b"\x02", None, None, avro))
        letters = self.cluster().read_topic(self.dead, 4)
        self.assertEqual(sorted((kafka.origin(m)["reason"], kafka.origin(m)["topic"])
                                for m in letters),
                         sorted([("mapping", self.orders), ("currency", self.orders),
                                 ("mapping", self.app_topic), ("encoding", self.app_topic)]))

    def test_a_reload_takes_another_mapping(self):
        """What has been counted stays; what comes is read by the new one."""
        self.begin()
        self.send(self.orders, shop("下单", 1, "u1", 10), shop("退款", 2, "u1", 10))
        self.assert_money("returned", 10)
        self.app.reload(mappings={"shop": {"type": {"values": {"下单": "refund", "退款": None}}}},
                        measures={"again": {"agg": "count", "where": 'type == "refund"'}},
                        kpis={"again": {"formula": "again", "unit": "count"}})
        # A KPI of a new measure is there when all shards have gone over to the new configuration.
        self.app.wait(lambda: any(e["kpi"] == "again" for e in self.app.kpis()["kpis"]), 20,
                      "the new KPI is there")
        self.send(self.orders, shop("下单", 3, "u1", 5), shop("退款", 4, "u1", 7))
        self.assert_money("returned", 15)
        self.assert_money("gmv", 10)


class Files(ProcessCase):
    """Without a broker."""

    def files(self, mappings):
        directory = self.directory()
        config = {"mappings": mappings, "rates": RATES, "campaigns":
                  [stream.campaign_now().configuration()], **DEFINED}
        orders = [shop("下单", 1, "customer-with-a-name", 12.5)[1], shop("退款", 2, "u2", 2.5)[1],
                  '{"事件":"取消","grund":"keine \\u001b[31mLust"}'.encode(), b"nonsense"]
        return (write(directory, "kpid.yaml", to_yaml(config)),
                write(directory, "orders.ndjson", b"\n".join(orders) + b"\n"))

    def test_replay_reads_by_mappings(self):
        config, orders = self.files({"shop": shop_mapping("orders")})
        done = daemon.run("replay", "-c", config, "-o", "json", orders)
        self.assertEqual(done.returncode, os.EX_USAGE)
        self.assertIn("--topic is needed", done.stderr)
        done = daemon.run("replay", "-c", config, "-o", "json", "--topic", "orders", orders)
        self.assertEqual(money(json.loads(done.stdout), "gmv"), Decimal("12.5"))
        self.assertIn("refused mapping        1, first at", done.stderr)
        done = daemon.run("replay", "-c", config, "-o", "json", "--topic", "other", orders)
        self.assertIn("refused mapping        3, first at", done.stderr)

    def test_a_sample_shows_what_becomes_of_events(self):
        config, orders = self.files({"shop": shop_mapping("orders")})
        done = daemon.run("check", "-c", config, "--topic", "orders", "--sample", orders)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertTrue(any(line.endswith("4 lines: 2 events, 0 skipped, 2 refused") for line in lines))
        self.assertIn("mapping shop, events of type purchase: 1", lines)
        self.assertIn("mapping shop, events of type refund: 1", lines)
        rows = [line.split() for line in lines]
        self.assertIn(["type", "事件", "1", "text", "下单", "purchase"], rows)
        self.assertIn(["user", "buyer.uid", "1", "text", "cus…"], rows)
        self.assertIn(["amount", "total.amount", "1", "number", "12.5", "12.5"], rows)
        self.assertIn(["score", "score", "never"], rows)
        self.assertIn("in 1 messages that no mapping is for", lines)
        self.assertIn(["grund", "1", "text", "1", "keine", "?[31mLust"], rows)
        self.assertIn(["json", "1", f"{orders}:4"], rows)
        self.assertNotIn("customer-with", done.stdout)

    def test_a_sample_without_mappings_is_native(self):
        directory = self.directory()
        config = write(directory, "kpid.yaml", "timezone: UTC\n")
        done = daemon.run("check", "-c", config, "--sample", "-",
                          stdin='{"type":"a","time":1,"user":7,"a.b":{"":true}}\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line.split() for line in done.stdout.splitlines()]
        self.assertIn(["time", "time", "1", "number", "1", "1970-01-01T00:00:00.001Z"], rows)
        self.assertIn(['"a.b".""', "1", "bool", "1", "true"], rows)

    def test_a_sample_that_is_not_there(self):
        directory = self.directory()
        config = write(directory, "kpid.yaml", "timezone: UTC\n")
        done = daemon.run("check", "-c", config, "--sample", "/no/such/file")
        self.assertEqual(done.returncode, os.EX_NOINPUT)
        self.assertIn("/no/such/file: No such file", done.stderr)
