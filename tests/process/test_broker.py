"""What a real broker does to a consumer: restarts, a topic made anew, records deleted below the offset,
aborted transactions, tombstones, and the dead letters that kpid writes there."""

import datetime
import time

from support import daemon, kafka, stream
from support.case import ProcessCase
from support.ports import wait_until


class Broker(ProcessCase):
    """On the shared broker."""

    def test_aborted_transactions_are_not_counted(self):
        app = self.stage()
        cluster = self.cluster()
        cluster.produce_transaction(self.topic, stream.messages(stream.crowd("c1", 40, 10, "a")), True)
        cluster.produce_transaction(self.topic, stream.messages(stream.crowd("c1", 40, 40, "b")),
                                    False)
        cluster.produce_transaction(self.topic, stream.messages(stream.crowd("c1", 10, 10, "c")), True)
        self.assert_fraction(app, 20, 50)
        app.wait_caught_up()
        self.assert_fraction(app, 20, 50)

    def test_tombstones_are_skipped_and_counted(self):
        app = self.stage()
        self.cluster().produce(self.topic, [(b"u", None, stream.now_us() // 1000)] * 3)
        self.produce(stream.crowd("c1", 4, 1))
        self.assert_fraction(app, 1, 4)
        app.wait(lambda: app.metrics().sum("kpid_events_total", result="skipped") == 3, 10,
                 "three are skipped")

    def test_a_dead_letter_keeps_its_bytes_and_says_why(self):
        dead = self.cluster().create_topic("dead", 1)
        app = self.stage(partitions=2, kafka={"dead_letter_topic": dead})
        bytes_ = b'{"type":"purchase","broken":\xff\x00'
        self.cluster().produce(self.topic, [(b"k", b'{"type":"purchase"}', 1_770_000_000_000, 1),
                                            (b"k2", bytes_, 1_770_000_000_000, 1)])
        self.produce(stream.crowd("c1", 2, 1))
        first, second = sorted(self.cluster().read_topic(dead, 2),
                               key=lambda m: int(kafka.origin(m)["offset"]))
        self.assertEqual((first.value(), first.key()), (b'{"type":"purchase"}', b"k"))
        self.assertEqual((second.value(), second.key()), (bytes_, b"k2"))
        headers = kafka.origin(second)
        self.assertEqual((headers["topic"], headers["partition"], headers["offset"]),
                         (self.topic, "1", "1"))
        self.assertIn(headers["reason"], ("json", "utf8"))
        self.assert_fraction(app, 1, 2)  # and the partition has moved on

    def test_start_at_the_end(self):
        self.topic = self.cluster().create_topic()
        self.produce(stream.crowd("c1", 8, 8, "old"))
        app = self.kpid(self.settings(self.cluster(), self.topic, self.redis(),
                                      [stream.campaign_now()], kafka={"start": "end"}))
        app.wait_ready()
        self.produce(stream.crowd("c1", 4, 1, "new"))
        self.assert_fraction(app, 1, 4)

    def test_start_at_a_time(self):
        self.topic = self.cluster().create_topic()
        now = stream.now_us()
        self.produce(stream.crowd("c1", 8, 8, "old", at=now - 2 * stream.DAY))
        self.produce(stream.crowd("c1", 4, 1, "new", at=now - 3600_000_000))
        yesterday = datetime.datetime.fromtimestamp(now // 1000000 - 86400, datetime.timezone.utc)
        app = self.kpid(self.settings(self.cluster(), self.topic, self.redis(),
                                      [stream.campaign_now()],
                                      kafka={"start": yesterday.strftime("%Y-%m-%dT%H:%M:%SZ")}))
        self.assert_fraction(app, 1, 4)

    def test_the_group_has_a_witness(self):
        """Lag tools see the group's offset, with the epoch and generation of the checkpoint."""
        app = self.stage()
        self.produce(stream.crowd("c1", 100, 50))
        self.assert_fraction(app, 50, 100)
        app.wait_caught_up()
        self.assertEqual(app.stop(), 0)
        ends = {p: end for p, (_low, end) in self.cluster().watermarks(self.topic).items()}
        committed = self.cluster().committed(app.settings["kafka"]["group"], self.topic)
        for partition, (offset, metadata) in committed.items():
            self.assertEqual(offset, ends[partition])
            version, epoch, generation, witness = metadata.split(";")
            self.assertEqual((version, int(witness)), ("v1", offset))
            self.assertGreaterEqual(min(int(epoch), int(generation)), 1)
        self.assertEqual(set(committed), {p for p, end in ends.items() if end})

    def lose_records(self, **state):
        """Stopped, the records that it had not read yet are deleted; started again."""
        app = self.stage(partitions=1, state=state)
        self.produce(stream.crowd("c1", 10, 5, "a"))
        self.assert_fraction(app, 5, 10)
        app.wait_caught_up()
        self.assertEqual(app.stop(), 0)
        self.produce(stream.crowd("c1", 10, 5, "b"))
        self.produce(stream.crowd("c1", 6, 2, "c"))
        self.cluster().delete_records(self.topic, {0: 30})
        app.start()
        return app

    def test_deleted_records_are_a_loss_that_is_said(self):
        """on_loss: rebuild goes on with what the log still has; what was counted stays counted, and
        the numbers say that they are not whole."""
        app = self.lose_records(on_loss="rebuild")
        self.assert_fraction(app, 7, 16)
        self.assertFalse(app.kpis()["complete"])
        self.assertIsNotNone(app.shards("counts_from")[0])

    def test_deleted_records_halt_the_shard(self):
        app = self.lose_records(on_loss="halt")
        app.wait(lambda: app.ready() == 503 and not app.kpis()["complete"], 30, "it halts")
        app.alive()

    def test_a_topic_made_anew_is_noticed(self):
        """Same name, other records, as many of them: the last record's fingerprint tells."""
        app = self.stage(partitions=1)
        self.produce(stream.crowd("c1", 10, 5, "a"))
        self.assert_fraction(app, 5, 10)
        app.wait_caught_up()
        self.assertEqual(app.stop(), 0)
        self.cluster().delete_topic(self.topic)
        self.cluster().create_named_topic(self.topic, 1)
        self.produce(stream.crowd("c1", 16, 4, "b"))
        app.start()
        self.assert_fraction(app, 4, 16)


class BrokerRestarts(ProcessCase):
    """On a broker of its own."""

    def begin(self):
        """The broker, its cluster, and a kpid that has read some events."""
        broker = self.broker()
        cluster = broker.cluster()
        self.topic = cluster.create_topic()
        app = self.kpid(self.settings(cluster, self.topic, self.redis(), [stream.campaign_now()]))
        app.wait_ready()
        cluster.produce(self.topic, stream.messages(stream.crowd("c1", 20, 10, "a")))
        self.assert_fraction(app, 10, 20)
        return broker, cluster, app

    def test_killed_and_restarted(self):
        broker, cluster, app = self.begin()
        broker.kill()
        self.assertEqual(app.get("/-/healthy").status, 200)
        self.assert_fraction(app, 10, 20)
        broker.start()
        cluster.produce(self.topic, stream.messages(stream.crowd("c1", 20, 10, "b")))
        self.assert_fraction(app, 20, 40, timeout=90)
        app.wait_ready()

    def test_a_broker_that_is_not_there(self):
        """The start waits for its broker or ends with 69; never a crash, never empty numbers."""
        broker = self.broker()
        cluster = broker.cluster()
        self.topic = cluster.create_topic()
        cluster.produce(self.topic, stream.messages(stream.crowd("c1", 20, 10, "a")))
        broker.stop()
        app = self.kpid(self.settings(cluster, self.topic, self.redis(), [stream.campaign_now()]),
                        wait=False)
        broker.start()
        wait_until(lambda: daemon.LISTENING.search(app.log()) or not app.child.running(), 60,
                   "it has found its broker or given up")
        if not app.child.running():
            self.assertEqual(app.child.wait(), 69)
            app.start()
        self.assert_fraction(app, 10, 20, timeout=90)

    def test_a_broker_that_hangs_does_not_hold_the_stop(self):
        """What was counted is saved, and the group is left to its session time-out."""
        broker, _cluster, app = self.begin()
        broker.pause()
        began = time.monotonic()
        self.assertEqual(app.stop(60), 0)
        self.assertLess(time.monotonic() - began, 30)
        broker.cont()
        app.start()
        self.assert_fraction(app, 10, 20, timeout=90)
        self.assertEqual(app.metrics().sum("kpid_events_total"), 0)
