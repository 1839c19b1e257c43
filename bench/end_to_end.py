#!/usr/bin/python3
"""The whole daemon on a real Kafka and Redis, beside a consumer that only polls and frees; and how fresh
its numbers are. See README.md here for what each figure is."""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("KPID_BUILD", os.path.join(ROOT, "build-release"))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from support import daemon, kafka, stream  # noqa: E402
from support.campaigns import Campaign, configuration, day_of  # noqa: E402
from support.paths import BUILD  # noqa: E402
from support.ports import wait_until  # noqa: E402
from support.process import cpu_seconds, resident_bytes  # noqa: E402
from support.redis import Redis  # noqa: E402

PARTITIONS = 8
CAMPAIGNS = ("yueyue-2026-11", "double11-main", "spring-fair-cn")  # as in events.c
PROBED = "probed"  # that no other event names


def tool(name):
    return os.path.join(BUILD, "bench", name)


def settings(cluster, topic, redis):
    """The five KPIs of the product, without those that the oracle's configuration adds."""
    today = day_of(datetime.datetime.now(datetime.timezone.utc).date())
    campaigns = [Campaign(name, "Asia/Shanghai", today - 30, today + 10) for name in (*CAMPAIGNS, PROBED)]
    return configuration(campaigns, kpis={}, kafka={
        "brokers": cluster.address, "topics": [topic], "group": f"bench-{uuid.uuid4().hex[:6]}",
        "start": "beginning"}, redis={"url": redis.url}, checkpoint={"interval": "1s"})


def fill(cluster, options, prefix="bench"):
    """A topic with all events; its name."""
    topic = cluster.create_topic(prefix, PARTITIONS)
    subprocess.run([tool("generate"), "--events", str(options.events), "--users", str(options.users),
                    "--brokers", cluster.address, "--topic", topic, "--codec", options.codec],
                   check=True)
    return topic


def run_raw(cluster, topic):
    done = subprocess.run([tool("raw_consumer"), cluster.address, topic], stdout=subprocess.PIPE,
                          check=True, text=True)
    figures = json.loads(done.stdout)
    return {"events": figures["events"], "rate": figures["events"] / figures["seconds"],
            "cpu": figures["cpu_seconds"] / figures["events"] * 1e9}


def run_kpid(cluster, topic, n_events):
    """Reads the whole topic into a fresh state."""
    redis = Redis()
    app = daemon.Kpid(settings(cluster, topic, redis))
    try:
        counted = lambda: app.metrics().sum("kpid_events_total")  # noqa: E731
        app.wait(lambda: counted() > 0, 60, "the first event is counted")
        first, began = counted(), time.monotonic()
        peak = 0
        # Seldom, so that the scrapes are no part of the figure.
        while counted() < n_events:
            peak = max(peak, resident_bytes(app.pid))
            time.sleep(0.2)
            app.alive()
        seconds = time.monotonic() - began
        app.wait(lambda: not any(app.shards("unsaved")), 60, "all is saved")
        cpu = cpu_seconds(app.pid)
        metrics = app.metrics()
        state, dedupe, users = (metrics.sum(name) for name in (
            "kpid_state_bytes", "kpid_dedupe_bytes", "kpid_users"))
        return {"events": n_events, "rate": (n_events - first) / seconds, "cpu": cpu / n_events * 1e9,
                "peak": max(peak, resident_bytes(app.pid)),
                "user": (state - dedupe) / users if users else float("nan"), "users": users}
    finally:
        app.close()
        redis.close()


def catch_up(cluster, options):
    topic = fill(cluster, options)
    rounds = []
    for i in range(options.rounds):
        raw = run_raw(cluster, topic)
        kpid = run_kpid(cluster, topic, raw["events"])
        rounds.append((raw, kpid))
        print(f"round {i + 1}: raw {raw['rate'] / 1e6:.2f} M events/s, {raw['cpu']:.0f} ns CPU an event;"
              f" kpid {kpid['rate'] / 1e6:.2f} M events/s, {kpid['cpu']:.0f} ns;"
              f" ratio {kpid['cpu'] / raw['cpu']:.2f}", flush=True)

    def median(which, figure):
        return statistics.median(r[which][figure] for r in rounds)

    print(f"median of {options.rounds} rounds, {options.events} events of {options.users} users, "
          f"{options.codec}:")
    print(f"  raw consumer  {median(0, 'rate') / 1e6:6.2f} M events/s  {median(0, 'cpu'):6.0f} ns CPU")
    print(f"  kpid          {median(1, 'rate') / 1e6:6.2f} M events/s  {median(1, 'cpu'):6.0f} ns CPU")
    print(f"  ratio of CPU  {statistics.median(k['cpu'] / r['cpu'] for r, k in rounds):6.2f}")
    print(f"  kpid's memory {median(1, 'peak') / 2**20:6.0f} MiB at its peak, state without dedupe "
          f"{median(1, 'user'):.0f} bytes a user ({median(1, 'users'):.0f} users)")


class Noise(threading.Thread):
    """Keeps another producer running beside the measurement, run after run."""

    def __init__(self, cluster, topic, options):
        super().__init__(daemon=True)
        self.argv = [tool("generate"), "--events", "2000000", "--users", str(options.users),
                     "--days", "1", "--brokers", cluster.address, "--topic", topic]
        self.stopped = False
        self.child = None
        self.start()

    def run(self):
        seed = 1
        while not self.stopped:
            self.child = subprocess.Popen([*self.argv, "--seed", str(seed)])
            self.child.wait()
            seed += 1

    def stop(self):
        self.stopped = True
        if self.child:
            self.child.terminate()
        self.join()


def sample(app, cluster, topic, n):
    """Milliseconds from acknowledged to visible, n times."""
    import http.client
    producer = kafka.client().Producer({"bootstrap.servers": cluster.address, "linger.ms": 0,
                                        "enable.idempotence": True})
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=10)
    query = f"/api/v1/kpis?campaign={PROBED}&kpi=participation_rate&scope=campaign"

    def reached():
        connection.request("GET", query)
        return stream.find(json.loads(connection.getresponse().read()),
                           "participation_rate")["denominator"] or 0

    times = []
    for _ in range(n):
        acknowledged = []
        probe = stream.record("exposure", f"probe-{uuid.uuid4().hex}", PROBED)
        before = reached()
        producer.produce(topic, key=probe.key, value=probe.value, timestamp=probe.timestamp,
                         on_delivery=lambda e, m: acknowledged.append(time.monotonic()))
        while not acknowledged:
            producer.poll(1)
        wait_until(lambda b=before: reached() > b, 30, "the event is visible", every=0)
        times.append((time.monotonic() - acknowledged[0]) * 1000)
    return times


def print_times(name, times):
    times.sort()
    print(f"  {name:12} median {statistics.median(times):6.1f} ms, p95 {times[len(times) * 95 // 100]:6.1f}"
          f" ms, most {times[-1]:.1f} ms ({len(times)} events)", flush=True)


def freshness(cluster, options):
    print("freshness, from acknowledged to visible over HTTP:")
    topic = cluster.create_topic("fresh", PARTITIONS)
    redis = Redis()
    app = daemon.Kpid(settings(cluster, topic, redis))
    try:
        app.wait_ready()
        print_times("calm", sample(app, cluster, topic, options.samples))
        noise = Noise(cluster, topic, options)
        try:
            app.wait(lambda: app.metrics().sum("kpid_events_total") > 100000, 60, "it is busy")
            print_times("under load", sample(app, cluster, topic, max(options.samples // 4, 10)))
        finally:
            noise.stop()
    finally:
        app.close()
        redis.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4000000)
    parser.add_argument("--users", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--codec", default="none", choices=("none", "lz4"))
    parser.add_argument("--only", choices=("catch-up", "freshness"))
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.release()}, "
          f"librdkafka {kafka.client().libversion()[0]}, Apache Kafka 4.1.0 on the same machine")
    broker = kafka.Broker(heap="1g")
    try:
        if options.only != "freshness":
            catch_up(broker.cluster(), options)
        if options.only != "catch-up":
            freshness(broker.cluster(), options)
    finally:
        broker.close()


if __name__ == "__main__":
    main()
