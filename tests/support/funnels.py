"""Funnels by brute force: every chain of every user, from the words of libkpi/include/kpi/funnel.h.

Events are dicts as in the stream, with "at": microseconds. Conditions are Python functions of an
event; the definition that kpid reads is beside them.
"""

import itertools
import json

ORDERED, STRICT, ANY = "ordered", "strict", "any"
SECOND = 1_000_000


class Condition:
    """What kpid reads, and what it means."""

    def __init__(self, text, holds):
        self.text, self.holds = text, holds


def of_type(*types):
    if len(types) == 1:
        return Condition(f'type == "{types[0]}"', lambda e: e["type"] == types[0])
    return Condition(f"type in {json.dumps(list(types))}", lambda e: e["type"] in types)


class Funnel:
    def __init__(self, name, steps, order=ORDERED, within=3600, lateness=3600, optional=(),
                 exclusions=(), by=()):
        self.name, self.steps, self.order = name, steps, order
        self.within, self.lateness = within * SECOND, lateness * SECOND
        self.optional, self.exclusions, self.by = frozenset(optional), exclusions, tuple(by)

    def definition(self):
        """As the configuration says it."""
        steps = [{"name": f"s{i}", "where": s.text, "optional": i in self.optional}
                 for i, s in enumerate(self.steps)]
        funnel = {"steps": steps, "order": self.order, "within": f"{self.within // SECOND}s",
                  "lateness": f"{self.lateness // SECOND}s"}
        if self.exclusions:
            funnel["exclude"] = [{"where": c.text, "from": f"s{a}", "to": str(b + 1)}
                                 for c, a, b in self.exclusions]
        if self.by:
            funnel["by"] = list(self.by)
        return funnel

    # -- the sequence

    def meets(self, event):
        return [i for i, s in enumerate(self.steps) if s.holds(event)]

    def excluded_by(self, event):
        return [i for i, (c, _, _) in enumerate(self.exclusions) if c.holds(event)]

    def is_about(self, event):
        return self.order == STRICT or bool(self.meets(event) or self.excluded_by(event))

    def values(self, event):
        return tuple(event.get(name) for name in self.by)

    def place(self, event):
        """A key in whose order events stand; equal for what cannot be told apart."""
        steps, exclusions = self.meets(event), self.excluded_by(event)
        rank = 1 + steps[0] if steps else 0 if exclusions else 99
        return (event["at"], rank, sum(1 << i for i in steps), sum(1 << i for i in exclusions))

    def sequence(self, events):
        events = sorted(events, key=self.place)
        stepped = {e["at"] for e in events if self.meets(e)}
        return [e for e in events
                if self.meets(e) or self.excluded_by(e) or e["at"] not in stepped]

    # -- chains

    def chains(self, sequence):
        """All chains, each a list of (place, step)."""
        if self.order == ANY:
            yield from self.chains_of_any(sequence)
            return
        for i, event in enumerate(sequence):
            if 0 in self.meets(event):
                yield from self.continued(sequence, [(i, 0)])

    def continued(self, sequence, chain):
        yield chain
        last, reached = chain[-1]
        start = sequence[chain[0][0]]["at"]
        for i in range(last + 1, len(sequence)):
            if self.order == STRICT and i > last + 1 or sequence[i]["at"] - start > self.within:
                return
            for step in self.meets(sequence[i]):
                if step > reached and all(k in self.optional for k in range(reached + 1, step)):
                    yield from self.continued(sequence, chain + [(i, step)])
            if any(a <= reached < b for k in self.excluded_by(sequence[i])
                   for _, a, b in [self.exclusions[k]]):
                return

    def chains_of_any(self, sequence):
        for n in range(1, len(self.steps) + 1):
            for places in itertools.combinations(range(len(sequence)), n):
                if sequence[places[-1]]["at"] - sequence[places[0]]["at"] > self.within:
                    continue
                met = [self.meets(sequence[i]) for i in places]
                if any(all(s in m for s, m in zip(order, met))
                       for order in itertools.permutations(range(len(self.steps)), n)):
                    yield [(place, k) for k, place in enumerate(places)]

    def preference(self, sequence, chain):
        """The least one is the user's chain."""
        back = reversed(chain[:-1])
        if self.order == ANY:
            rest = [(-place, 0) for place, _ in back]
        else:
            rest = [(-step, place) for place, step in back]
        return (-chain[-1][1], chain[-1][0], -sequence[chain[0][0]]["at"], rest)

    def chain_of(self, events):
        """The user's: steps with events, or None."""
        sequence = self.sequence(events)
        best = min(self.chains(sequence), key=lambda c: self.preference(sequence, c), default=None)
        return best and [(step, sequence[place]) for place, step in best]

    # -- late events

    def on_time(self, arrived, highest):
        """The events of a user that are not late, and how many are; `highest` by arrival."""
        taken, n_late = [], 0
        for event, top in zip(arrived, highest):
            if not self.is_about(event):
                continue
            older = [e for e in taken if e["at"] < top - self.lateness]
            chain = self.chain_of(older)
            if chain and chain[-1][0] == len(self.steps) - 1:
                n_late += self.place(event) < self.place(chain[-1][1])
                continue
            if any(self.place(e) > self.place(event) for e in self.sequence(older)):
                n_late += 1
            else:
                taken.append(event)
        return taken, n_late


class Result:
    """What a funnel gives for the events of a stream, in their order of arrival, of one shard."""

    def __init__(self, funnel, events, day_of):
        self.funnel, self.n_late = funnel, 0
        self.chains = []  # (values, day, {step: event})
        users, top = {}, -1
        for event in events:
            top = max(top, event["at"])
            if "user" in event:
                arrived, highest = users.setdefault(event["user"], ([], []))
                arrived.append(event)
                highest.append(top)
        for arrived, highest in users.values():
            taken, late = funnel.on_time(arrived, highest)
            self.n_late += late
            chain = funnel.chain_of(taken)
            if chain:
                first = chain[0][1]
                self.chains.append((funnel.values(first), day_of(first["at"]), chain))

    def groups(self):
        return sorted({values for values, _, _ in self.chains},
                      key=lambda values: [(v is not None, v or "") for v in values])

    def numbers(self, values=None):
        """Users and times of each step, of the whole, and users by day and step."""
        n = len(self.funnel.steps)
        users, times, whole, trend = [0] * n, [[] for _ in range(n)], [], {}
        for of, day, chain in self.chains:
            if values is not None and of != values:
                continue
            by_day = trend.setdefault(day, [0] * n)
            for k, (step, event) in enumerate(chain):
                users[step] += 1
                by_day[step] += 1
                if k:
                    times[step].append(event["at"] - chain[k - 1][1]["at"])
            if chain[-1][0] == n - 1:
                whole.append(chain[-1][1]["at"] - chain[0][1]["at"])
        return users, times, whole, trend


def times_differ(times, median, mean, error=1 / 128):
    """Is a median or mean wrong? Means to rounding, medians to their stated error."""
    if not times:
        return median is not None or mean is not None
    if median is None or mean is None:
        return True
    right = sum(times) / len(times) / SECOND
    middle = sorted(times)[(len(times) - 1) // 2] / SECOND
    return abs(mean - right) > 1e-9 * max(right, 1) or abs(median - middle) > error * middle + 1e-9


def differences(entry, numbers):
    """What an entry of the JSON has otherwise than the oracle, in words."""
    users, times, whole, trend = numbers
    wrong = []
    got = [s["users"] for s in entry["steps"]]
    if got != users:
        wrong.append(f"users {got}, not {users}")
    for i, step in enumerate(entry["steps"]):
        if times_differ(times[i], step["median_seconds"], step["mean_seconds"]):
            wrong.append(f"times of step {i}: {step}, not of {sorted(times[i])}")
        if step["of_first"] != (users[i] / users[0] if users[0] else None):
            wrong.append(f"share of step {i}: {step['of_first']}")
    of = entry["whole"]
    if of["users"] != len(whole) or times_differ(whole, of["median_seconds"], of["mean_seconds"]):
        wrong.append(f"whole {of}, not of {sorted(whole)}")
    days = {t["start"][:10]: t["users"] for t in entry["trend"]}
    if days != trend:
        wrong.append(f"trend {days}, not {trend}")
    return [f"{entry['funnel']} {entry.get('by', '')}: {w}" for w in wrong]
