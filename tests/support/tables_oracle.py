"""What tables must be: sqlite, by SQL written from the definitions, over events that Python has put into
their local hours, days, weeks …; it shares nothing with kpid.

A period is a number that rises by one from each to the next: hours are those of UTC (zones of whole hours),
days, weeks, months … those of the local calendar.
"""

import collections
import datetime
import fractions
import math
import random
import sqlite3
import zoneinfo

HOUR, DAY = 3_600_000_000, 86_400_000_000  # microseconds
KEEP = 400 * DAY  # kpid's default
BASES = ("hour", "day", "week", "month", "quarter", "year")
MODES = ("classic", "unbounded", "bracket", "every")
COHORTS = ("first_time", "first_ever", "recurring")
LAST = {"hour": 48, "day": 90, "week": 26, "month": 24, "quarter": 12, "year": 10, "elapsed": 90}
TYPES = ("signup", "visit", "purchase", "noise")
# The measures of the configuration, as SQL.
MEASURES = {
    "starts": "type = 'signup'",
    "big": "type = 'signup' AND channel = 'a'",
    "active": "type IN ('signup', 'visit', 'purchase')",
    "buyers": "type = 'purchase'",
}
WHERE = {
    "starts": 'type == "signup"',
    "big": 'type == "signup" and channel == "a"',
    "active": 'type in ["signup", "visit", "purchase"]',
    "buyers": 'type == "purchase"',
}
# Visits are sessions, some of unknown length.
SESSIONS = {
    "lengths": {"agg": "quantiles(seconds)", "where": 'type == "visit" and seconds >= 0'},
    "visitors": {"agg": "users", "where": 'type == "visit" and seconds >= 0'},
    "short": {"agg": "count", "where": 'type == "visit" and seconds >= 0 and seconds < 10'},
}
EXACT, ERROR = 1000, 0.01
TYPE_OF = {"starts": "type = 'signup'", "big": "type = 'signup'"}


class Calendar:
    def __init__(self, zone, week_start=0):
        self.zone, self.week_start = zoneinfo.ZoneInfo(zone), week_start

    def local(self, time):
        return datetime.datetime.fromtimestamp(time // 1_000_000, self.zone)

    def period(self, basis, time):
        if basis == "hour":
            return time // HOUR
        return self.of_day(basis, self.local(time).date())

    def of_day(self, basis, date):
        if basis == "day":
            return date.toordinal()
        if basis == "week":  # ordinal 1 was a Monday
            return (date.toordinal() - 1 - self.week_start) // 7
        return {"month": date.year * 12 + date.month - 1, "quarter": date.year * 4 + (date.month - 1) // 3,
                "year": date.year}[basis]

    def first_day(self, basis, period):
        if basis == "day":
            return datetime.date.fromordinal(period)
        if basis == "week":
            return datetime.date.fromordinal(period * 7 + 1 + self.week_start)
        months = period * {"month": 1, "quarter": 3, "year": 12}[basis]
        return datetime.date(months // 12, months % 12 + 1, 1)

    def start(self, basis, period):
        """The instant at which a period begins."""
        if basis == "hour":
            return period * HOUR
        midnight = datetime.datetime.combine(self.first_day(basis, period), datetime.time(), self.zone)
        return int(midnight.timestamp()) * 1_000_000

    def text(self, time):
        return self.local(time).isoformat()


def stream(seed, zone, days, n_users=25, n_events=350, copies=True, end=None):
    """Events as they arrive: mostly in order, some late by hours or days, some twice."""
    rng = random.Random(seed)
    # over the end of summer time in Berlin and New York
    end = end or datetime.datetime(2026, 11, 4, 11, 30, tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()
    events = []
    for i in range(n_events):
        time = end - rng.random() ** rng.choice((1, 1, 3)) * days * 86400
        arrival = time + rng.choice((0,) * 8 + (7200, 40 * 3600, 6 * 86400)) * rng.random()
        event = {"id": f"{seed}-{i}", "type": rng.choice(TYPES), "time": int(time) * 1_000_000,
                 "user": f"u{int(n_users * rng.random() ** 1.5)}"}
        if rng.random() < 0.9:
            event["channel"] = rng.choice("aab")
        if rng.random() < 0.5:
            event["city"] = rng.choice(("北京", "x"))
        if event["type"] == "visit" and rng.random() < 0.95:
            event["seconds"] = rng.choice((0, 10, -1, rng.randrange(60), round(rng.gauss(300, 100), 3)))
        events.append((arrival, i, event))
        if copies and rng.random() < 0.05:
            events.append((arrival + 60, i + n_events, event))
    return [event for _arrival, _i, event in sorted(events, key=lambda e: e[:2])]


class Oracle:
    def __init__(self, events, calendar, as_of=None):
        self.calendar = calendar
        self.as_of = as_of or max(e["time"] for e in events)
        self.db = sqlite3.connect(":memory:")
        columns = ", ".join(f"{basis} INTEGER" for basis in BASES)
        self.db.execute(f"CREATE TABLE event (id TEXT PRIMARY KEY, user TEXT, type TEXT, time INTEGER, "
                        f"channel TEXT, city TEXT, seconds TEXT, {columns})")
        for e in events:
            row = [e["id"], e["user"], e["type"], e["time"], e.get("channel"), e.get("city"),
                   None if "seconds" not in e else str(e["seconds"])]
            row += [calendar.period(basis, e["time"]) for basis in BASES]
            self.db.execute(f"INSERT OR IGNORE INTO event VALUES ({', '.join('?' * len(row))})", row)

    def rows(self, sql, **parameters):
        return self.db.execute(sql, parameters).fetchall()

    def groups(self, by):
        """The values that events have, as dicts of `by`."""
        return [dict(zip(by, row)) for row in self.rows(f"SELECT DISTINCT {', '.join(by)} FROM event")]

    def filtered(self, name, measure, group, basis):
        """A view of the measure's users and periods."""
        where = MEASURES[measure]
        for column, value in group.items():
            where += f" AND {column} IS " + ("NULL" if value is None else f"'{value}'")
        self.db.executescript(f"""DROP TABLE IF EXISTS {name}; CREATE TABLE {name} AS
            SELECT DISTINCT user, {basis} AS p, hour AS h FROM event WHERE {where};
            CREATE INDEX {name}_user ON {name} (user, p);""")

    def cohort(self, table, group):
        """Table c (user, p, h): p the period of the cohort, h the hour of the first start."""
        basis = "day" if table["basis"] == "elapsed" else table["basis"]
        self.filtered("s", table["start"], group, basis)
        how = {
            "first_time": "SELECT user, min(p) AS p, min(h) AS h FROM s GROUP BY user",
            "recurring": "SELECT DISTINCT user, p, NULL AS h FROM s",
            # the first event of the type; of several at that instant any may be the one
            "first_ever": f"""SELECT DISTINCT user, {basis} AS p, hour AS h FROM event e
                WHERE {MEASURES[table['start']]} AND time = (SELECT min(time) FROM event f
                    WHERE f.user = e.user AND {TYPE_OF.get(table['start'], MEASURES[table['start']])})""",
        }[table["cohort"]]
        self.db.executescript(f"DROP TABLE IF EXISTS c; CREATE TABLE c AS {how}")

    def retention(self, table, group):
        basis = "day" if table["basis"] == "elapsed" else table["basis"]
        self.cohort(table, group)
        self.filtered("r", table["return"], group if table["match"] == "both" else {}, basis)
        # back: how many periods behind the start a user returned
        later = "(r.h - c.h) / 24" if table["basis"] == "elapsed" else "r.p - c.p"
        behind = "r.h >= c.h" if table["basis"] == "elapsed" else "r.p >= c.p"
        self.db.executescript(f"""DROP TABLE IF EXISTS back; CREATE TABLE back AS
            SELECT DISTINCT c.p AS p, c.user AS user, {later} AS n FROM c JOIN r
            ON r.user = c.user AND {behind}""")
        sizes = dict(self.rows("SELECT p, count(DISTINCT user) FROM c GROUP BY p"))
        count = {
            "classic": "SELECT p, count(*) FROM back WHERE n = :from GROUP BY p",
            "unbounded": "SELECT p, count(DISTINCT user) FROM back WHERE n >= :from GROUP BY p",
            "bracket": "SELECT p, count(DISTINCT user) FROM back WHERE n >= :from AND n < :to GROUP BY p",
            "every": """SELECT p, count(*) FROM (SELECT p, user FROM back WHERE n BETWEEN 1 AND :from
                GROUP BY p, user HAVING count(*) = :from) GROUP BY p""",
        }[table["mode"]]
        brackets = table["brackets"] if table["mode"] == "bracket" else \
            [(n, n + 1) for n in range(table["periods"] + 1)]
        counts = {}
        for begin, end in brackets:
            counts[begin, end] = sizes if table["mode"] == "every" and begin == 0 else \
                dict(self.rows(count, **{"from": begin, "to": end}))
        now = self.calendar.period(basis, self.as_of)
        cohorts = []
        for p in sorted(sizes):
            if not now - table["last"] < p <= now:
                continue
            cells = []
            for begin, end in brackets:
                starts, ends = self.cell_times(table["basis"], p, begin, end)
                if starts <= self.as_of:
                    cells.append({"n": begin, "users": counts[begin, end].get(p, 0),
                                  "mature": ends <= self.as_of})
                    if table["mode"] == "bracket":
                        cells[-1]["to"] = end
            cohorts.append({"start": self.calendar.text(self.calendar.start(basis, p)),
                            "size": sizes[p], "cells": cells})
        return cohorts

    def cell_times(self, basis, p, begin, end):
        """When the first user enters a cell, and the last one leaves it."""
        if basis == "elapsed":
            start, next_day = self.calendar.start("day", p), self.calendar.start("day", p + 1)
            return start + begin * DAY, next_day - HOUR + end * DAY
        return self.calendar.start(basis, p + begin), self.calendar.start(basis, p + end)

    def lifecycle(self, table, group):
        self.filtered("a", table["of"], group, table["basis"])
        now = self.calendar.period(table["basis"], self.as_of)
        periods = []
        for p in range(now - table["last"] + 1, now + 1):
            (new, returning, resurrecting, dormant), = self.rows("""
                WITH a1 AS (SELECT DISTINCT user FROM a WHERE p = :p),
                     a0 AS (SELECT DISTINCT user FROM a WHERE p = :p - 1),
                     earlier AS (SELECT DISTINCT user FROM a WHERE p < :p)
                SELECT (SELECT count(*) FROM a1 WHERE user NOT IN earlier),
                       (SELECT count(*) FROM a1 WHERE user IN a0),
                       (SELECT count(*) FROM a1 WHERE user IN earlier AND user NOT IN a0),
                       (SELECT count(*) FROM a0 WHERE user NOT IN a1)""", p=p)
            if new or returning or resurrecting or dormant:
                periods.append({"start": self.calendar.text(self.calendar.start(table["basis"], p)),
                                "mature": self.calendar.start(table["basis"], p + 1) <= self.as_of,
                                "new": new, "returning": returning, "resurrecting": resurrecting,
                                "dormant": dormant})
        return periods

    def intervals(self, table, group):
        """{start: [(n, users)]}: an interval counts in the period in which it begins."""
        where = MEASURES[table["of"]]
        for column, value in group.items():
            where += f" AND {column} IS " + ("NULL" if value is None else f"'{value}'")
        rows = self.rows(f"""SELECT user, {table['basis']} FROM event WHERE {where}
                GROUP BY 1, 2 HAVING count(*) >= :k""", k=table["at_least"])
        if "trailing" in table:
            return self.trailing(table, rows)
        now = self.calendar.period(table["over"], self.as_of)
        found = {}
        users = {}
        for user, p in rows:
            over = self.calendar.period(table["over"], self.calendar.start(table["basis"], p))
            users.setdefault(over, {}).setdefault(user, set()).add(p)
        for over, active in users.items():
            if now - table["last"] < over <= now:
                found[self.calendar.text(self.calendar.start(table["over"], over))] = \
                    self.distribution([len(intervals) for intervals in active.values()])
        return found

    def distribution(self, counts):
        return [{"n": n, "users": counts.count(n), "or_more": sum(c >= n for c in counts)}
                for n in range(1, max(counts) + 1)]

    def trailing(self, table, rows):
        """As of each of the last intervals p, of p and those before it, so many in all; only of what is
        kept."""
        now = self.calendar.period(table["basis"], self.as_of)
        found = {}
        for p in range(now - table["last"] + 1, now + 1):
            first = p - table["trailing"] + 1
            start = self.calendar.start(table["basis"], first)
            active = collections.Counter(user for user, q in rows if first <= q <= p)
            if active and start >= self.as_of - KEEP:
                found[self.calendar.text(start)] = self.distribution(list(active.values()))
        return found

    def sessions(self, table, group):
        """Per period, the exact numbers; what the tables add to them is for the test to check."""
        where = "type = 'visit' AND CAST(seconds AS REAL) >= 0"
        for column, value in group.items():
            where += f" AND {column} IS " + ("NULL" if value is None else f"'{value}'")
        now = self.calendar.period(table["basis"], self.as_of)
        found = {}
        for p, user, seconds in self.rows(f"SELECT {table['basis']}, user, seconds FROM event WHERE {where}"):
            if now - table["last"] < p <= now:
                found.setdefault(p, []).append((fractions.Fraction(seconds), user))
        periods = []
        for p in sorted(found):
            lengths = sorted(length for length, _user in found[p])
            rank = lambda share: lengths[math.ceil(share * len(lengths)) - 1]
            periods.append({"start": self.calendar.text(self.calendar.start(table["basis"], p)),
                            "mature": self.calendar.start(table["basis"], p + 1) <= self.as_of,
                            "sessions": len(lengths), "users": len({user for _length, user in found[p]}),
                            "mean_seconds": sum(lengths) / len(lengths),
                            "median_seconds": rank(fractions.Fraction(1, 2)),
                            "p90_seconds": rank(fractions.Fraction(9, 10)),
                            "bounced": sum(length < 10 for length in lengths)})
        return periods
