"""Events go through the real broker, redis and daemon; every value, numerator and denominator is the
oracle's, every outcome is counted, and what was refused lies in the dead-letter topic as it came."""

import collections
import datetime

from support import kafka
from support.case import ProcessCase
from support.generate import generate


class ThroughEverything(ProcessCase):
    def run_seed(self, seed):
        journal = generate(seed, anchor=datetime.datetime.now(datetime.timezone.utc).date())
        dead = self.cluster().create_topic("dead", 1)
        app = self.stage(journal.campaigns, kafka={"dead_letter_topic": dead})
        self.cluster().produce(self.topic, journal.messages())
        app.wait_caught_up(len(journal.records))
        return journal, dead, app

    def check_outcomes(self, app, journal):
        metrics = app.metrics()
        got = {outcome: metrics.sum("kpid_events_total", result=outcome)
               for outcome in ("applied", "duplicate", "conflict", "refused", "skipped")}
        self.assertEqual(got, dict(journal.outcomes()))
        reasons = {dict(labels)["reason"]: n for labels, n in
                   metrics.select("kpid_events_refused_total").items() if n}
        self.assertEqual(reasons, dict(journal.reasons()))

    def check_dead_letters(self, dead, journal):
        refused = [r for r in journal.records if r.outcome == "refused"]
        origins = {(m.partition(), m.offset()): m for m in self.cluster().read_topic(self.topic)}
        letters = self.cluster().read_topic(dead, len(refused))
        seen = set()
        for letter in letters:
            headers = kafka.origin(letter)
            origin = (int(headers["partition"]), int(headers["offset"]))
            seen.add(origin)
            self.assertEqual(headers["topic"], self.topic)
            self.assertEqual(letter.value(), origins[origin].value())
        self.assertEqual(len(seen), len(refused), "each of them once")
        self.assertEqual(
            collections.Counter(kafka.origin(m)["reason"] for m in letters),
            journal.reasons())

    def test_everything_of_one_stream(self):
        """Law 5, exact by default: equal, not near, to SQL over the same events. Law 10, nothing is
        dropped silently: outcomes and reasons add up to the records, dead letters are as they came."""
        journal, dead, app = self.run_seed(11)
        self.assert_oracle(app, journal)
        self.check_outcomes(app, journal)
        self.check_dead_letters(dead, journal)
        # Nothing of it is only in memory: a new process has the same numbers and counts.
        app.restart()
        app.wait_ready().wait_caught_up()
        self.assert_oracle(app, journal)
        for name, outcome in (("applied", "applied"), ("duplicates", "duplicate"),
                              ("conflicts", "conflict")):
            self.assertEqual(sum(app.shards(name)), journal.outcomes()[outcome], name)
        self.assertEqual(app.metrics().sum("kpid_events_total"), 0, "nothing was read again")

    def test_another_stream(self):
        journal, _dead, app = self.run_seed(12)
        self.assert_oracle(app, journal)
        self.check_outcomes(app, journal)

    def test_values_for_other_readers_of_redis(self):
        journal, _dead, app = self.run_seed(13)
        self.assert_oracle(app, journal)
        group = app.settings["kafka"]["group"]
        for campaign in journal.campaigns:
            app.wait(lambda c=campaign: self.store.hash(f"kpid:{group}:kpi:{c.id}"), 30,
                     f"values of {campaign.id} in redis")

    def test_two_co_partitioned_topics(self):
        """Partition n of every topic is shard n: acts in one topic, money in another."""
        journal = generate(14, anchor=datetime.datetime.now(datetime.timezone.utc).date())
        # Copies meet in either order over two topics, and so do a conflict and its original.
        journal = journal.select("applied")
        money = self.cluster().create_topic("money", 4)
        acts = self.cluster().create_topic("acts", 4)
        kinds = ("purchase", "refund", "spend")
        for topic, wanted in ((acts, False), (money, True)):
            self.cluster().produce(topic, [(r.key, r.value, r.timestamp) for r in journal.records
                                           if (r.event.type in kinds) == wanted])
        app = self.kpid(self.settings(self.cluster(), [acts, money], self.redis(),
                                      journal.campaigns))
        app.wait_ready().wait_caught_up(len(journal.records))
        self.assert_oracle(app, journal)
