"""The harness itself: the oracle says what a person works out by hand, the generator makes everything
it promises, the parsers and the receiver notice what is wrong."""

import collections
import datetime
import decimal
import http.client
import json
import unittest

from support import config, metrics, oracle, receiver, stream
from support.bad import REASONS
from support.campaigns import Campaign, day_of, day_start, local_day
from support.generate import generate
from support.journal import Event, Journal, Record

HOUR, DAY = 3_600_000_000, 86_400_000_000


class Table(unittest.TestCase):
    """A campaign of three days in Shanghai, from 2026-03-01 to 2026-03-03."""

    def setUp(self):
        self.first = day_of(datetime.date(2026, 3, 1))
        self.campaign = Campaign("c", "Asia/Shanghai", self.first, self.first + 3)
        self.records = []
        self.n = 0

    def at(self, day, hour=12):
        return day_start("Asia/Shanghai", self.first + day) + int(hour * HOUR)

    def add(self, kind, user, day, hour=12, campaign="c", id=None, **fields):
        self.n += 1
        event = Event(id or f"e{self.n}", None, kind, user, self.at(day, hour), campaign, **fields)
        self.records.append(Record(None, None, event.time // 1000, event=event))

    def value(self, kpi, kind="campaign", start=0, end=3, today=40):
        judge = oracle.Oracle(Journal([self.campaign], self.records, 0))
        values = judge.values(self.at(today))
        key = oracle.Key("c", kpi, kind, self.at(start, 0), self.at(end, 0))
        return values[key]

    def check(self, value, state, numerator, denominator):
        self.assertEqual((value.state, value.numerator, value.denominator),
                         (state, numerator, denominator))

    def test_participation_counts_people_not_events(self):
        for user in "abcd":
            self.add("exposure", user, 0)
        for user in "aab":
            self.add("participation", user, 1)
        self.check(self.value("participation_rate"), "ok", 2, 4)
        self.assertEqual(self.value("participation_rate").value, 0.5)

    def test_participation_by_local_day(self):
        self.add("exposure", "a", 0, 0)       # midnight in Shanghai is 16:00 UTC of the day before
        self.add("exposure", "b", 0, 23.999)
        self.add("exposure", "c", 1, 0)
        self.check(self.value("participation_rate", "day", 0, 1), "ok", 0, 2)
        self.check(self.value("participation_rate", "day", 1, 2), "ok", 0, 1)

    def test_what_comes_before_or_after_is_not_in_the_campaign(self):
        self.add("exposure", "a", -1)
        self.add("exposure", "b", 3)
        self.add("exposure", "c", 2)
        self.add("exposure", "d", 1, campaign="another")
        self.check(self.value("participation_rate"), "ok", 0, 1)

    def test_no_data_and_undefined_differ(self):
        self.check(self.value("participation_rate"), "no_data", None, None)
        self.add("participation", "a", 0)
        self.check(self.value("participation_rate"), "undefined", 1, 0)

    def test_rolling_ends_with_today(self):
        self.add("exposure", "a", 0)
        self.add("exposure", "b", 1)
        self.add("exposure", "c", 8)
        self.check(self.value("participation_rate", "rolling", 1, 8, today=7), "ok", 0, 1)
        self.check(self.value("participation_rate", "rolling", 2, 9, today=8), "ok", 0, 1)

    def test_copies_count_once_within_a_day(self):
        self.add("purchase", "a", 0, 1, id="x", amount=1000000)
        self.add("purchase", "a", 0, 1, id="x", amount=1000000)
        self.add("purchase", "a", 2, 1, id="x", amount=1000000)
        self.check(self.value("repeat_purchase_rate"), "ok", 1, 1)
        self.add("spend", None, 0, amount=1000000)
        self.check(self.value("roi"), "ok", decimal.Decimal(2), decimal.Decimal(1))

    def test_repeat_purchase(self):
        for user, n in (("a", 1), ("b", 2), ("c", 3)):
            for _ in range(n):
                self.add("purchase", user, 1)
        self.check(self.value("repeat_purchase_rate"), "ok", 2, 3)

    def test_roi_takes_refunds_off_and_net_takes_cost_off(self):
        self.add("purchase", "a", 0, amount=400_500000)
        self.add("refund", "a", 1, amount=500000)
        self.add("spend", None, 0, amount=100_000000)
        self.check(self.value("roi"), "ok", decimal.Decimal(400), decimal.Decimal(100))
        self.assertEqual(self.value("roi").value, 4)
        self.check(self.value("roi_net"), "ok", decimal.Decimal(300), decimal.Decimal(100))

    def test_roi_without_cost_is_undefined(self):
        self.add("purchase", "a", 0, amount=5_000000)
        self.check(self.value("roi"), "undefined", decimal.Decimal(5), decimal.Decimal(0))

    def test_nps_takes_the_latest_answer_of_a_person_within_the_scope(self):
        self.add("survey", "a", 0, score=3_000000)
        self.add("survey", "a", 1, score=10_000000)
        self.add("survey", "b", 1, 5, score=6_000000)
        self.add("survey", "c", 1, score=8_000000)
        self.add("survey", "c", 2, score=11_000000)  # not on the scale: no answer
        self.add("survey", "c", 2, 13, score=8_500000)
        self.add("survey", "d", 2, score=9_000000)
        self.check(self.value("nps"), "ok", 100 * (2 - 1), 4)
        self.check(self.value("nps", "day", 0, 1), "ok", -100, 1)

    def test_retention_by_day(self):
        self.add("participation", "a", 0)
        self.add("login", "a", 1, campaign=None)      # back, though in no campaign
        self.add("participation", "b", 0)
        self.add("exposure", "b", 1)                  # being shown something is not being active
        self.add("participation", "c", -5)            # started before the campaign: in no cohort of it
        self.add("participation", "c", 0)
        self.add("login", "c", 1)
        self.add("participation", "d", 2)
        self.add("login", "d", 4)                     # day 2, not day 1
        self.check(self.value("retention_d1"), "ok", 1, 3)
        self.check(self.value("retention_d1", "day", 0, 1), "ok", 1, 2)

    def test_retention_waits_for_maturity(self):
        self.add("participation", "a", 0)
        self.add("login", "a", 1)
        self.add("participation", "b", 1)
        self.check(self.value("retention_d1", today=1), "no_data", None, None)
        early = self.value("retention_d1", today=2)
        self.check(early, "ok", 1, 1)
        self.assertEqual(early.complete, 0.5)
        self.check(self.value("retention_d1", today=3), "ok", 1, 2)

    def test_retention_by_calendar_month(self):
        self.add("participation", "a", 0)
        self.add("login", "a", 92)                    # 1 June
        self.add("participation", "b", 0)
        self.add("login", "b", 91)                    # 31 May
        self.check(self.value("retention_m3", today=121), "no_data", None, None)
        self.check(self.value("retention_m3", today=122), "ok", 1, 2)


class Zones(unittest.TestCase):
    def test_a_day_of_23_hours(self):
        day = day_of(datetime.date(2026, 3, 8))
        start, end = (day_start("America/New_York", d) for d in (day, day + 1))
        self.assertEqual(end - start, 23 * HOUR)
        self.assertEqual(local_day("America/New_York", end - 1), day)
        self.assertEqual(local_day("America/New_York", end), day + 1)


class Generated(unittest.TestCase):
    def test_the_same_seed_gives_the_same_bytes(self):
        self.assertEqual(generate(7, n_users=50).messages(), generate(7, n_users=50).messages())

    def test_another_seed_gives_others(self):
        self.assertNotEqual(generate(7, n_users=50).messages(), generate(8, n_users=50).messages())

    def test_everything_promised_is_in_it(self):
        journal = generate(1)
        self.assertEqual(set(journal.reasons()), set(REASONS))
        self.assertEqual(set(journal.outcomes()),
                         {"applied", "duplicate", "conflict", "refused", "skipped"})
        self.assertEqual({e.campaign for _, e in journal.events()} - {None, ""},
                         {c.id for c in journal.campaigns} | {"no-such-campaign", "悦享会员"})
        late = [r for r in journal.records if r.event and r.timestamp * 1000 - r.event.time > DAY]
        self.assertGreater(len(late), 50)

    def test_outcomes_agree_with_the_oracle(self):
        journal = generate(2)
        self.assertEqual(oracle.Oracle(journal).n_events(), journal.outcomes()["applied"])

    def test_every_kpi_has_values_and_gaps(self):
        journal = generate(3)
        states = collections.defaultdict(set)
        for key, value in oracle.Oracle(journal).values(journal.as_of).items():
            states[key.kpi].add(value.state)
        for kpi in oracle.KPIS:
            self.assertLessEqual({"ok", "no_data"}, states[kpi], kpi)


class Comparing(unittest.TestCase):
    """A wrong document is noticed, whatever is wrong with it."""

    def setUp(self):
        self.journal = stream.journal([stream.campaign_now()], stream.crowd("c1", 4, 2))
        self.judge = oracle.Oracle(self.journal)

    def document(self):
        def text(us):
            return datetime.datetime.fromtimestamp(us / 1e6, datetime.timezone.utc).isoformat()

        def number(x):
            return str(x) if isinstance(x, decimal.Decimal) else x

        return {"as_of": text(self.journal.as_of), "kpis": [
            {"kpi": k.kpi, "campaign": k.campaign, "state": v.state, "value": v.value,
             "scope": {"kind": k.kind, "start": text(k.start), "end": text(k.end)},
             "numerator": number(v.numerator), "denominator": number(v.denominator),
             "complete": v.complete} for k, v in self.judge.values(self.journal.as_of).items()]}

    def test_a_right_one_passes(self):
        self.assertEqual(oracle.differences(self.document(), self.judge), [])

    def test_each_wrong_field_is_found(self):
        for field, wrong in (("state", "undefined"), ("value", 0.50000001), ("numerator", 3),
                             ("numerator", "2"), ("denominator", 5), ("complete", 0.123)):
            document = self.document()
            stream.find(document, "participation_rate")[field] = wrong
            self.assertEqual(len(oracle.differences(document, self.judge)), 1, field)

    def test_missing_and_surplus_entries_are_found(self):
        document = self.document()
        entry = document["kpis"].pop()
        self.assertEqual(len(oracle.differences(document, self.judge)), 1)
        document["kpis"].append(json.loads(json.dumps(entry).replace(entry["scope"]["start"],
                                                                     "2001-01-01T00:00:00Z")))
        self.assertEqual(len(oracle.differences(document, self.judge)), 2)


class Parsers(unittest.TestCase):
    def test_yaml(self):
        text = config.to_yaml({"a": {"b": [1, "x: y", {"c": "-7d", "d": [True]}]}, "e": [], "f": None})
        self.assertEqual(text, 'a:\n  b:\n    - 1\n    - "x: y"\n    - c: "-7d"\n'
                               '      d:\n        - true\ne: []\n')

    def test_metrics(self):
        m = metrics.parse_text('# HELP a b\na{x="1",y="q\\"\\n\\\\"} 2\na{x="2",y=""} 3.5\nb NaN\n')
        self.assertEqual(m.one("a", x="1", y='q"\n\\'), 2)
        self.assertEqual(m.sum("a"), 5.5)

    def test_bad_metrics(self):
        for text in ("a 1", "a{x=1} 2\n", "a 1\na 1\n", "a{x=\"\n\"} 1\n", "1a 2\n"):
            with self.assertRaises(ValueError):
                metrics.parse_text(text)


class Receiving(unittest.TestCase):
    def setUp(self):
        self.receiver = receiver.Receiver(script=[503, "reset"])
        self.addCleanup(self.receiver.close)

    def post(self, body, **changed):
        stamp = str(stream.now_us() // 1000000)
        headers = {"content-type": "application/json", "webhook-id": "m1",
                   "webhook-timestamp": stamp,
                   "webhook-signature": receiver.sign(receiver.SECRET, "m1", stamp, body)}
        headers.update(changed)
        connection = http.client.HTTPConnection("127.0.0.1", self.receiver.port, timeout=5)
        try:
            connection.request("POST", "/hook", body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def test_signature_vector(self):
        self.assertEqual(receiver.sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                       "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
                                       b'{"test": 2432232314}'),
                         "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")

    def test_script_and_journal(self):
        body = json.dumps({"type": "kpi.deviation.firing",
                           "data": {"fingerprint": "f", "sequence": 1}}).encode()
        self.assertEqual(self.post(body), 503)
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            self.post(body)
        self.assertEqual(self.post(body), 200)
        self.assertEqual([d.answer for d in self.receiver.deliveries("firing")], [503, 0, 200])
        self.assertEqual(len(self.receiver.accepted()), 1)
        self.assertEqual(self.receiver.faults(), [])
        self.assertEqual(len(self.receiver.transitions()), 1)

    def test_bad_signature_is_noted(self):
        self.receiver.script = []
        self.post(b"{}", **{"webhook-signature": "v1,AAAA"})
        self.post(b"not json")
        self.assertEqual(self.receiver.faults(),
                         ["webhook-signature does not fit", "the body is not JSON"])

    def test_an_id_that_changes_its_meaning_is_found(self):
        self.receiver.script = []
        for sequence in (1, 2):
            self.post(json.dumps({"type": "kpi.deviation.firing", "data": {
                "fingerprint": "f", "sequence": sequence}}).encode())
        with self.assertRaises(AssertionError):
            self.receiver.transitions()


if __name__ == "__main__":
    unittest.main()
