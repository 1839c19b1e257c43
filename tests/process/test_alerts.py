"""A KPI leaves its target: one message under a stable id, through kill -9 and a dead receiver, and one
when it is back, or when its target is removed."""

import json
import os
import re

from support import stream
from support.case import ProcessCase
from support.paths import ROOT
from support.ports import wait_until
from support.receiver import SECRET


class Alerts(ProcessCase):
    """participation_rate of c1 should be 65 %; it deviates below 55 %. Two seconds of patience let a
    test's records all arrive before anything is concluded from them."""

    def begin(self, script=(), **target):
        self.hook = self.receiver(script=script)
        secret = os.path.join(self.directory(), "secret")
        with open(secret, "w", encoding="ascii") as f:
            f.write(SECRET + "\n")
        os.chmod(secret, 0o600)
        self.untargeted = stream.campaign_now().configuration()
        campaign = {**self.untargeted, "targets": [
            {"kpi": "participation_rate", "value": "65%", "for": "2s", "min_sample": 20, **target}]}
        self.topic = self.cluster().create_topic()
        settings = self.settings(
            self.cluster(), self.topic, self.redis(), [stream.campaign_now()],
            campaigns=[campaign],
            receivers=[{"name": "hook", "type": "webhook", "url": self.hook.url,
                        "secret_file": secret, "allow": ["127.0.0.0/8"]}])
        self.app = self.kpid(settings).wait_ready()

    def wait_message(self, kind, n=1, timeout=60):
        return wait_until(lambda: self.hook.accepted(kind) if len(self.hook.accepted(kind)) >= n
                          else None, timeout, f"{kind} arrives", alive=self.app.alive)

    def judged(self, status):
        return lambda: [a["status"] for a in self.app.alerts()["alerts"]] == [status]

    def test_it_fires_and_resolves(self):
        self.begin()
        self.produce(stream.crowd("c1", 1000, 500))
        (message,) = self.wait_message("firing")
        data = message.data
        self.assertEqual(message.type, "kpi.deviation.firing")
        self.assertEqual((data["campaign"], data["kpi"], data["status"]),
                         ("c1", "participation_rate", "firing"))
        self.assertEqual((data["numerator"], data["denominator"], data["level"]),
                         (500, 1000, "general"))
        self.assertEqual((data["value"], data["target"]), (0.5, 0.65))
        self.assertEqual((data["deviation"], data["deviation_points"], data["deviation_ratio"]),
                         ("10pp", -15, -0.230769230769))
        for name in ("id", "fingerprint", "sequence", "title", "scope", "band", "since", "links"):
            self.assertIn(name, data)
        self.assertEqual(set(data["title"]), {"en", "zh"})
        alerts = self.app.alerts()["alerts"]
        self.assertEqual([a["status"] for a in alerts], ["firing"])
        self.produce(stream.crowd("c1", 2000, 1900))
        (resolved,) = self.wait_message("resolved")
        self.assertEqual(resolved.type, "kpi.deviation.resolved")
        self.assertEqual(resolved.data["fingerprint"], data["fingerprint"])
        self.assertGreater(resolved.data["sequence"], data["sequence"])
        self.assertEqual(self.hook.faults(), [])
        self.assertEqual(len(self.hook.transitions()), 2)

    def test_a_higher_level_is_a_message_of_its_own(self):
        self.begin()
        self.produce(stream.crowd("c1", 1000, 500))
        self.wait_message("firing")
        self.produce(stream.crowd("c1", 2000, 500))
        wait_until(lambda: self.hook.accepted("firing")[-1].data["level"] == "critical", 60,
                   "it is critical", alive=self.app.alive)
        order = ["general", "serious", "critical"]
        levels = [order.index(m.data["level"]) for m in self.hook.accepted("firing")]
        self.assertEqual(levels[0], 0)
        self.assertEqual(levels, sorted(set(levels)), "rising, each once")

    def test_a_target_of_a_gauge(self):
        """While nobody has set the gauge nothing is judged, and it is said why; then it is."""
        self.begin(value='0.5 * gauge("industry")')
        self.produce(stream.crowd("c1", 1000, 500))
        self.assert_fraction(self.app, 500, 1000)
        self.app.wait(self.judged("no_data"), 20, "it is seen")
        (alert,) = self.app.alerts()["alerts"]
        self.assertEqual((alert["target_expression"], alert["target_state"], alert["target_reason"]),
                         ('0.5 * gauge("industry")', "undefined", "no_gauge"))
        self.assertEqual((alert["target"], alert["band"], alert["distance"]), (None, None, None))
        self.assertEqual((alert["state"], alert["value"], alert["title"]),
                         ("ok", 0.5, {"en": "Participation rate", "zh": "活动参与率"}))
        self.assertNotIn("reason", alert)
        self.produce([stream.record("kpid.gauge", None, None, gauge="industry", value=1.4)])
        (message,) = self.wait_message("firing")
        self.assertEqual(message.data["target_expression"], '0.5 * gauge("industry")')
        self.assertEqual((message.data["target"], message.data["value"], message.data["level"]),
                         (0.7, 0.5, "serious"))
        self.assertEqual(message.data["title"], {"en": "Participation rate", "zh": "活动参与率"})
        self.assertEqual(len(self.hook.deliveries()), 1)
        (alert,) = self.app.alerts()["alerts"]
        self.assertEqual((alert["status"], alert["target"], alert["target_state"]), ("firing", 0.7, "ok"))
        self.assertNotIn("target_reason", alert)
        # The gauge falls: half a band from 0.5 is 0.55.
        self.produce([stream.record("kpid.gauge", None, None, gauge="industry", value=1.0)])
        (resolved,) = self.wait_message("resolved")
        self.assertEqual((resolved.data["target"], resolved.data["value"]), (0.5, 0.5))
        self.assertEqual(resolved.data["target_expression"], '0.5 * gauge("industry")')

    def test_a_value_that_is_undefined_says_why(self):
        self.begin()
        self.produce([stream.record("participation", f"u{i}", "c1") for i in range(30)])
        self.app.wait(self.judged("undefined"), 60, "it is seen")
        (alert,) = self.app.alerts()["alerts"]
        self.assertEqual((alert["state"], alert["reason"], alert["value"], alert["target"]),
                         ("undefined", "division_by_zero", None, 0.65))
        for name in ("target_expression", "target_state", "target_reason"):
            self.assertNotIn(name, alert)  # 65% is what it is
        self.assertEqual(self.hook.deliveries(), [])

    def test_within_the_band_nothing_comes(self):
        """55.1 % does not fire, 54.9 % does: the plan's own example."""
        self.begin()
        self.produce(stream.crowd("c1", 1000, 551))
        self.assert_fraction(self.app, 551, 1000)
        self.app.wait(self.judged("ok"), 20, "it is judged")
        self.produce([stream.record("exposure", f"x{i}", "c1") for i in range(4)])
        self.wait_message("firing")
        (message,) = self.hook.deliveries()
        self.assertEqual((message.data["numerator"], message.data["denominator"]), (551, 1004))

    def test_too_few_people_never_fire(self):
        self.begin(min_sample=500)
        self.produce(stream.crowd("c1", 400, 10))
        self.assert_fraction(self.app, 10, 400)
        self.produce(stream.crowd("c1", 600, 10))
        (message,) = self.wait_message("firing")
        self.assertGreaterEqual(message.data["denominator"], 500)

    def test_the_id_is_stable_over_kill_9(self):
        """Refused until it was killed and started again: the same id at every attempt."""
        self.begin(script=[500, 500, "reset"])
        self.produce(stream.crowd("c1", 1000, 500))
        wait_until(lambda: self.hook.deliveries("firing"), 60, "the first attempt")
        self.app.restart(kill=True)
        self.wait_message("firing")
        self.assertEqual(len({d.id for d in self.hook.deliveries("firing")}), 1)
        self.assertEqual(self.hook.faults(), [])

    def test_firing_goes_on_over_a_restart_without_a_second_message(self):
        self.begin()
        self.produce(stream.crowd("c1", 1000, 500))
        (message,) = self.wait_message("firing")
        self.app.restart(kill=True)
        self.app.wait_ready()
        self.app.wait(self.judged("firing"), 30, "it is firing still")
        self.produce(stream.crowd("c1", 2000, 1900))
        self.wait_message("resolved")
        self.assertEqual({d.id for d in self.hook.deliveries("firing")}, {message.id})

    def test_a_receiver_that_is_down_gets_it_when_it_is_back(self):
        self.begin()
        self.hook.down()
        self.produce(stream.crowd("c1", 1000, 500))
        self.app.wait(self.judged("firing"), 60, "it fires")
        self.hook.listen()
        self.assertEqual(len(self.wait_message("firing", timeout=120)), 1)

    def test_retry_after_is_honoured(self):
        self.begin(script=[{"status": 429, "headers": {"Retry-After": "3"}}])
        self.produce(stream.crowd("c1", 1000, 500))
        self.wait_message("firing")
        refused, accepted = self.hook.deliveries("firing")
        self.assertGreaterEqual(accepted.at - refused.at, 2.9)

    def test_gone_disables_the_receiver(self):
        self.begin(script=[410])
        self.produce(stream.crowd("c1", 1000, 500))
        wait_until(lambda: self.hook.deliveries("firing"), 60, "the first attempt")
        self.app.wait(lambda: "410" in self.app.log() or "disabled" in self.app.log(), 20,
                      "it is said")
        self.produce(stream.crowd("c1", 2000, 1900))
        self.app.wait(self.judged("ok"), 60, "it is resolved")
        self.assertEqual(len(self.hook.deliveries()), 1)

    def test_a_target_that_is_removed_ends_its_alert(self):
        """Whoever was told that it fires is told that it does not, what it was, and why: once. Both
        messages have the members that config/README.md shows."""
        with open(os.path.join(ROOT, "config", "README.md"), encoding="utf-8") as file:
            shown = {kind: json.loads(text)["data"] for kind, text in re.findall(
                r"^```json (firing|resolved)\n(.*?)^```", file.read(), re.M | re.S)}
        self.begin()
        self.produce(stream.crowd("c1", 1000, 300))
        wait_until(lambda: [m for m in self.hook.accepted("firing") if m.data["level"] == "critical"],
                   60, "it is critical", alive=self.app.alive)
        fired = self.hook.accepted("firing")[-1].data
        self.app.reload(campaigns=[self.untargeted])
        (message,) = self.wait_message("resolved")
        self.assertEqual(message.type, "kpi.deviation.resolved")
        self.assertEqual((message.data["reason"], message.data["reason_title"]),
                         ("target_removed", {"en": "The target was removed", "zh": "目标已被移除"}))
        told = {name: value for name, value in message.data.items() if not name.startswith("reason")}
        self.assertEqual(told, {**fired, "id": message.id, "sequence": fired["sequence"] + 1,
                                "status": "resolved"})
        self.assertEqual((list(fired), list(message.data)), (list(shown["firing"]), list(shown["resolved"])))
        self.assertEqual(self.app.alerts()["alerts"], [])
        self.app.restart(kill=True)
        self.app.wait_ready()
        # What would be sent again has been by the time that a target is judged once more.
        self.app.reload(campaigns=[
            {**self.untargeted, "targets": [{"kpi": "participation_rate", "value": "65%", "for": "0s",
                                             "min_sample": 20}]}])
        wait_until(lambda: self.hook.accepted("firing")[-1].data["sequence"] > message.data["sequence"],
                   60, "it fires anew", alive=self.app.alive)
        self.assertEqual(len({m.id for m in self.hook.deliveries("resolved")}), 1)
        self.hook.transitions()

    def test_a_target_that_is_gone_after_a_take_over_ends_its_alert(self):
        """Another instance with other definitions, which is refused and killed on the way."""
        self.begin(script=[200, 500, "reset"], value="56%", deviation="5pp")
        self.produce(stream.crowd("c1", 1000, 500))
        (fired,) = self.wait_message("firing")
        self.app.kill()
        self.app = self.kpid({**self.app.settings, "campaigns": [self.untargeted]},
                             directory=self.app.directory)
        wait_until(lambda: self.hook.deliveries("resolved"), 60, "the first attempt", alive=self.app.alive)
        self.app.restart(kill=True)
        (message,) = self.wait_message("resolved")
        self.assertEqual((message.data["reason"], message.data["campaign"], message.data["kpi"],
                          message.data["level"], message.data["since"], message.data["deviation"]),
                         ("target_removed", "c1", "participation_rate", "general", fired.data["since"],
                          "5pp"))
        self.assertEqual(len(self.hook.transitions()), 2)
        self.assertEqual(len({m.id for m in self.hook.deliveries("firing")}), 1)

    def test_nothing_fires_while_it_catches_up(self):
        """What is low only because not all is read yet is no deviation."""
        self.begin()
        self.assertEqual(self.app.stop(), 0)
        # All reached come first in every partition, all participants last.
        self.produce(stream.crowd("c1", 60000, 0))
        self.produce([stream.record("participation", f"u{i}", "c1") for i in range(40000)])
        self.app.start()
        self.assert_fraction(self.app, 40000, 60000)
        self.app.wait(self.judged("ok"), 30, "it is judged")
        self.assertEqual(self.hook.deliveries(), [])
