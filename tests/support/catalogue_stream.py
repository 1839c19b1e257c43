"""A small stream with an event of every type that the shipped catalogue counts: of several campaigns in zones
with summer time and of none, out of order, days late, copied. The same seed gives the same lines."""

import datetime
import json
import random

from support.campaigns import Campaign, day_of, day_start

HOUR, DAY = 3_600_000_000, 86_400_000_000

# The stream ends at the begin of this day, UTC. New York's clocks change on 8 March, Berlin's on 29 March.
END = datetime.date(2026, 4, 20)

# How often each type is met, and whether it is of a user.
TYPES = (("exposure", 12), ("participation", 8), ("comment", 3), ("like", 4), ("share", 3), ("invite", 3),
         ("signup", 5), ("login", 7), ("session", 5), ("reservation", 2), ("checkout", 4), ("purchase", 14),
         ("refund", 3), ("survey", 10), ("complaint", 2), ("page", 2), ("spend", 4), ("kpid.gauge", 6),
         ("kpid.milestone", 2))
NOBODY = ("spend", "kpid.gauge", "kpid.milestone")
GAUGES = ("reservation_goal", "own_mentions", "category_mentions", "search_index", "awareness")


def campaigns():
    a = day_of(END)
    return (Campaign("春季会员月", "Asia/Shanghai", a - 50, a - 25, (
                ("warmup", a - 57, a - 50, ("-7d", "start")), ("burst", a - 50, a - 45, ("start", "+5d")))),
            Campaign("spring-ny", "America/New_York", a - 48, a - 6),
            Campaign("Frühling", "Europe/Berlin", a - 30, a + 5))


class Stream:
    def __init__(self, seed, n_events=600, n_users=40):
        self.random = random.Random(seed)
        self.end = day_start("UTC", day_of(END))
        self.campaigns = campaigns()
        self.users = [f"u-{i}" for i in range(n_users)]
        kinds = [kind for kind, weight in TYPES for _ in range(weight)]
        made = [self._event(self.random.choice(kinds), i) for i in range(n_events)]
        made += self._copies(made)
        made.sort(key=lambda e: e[0])
        self.events = [event for _at, event in made]

    def ndjson(self):
        """Arrival order, without record times: those of a file are the events' own."""
        return "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in self.events)

    def _event(self, kind, i):
        r = self.random
        at = self.end - r.randrange(1000, 100 * DAY // 1000 if r.random() < 0.3 else 55 * DAY // 1000) * 1000
        event = {"id": f"e{i}", "type": kind, "time": at // 1000}
        if kind not in NOBODY:
            event["user"] = r.choice(self.users)
        if kind != "kpid.gauge" and r.random() < 0.75:
            event["campaign"] = r.choice(self.campaigns).id
        elif r.random() < 0.2:
            event["campaign"] = r.choice(("", "no-such"))
        getattr(self, "_" + kind.replace(".", "_"), lambda e: None)(event)
        late = r.choice((0, 0, 0, 0, r.randrange(HOUR), r.randrange(4 * DAY)))
        return min(at + late, self.end - 1), event

    def _copies(self, made):
        """The same again within minutes: a duplicate."""
        return [(at + self.random.randrange(60_000_000), event)
                for at, event in self.random.sample(made, len(made) // 25)]

    def _maybe(self, event, key, values, share=0.8):
        if self.random.random() < share:
            event[key] = self.random.choice(values)

    def _share(self, event):
        self._maybe(event, "incentive", (True, False))

    def _signup(self, event):
        self._maybe(event, "inviter", ("u-1", "u-2", ""))
        self._maybe(event, "invited_after", (60, 3600, 0, -5, 90.5))

    def _session(self, event):
        self._maybe(event, "duration", (0, 12, 480, 900.25, -3))

    def _purchase(self, event):
        event["amount"] = self.random.choice(("9.90", "120", "600.01", "2000", "0.000001", "499.99"))

    def _refund(self, event):
        event["amount"] = self.random.choice(("9.90", "50", "3000"))

    def _spend(self, event):
        event["amount"] = str(self.random.randrange(10, 4000))
        self._maybe(event, "category", ("media", "people", "tools", "agency", "content"))
        self._maybe(event, "bucket", ("base", "float", "core"))

    def _survey(self, event):
        self._maybe(event, "question", ("nps", "csat", "csat", "csat", "colour", ""))
        self._maybe(event, "score", (0, 1, 2, 3, 4, 5, 5, 6, 8, 9, 9, 10, 11, 7.5, -1), 0.97)
        self._maybe(event, "valid", (True, False), 0.4)

    def _kpid_gauge(self, event):
        event["gauge"] = self.random.choice(GAUGES)
        event["value"] = self.random.choice((0.5, 0.75, 40, 300, 1200))

    def _kpid_milestone(self, event):
        self._maybe(event, "done", (True, True, False))
