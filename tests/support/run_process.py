"""Runs the process tests, two files at a time, on one shared broker.

    python3 -m support.run_process [--results FILE] [NAME …]       (in tests/)

A name is a file (test_replay), or a class or test in it (test_replay.Replay.test_shards_add_up).
"""

import argparse
import concurrent.futures
import glob
import os
import signal
import subprocess
import sys
import time
import uuid

from support import kafka
from support.paths import TESTS

# The longest first; what is not named here comes after them.
ORDER = ("test_crash", "test_redis", "test_broker", "test_instances", "test_stop", "test_alerts",
         "test_oracle", "test_hostile_http")

LANES = 2
SECONDS_MAX = 600


def files():
    names = {os.path.basename(p)[:-3] for p in glob.glob(os.path.join(TESTS, "process", "test_*.py"))}
    return [n for n in ORDER if n in names] + sorted(names - set(ORDER))


def sweep(mark):
    """Kills what a file of tests has started and left, found by the mark in its environment."""
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as f:
                if mark.encode() in f.read():
                    os.kill(int(path.split("/")[2]), signal.SIGKILL)
        except OSError:
            pass  # it has ended, or is somebody else's


def run(name, results, environment):
    mark = f"KPID_TEST_FILE={uuid.uuid4().hex}"
    key, value = mark.split("=")
    command = [sys.executable, "-m", "support.runner"]
    if results:
        command += ["--results", results]
    began = time.monotonic()
    with subprocess.Popen([*command, f"process.{name}"], cwd=TESTS, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, **environment, key: value}) as child:
        try:
            output = child.communicate(timeout=SECONDS_MAX)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            sweep(mark)
            output = child.communicate()[0]
            output += f"  fail {name}: not done after {SECONDS_MAX} s\n"
            if results:
                with open(results, "a", encoding="utf-8") as f:
                    f.write(f"fail\t{name}\tnot done after {SECONDS_MAX} s\n")
    sweep(mark)
    print(f"{name} ({time.monotonic() - began:.0f} s)\n{output}", end="", flush=True)
    return child.returncode == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    names = [n.removesuffix(".py") for n in options.names] or files()
    broker = None
    environment = {}
    try:
        broker = kafka.Broker()
        environment["KPID_TEST_BROKER"] = broker.address
        print(f"Apache Kafka on {broker.address}", flush=True)
    except kafka.Unavailable as error:
        print(f"no broker: {error}", flush=True)
        environment["KPID_TEST_NO_BROKER"] = str(error)
    try:
        with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
            good = list(pool.map(lambda n: run(n, options.results, environment), names))
    finally:
        if broker:
            broker.close()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
