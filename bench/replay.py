#!/usr/bin/python3
"""`kpid replay` of a warm file on one core: events per second of CPU time. See README.md here."""

import argparse
import csv
import datetime
import gzip
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("KPID_BUILD", os.path.join(ROOT, "build-release"))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from support import daemon  # noqa: E402
from support.campaigns import Campaign, configuration, day_of  # noqa: E402
from support.paths import BUILD  # noqa: E402

CAMPAIGNS = ("yueyue-2026-11", "double11-main", "spring-fair-cn")  # as in events.c


def generate(path, options):
    with open(path, "wb") as f:
        subprocess.run([os.path.join(BUILD, "bench", "generate"), "--events", str(options.events),
                        "--users", str(options.users)], stdout=f, check=True)


def make_csv(lines, path):
    """The same events, without what is nested in them."""
    documents = [json.loads(line) for line in lines]
    names = list(dict.fromkeys(k for d in documents for k, v in d.items()
                               if not isinstance(v, (dict, list))))
    with open(path, "w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, names, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(documents)


def make_gzip(source, path):
    with open(source, "rb") as f, gzip.open(path, "wb", compresslevel=6) as packed:
        shutil.copyfileobj(f, packed, 1 << 20)


def cpu_seconds(*argv):
    """User and system time of a program on one core, and what it says on stderr."""
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read().decode()
    _pid, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{argv[0]} ended with {child.returncode}: {said}")
    return usage.ru_utime + usage.ru_stime, said


def measure(name, config, path, n_events, rounds):
    """Prints the median of replay's rate, and its ratio to reading and unpacking the same file."""
    other = ("zcat",) if path.endswith(".gz") else ("wc", "-l")
    rates, ratios = [], []
    cpu_seconds("cat", path)  # it is warm from here on
    for _ in range(rounds):
        beside, _said = cpu_seconds(*other, path)
        seconds, said = cpu_seconds(daemon.binary(), "replay", "-c", config, path)
        if not said.startswith(f"{n_events} events applied, 0 duplicates, 0 conflicts, 0 refused"):
            sys.exit(f"not all {n_events} events were applied: {said}")
        rates.append(n_events / seconds)
        ratios.append(seconds / beside if beside else float("nan"))
    rate = statistics.median(rates)
    print(f"{name:14} {rate / 1e6:5.2f} M events/s  {1e9 / rate:5.0f} ns CPU an event "
          f"({min(rates) / 1e6:.2f} to {max(rates) / 1e6:.2f} in {rounds} rounds)  "
          f"{statistics.median(ratios):.1f} times `{' '.join(other)}`", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000000)
    parser.add_argument("--users", type=int, default=200000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # inherited: all of it on one core
    today = day_of(datetime.datetime.now(datetime.timezone.utc).date())
    campaigns = [Campaign(name, "Asia/Shanghai", today - 30, today + 10) for name in CAMPAIGNS]
    print(f"{platform.machine()}, {os.cpu_count()} cores, one used; {options.events} events of "
          f"{options.users} users, a quarter of them but for NDJSON")
    with tempfile.TemporaryDirectory(prefix="kpid-bench-") as directory:
        config = os.path.join(daemon.directory_for(configuration(campaigns), directory), "kpid.yaml")
        paths = [os.path.join(directory, name) for name in
                 ("events.ndjson", "some.ndjson", "some.ndjson.gz", "some.csv", "some.csv.gz")]
        generate(paths[0], options)
        measure("NDJSON", config, paths[0], options.events, options.rounds)
        with open(paths[0], "rb") as f:
            lines = [f.readline() for _ in range(options.events // 4)]
        with open(paths[1], "wb") as f:
            f.writelines(lines)
        make_csv(lines, paths[3])
        make_gzip(paths[1], paths[2])
        make_gzip(paths[3], paths[4])
        for name, path in (("NDJSON, gzip", paths[2]), ("CSV", paths[3]), ("CSV, gzip", paths[4])):
            measure(name, config, path, len(lines), options.rounds)


if __name__ == "__main__":
    main()
