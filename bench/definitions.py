#!/usr/bin/python3
"""What definitions cost an event: `kpid replay` of one warm file with more and more of them. See README.md here."""

import argparse
import datetime
import os
import platform
import statistics
import sys
import tempfile

from replay import CAMPAIGNS, cpu_seconds, generate

from support import daemon
from support.campaigns import Campaign, configuration, day_of

# Nearly every event meets the conditions below, so what they define is really fed.
MANY = 'type in ["exposure", "participation", "session", "like", "login"]'


def kpis_of(names):
    """A measure is kept if a formula names it."""
    return {f"k_{name}": {"formula": name, "unit": "count"} for name in names}


def counts(n, condition):
    measures = {f"m{i}": {"agg": "count", "where": condition(i)} for i in range(n)}
    return {"measures": measures, "kpis": kpis_of(measures)}


def own_condition(i):
    return f'{MANY} and channel != "c{i}"'


def levels(n):
    """Distinct users, of one condition: users(1), users(2) …"""
    measures = {f"m{i}": {"agg": f"users({i + 1})", "where": MANY} for i in range(n)}
    return {"measures": measures, "kpis": kpis_of(measures)}


def fields(n):
    """Sums of different fields under one condition; duration is the only one that is there."""
    measures = {f"m{i}": {"agg": f"sum({'duration' if i == 0 else f'f{i}'})", "where": MANY}
                for i in range(n)}
    return {"measures": measures, "kpis": kpis_of(measures)}


def attributes(n):
    kept = {f"a{i}": {"agg": "count", "where": own_condition(i)} for i in range(n)}
    asked = " and ".join(f"{name} >= 0" for name in kept)
    return {"attributes": kept,
            "measures": {"m": {"agg": "count", "where": f'type == "purchase" and {asked}'}},
            "kpis": kpis_of(["m"])}


def breakdowns(*by):
    names = {"channel": "channel", "country": "country", "app": "app", "page": "page"}
    return {"dimensions": {name: {"of": of} for name, of in names.items()}, "breakdowns": list(by)}


def funnel(order, *by):
    """Three steps that nearly every event is of, or none, but for the order's sake."""
    steps = ['type == "exposure"', 'type in ["participation", "session"]', 'type == "purchase"']
    return {"dimensions": {"channel": {}},
            "funnels": {"f": {"steps": steps, "order": order, "within": "7d",
                              **({"by": list(by)} if by else {})}}}


CASES = (
    ("the five KPIs", {}),
    ("the whole catalogue", {"catalogue": "all"}),
    ("+ 8 counts, a condition each", counts(8, own_condition)),
    ("+ 32", counts(32, own_condition)),
    ("+ 128", counts(128, own_condition)),
    ("+ 8 sums, one condition", fields(8)),
    ("+ 32", fields(32)),
    ("+ users(1) … users(8), one condition", levels(8)),
    ("+ 4 attributes", attributes(4)),
    ("+ 16", attributes(16)),
    ("+ 4 dimensions, no breakdown", breakdowns()),
    ("+ breakdown by channel", breakdowns("channel")),
    ("+ by channel, country", breakdowns("channel", "country")),
    ("+ by channel, country, app, page",
     breakdowns("channel", "country", "app", "page")),
    ("+ by the combination of two", breakdowns(["channel", "country"])),
    ("+ a funnel of three steps", funnel("ordered")),
    ("+ by channel, of the first event", funnel("ordered", "channel")),
    ("+ strict", funnel("strict")),
    ("+ in any order", funnel("any")),
    ("+ the funnel aida of the catalogue", {"funnels": {"aida": {}}}),
    ("+ a count by a nested field", counts(1, lambda i: 'props.city == "Hangzhou"')),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500000)
    parser.add_argument("--users", type=int, default=50000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # inherited: all of it on one core
    today = day_of(datetime.datetime.now(datetime.timezone.utc).date())
    campaigns = [Campaign(name, "Asia/Shanghai", today - 30, today + 10) for name in CAMPAIGNS]
    print(f"{platform.machine()}, {os.cpu_count()} cores, one used; {options.events} events of "
          f"{options.users} users, {options.rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="kpid-bench-") as directory:
        path = os.path.join(directory, "events.ndjson")
        generate(path, options)
        configs, times = [], [[] for _ in CASES]
        for i, (_name, defined) in enumerate(CASES):
            at = os.path.join(directory, str(i))
            os.mkdir(at)
            settings = configuration(campaigns)
            for section, definitions in defined.items():
                settings[section] = definitions
            configs.append(os.path.join(daemon.directory_for(settings, at), "kpid.yaml"))
        cpu_seconds("cat", path)  # it is warm from here on
        for _ in range(options.rounds):  # in turn, so that what else the machine does falls on all
            for i, config in enumerate(configs):
                seconds, said = cpu_seconds(daemon.binary(), "replay", "-c", config, path)
                if f"{options.events} events applied, 0 duplicates" not in said:
                    sys.exit(f"not all {options.events} events were applied: {said}")
                times[i].append(seconds)
        for (name, _defined), taken in zip(CASES, times):
            ns = statistics.median(taken) * 1e9 / options.events
            ratio = statistics.median(a / b for a, b in zip(taken, times[0]))
            print(f"{name:40} {ns:6.0f} ns CPU an event  {ratio:5.2f} times", flush=True)


if __name__ == "__main__":
    main()
