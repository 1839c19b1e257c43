"""The end of a run: SIGTERM saves everything and exits 0; a second one does not wait."""

import signal
import time

from support import stream
from support.case import ProcessCase
from support.ports import wait_until


class Stop(ProcessCase):
    def test_nothing_is_read_twice_after_sigterm(self):
        """The final checkpoint holds the last record that was counted."""
        self.stage()
        self.produce(stream.crowd("c1", 400, 100))
        self.assert_fraction(self.app, 100, 400)
        self.app.wait_caught_up(500)
        self.assertEqual(self.app.stop(), 0)
        self.app.start()
        self.app.wait_ready()
        self.assert_fraction(self.app, 100, 400)
        self.assertEqual(self.app.metrics().sum("kpid_events_total"), 0)

    def test_sigterm_under_load(self):
        self.stage(checkpoint={"interval": "10s"})
        records = stream.crowd("c1", 20000, 10000)
        self.produce(records)
        self.app.wait(lambda: self.app.metrics().sum("kpid_events_total") > 0, 30, "it counts")
        self.assertEqual(self.app.stop(), 0)
        self.app.start()
        self.assert_fraction(self.app, 10000, 20000)
        # A record read again would be a duplicate, as its id is known.
        self.assertEqual(sum(self.app.shards("duplicates")), 0)

    def test_the_group_is_left_at_once(self):
        """Another one need not wait for the session to end."""
        self.stage(kafka={"session_timeout": "30s"})
        self.produce(stream.crowd("c1", 10, 5))
        self.assert_fraction(self.app, 5, 10)
        self.assertEqual(self.app.stop(), 0)
        began = time.monotonic()
        self.app.start()
        self.app.wait_ready(25)
        self.assertLess(time.monotonic() - began, 25)

    def test_second_sigterm_exits_at_once(self):
        self.stage()
        # With redis standing still the final checkpoint has to wait.
        self.store.pause()
        self.produce(stream.crowd("c1", 100, 50))
        self.assert_fraction(self.app, 50, 100)
        self.app.child.signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in self.app.log().lower() or not self.app.child.running(), 10,
                   "it says that it stops")
        self.app.child.signal(signal.SIGTERM)
        began = time.monotonic()
        self.app.child.wait(10)
        self.assertLess(time.monotonic() - began, 3)
        self.store.cont()
        self.app.start()
        self.app.wait_ready()
        self.assert_fraction(self.app, 50, 100)

    def test_sigint_is_a_stop_too(self):
        self.stage()
        self.app.child.signal(signal.SIGINT)
        self.assertEqual(self.app.child.wait(20), 0)

    def test_redis_away_does_not_hold_the_stop(self):
        """The deadline holds, and the end says that the last checkpoint is missing."""
        self.stage()
        self.produce(stream.crowd("c1", 10, 5))
        self.assert_fraction(self.app, 5, 10)
        self.store.kill()
        began = time.monotonic()
        self.app.stop(60)
        self.assertLess(time.monotonic() - began, 45)
        self.store.start()
        self.app.start()
        self.app.wait_ready()
        self.assert_fraction(self.app, 5, 10)
