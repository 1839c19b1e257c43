"""What the numbers must be: sqlite computes every KPI from the journal by SQL written from the
definitions, sharing nothing with kpid.

A campaign's events are those that carry its name; a scope takes those of its local days, or of its hour or
minutes. Everything is computed for all scopes of a campaign at once, and for all groups of a breakdown:
column d of every act holds the values that it is told apart by.
"""

import collections
import dataclasses
import datetime
import decimal
import json
import math
import sqlite3
import zoneinfo

from support.campaigns import ACTIVE_TYPES, KPIS, day_start, local_day

OK, UNDEFINED, NO_DATA = "ok", "undefined", "no_data"

# The periods that a start is the first one of, basis, mode, and the periods behind that of the start:
# from, to (left out).
RETENTIONS = {
    "retention_d1": ("all", "day", "any", 1, 2),
    "retention_d7": ("all", "day", "any", 7, 8),
    "retention_m3": ("all", "month", "any", 3, 4),
    "later_d3": ("all", "day", "later", 3, 4),
    "later_m1": ("all", "month", "later", 1, 2),
    "each_d2": ("all", "day", "each", 1, 3),
    "any_d1_7": ("all", "day", "any", 1, 8),
    "any_w0_2": ("all", "week", "any", 0, 3),
    "again_w1": ("each", "week", "any", 1, 2),
    "again_m1": ("each", "month", "later", 1, 2),
}
MONEY = ("roi", "roi_net")

# What breakdowns of tests are by, as SQL over the event. A newcomer has bought nothing before, in the
# order of the log; nobody is none.
DIMENSIONS = {
    "channel": "channel",
    "variant": "variant",
    "newcomer": """CASE WHEN user IS NOT NULL AND NOT EXISTS (SELECT 1 FROM event p
        WHERE p.user = e.user AND p.type = 'purchase' AND p.seq < e.seq)
        THEN 'true' ELSE 'false' END""",
}
# As the configuration has them.
BREAKDOWNS = {
    "attributes": {"bought": {"agg": "count", "where": 'type == "purchase"'}},
    "dimensions": {"channel": {}, "variant": {}},
    "segments": {"newcomer": {"where": "bought == 0"}},
    "breakdowns": ["channel", ["channel", "variant"], "newcomer"],
}

# by: ((name, value or None), …), sorted; () for the whole.
Key = collections.namedtuple("Key", "campaign kpi kind start end by", defaults=[()])


@dataclasses.dataclass
class Value:
    """numerator and denominator: whole numbers, or Decimals if they are money."""
    state: str
    value: float | None
    numerator: object
    denominator: object
    complete: float | None


SCHEMA = """
CREATE TABLE raw (seq INTEGER PRIMARY KEY, id TEXT, source TEXT, type TEXT, user TEXT, time INTEGER,
                  campaign TEXT, amount INTEGER, score INTEGER, channel TEXT, variant TEXT);
CREATE INDEX raw_id ON raw (id, source, time);
CREATE TABLE active_types (type TEXT PRIMARY KEY);
CREATE TABLE scope (n INTEGER PRIMARY KEY, start_day INTEGER, end_day INTEGER, start INTEGER,
                    end INTEGER);
CREATE TABLE act (campaign TEXT, type TEXT, user TEXT, time INTEGER, day INTEGER, amount INTEGER,
                  score INTEGER, d TEXT);
CREATE INDEX act_time ON act (campaign, time);
CREATE TABLE active (basis TEXT, user TEXT, period INTEGER, PRIMARY KEY (basis, user, period));
CREATE TABLE scoped (n INTEGER, d TEXT, type TEXT, user TEXT, time INTEGER, amount INTEGER,
                     score INTEGER);
"""

# The first of all copies counts: same source and id, not more than a day apart.
EVENTS = """
CREATE TABLE event AS SELECT * FROM raw r WHERE id IS NULL OR NOT EXISTS (
    SELECT 1 FROM raw e WHERE e.id = r.id AND e.source IS r.source AND e.seq < r.seq
                          AND abs(e.time - r.time) <= 86400000000)
"""

# A campaign's acts, once for every scope that takes them. CROSS JOIN keeps sqlite from turning it round:
# a search by time for each scope, not all scopes for each act.
SCOPED = """
INSERT INTO scoped SELECT s.n, e.d, e.type, e.user, e.time, e.amount, e.score
FROM scope s CROSS JOIN act e ON e.day >= s.start_day AND e.day < s.end_day
         AND e.time >= s.start AND e.time < s.end
WHERE e.campaign = :campaign
"""

COUNTS = """
SELECT n, d, type, count(*), count(DISTINCT user), sum(amount) FROM scoped GROUP BY n, d, type
"""

REPEAT_BUYERS = """
SELECT n, d, count(*) FROM (
    SELECT n, d, user FROM scoped WHERE type = 'purchase' GROUP BY n, d, user HAVING count(*) >= 2)
GROUP BY n, d
"""

# The latest answer of a person within the scope; of answers in the same instant any may be the one.
ANSWERS = """
WITH answer AS (
    SELECT n, d, user, time, score FROM scoped
    WHERE type = 'survey' AND score BETWEEN 0 AND 10000000 AND score % 1000000 = 0),
latest AS (SELECT n, d, user, max(time) AS time FROM answer GROUP BY n, d, user)
SELECT a.n, a.d, count(DISTINCT CASE WHEN a.score >= 9000000 THEN a.user END),
       count(DISTINCT CASE WHEN a.score <= 6000000 THEN a.user END), count(DISTINCT a.user)
FROM answer a JOIN latest l ON l.n = a.n AND l.d = a.d AND l.user = a.user AND l.time = a.time
GROUP BY a.n, a.d
"""

# The periods in which somebody did anything active, in any campaign or none.
ACTIVE = """
INSERT INTO active SELECT DISTINCT :basis, user, period(:basis, day) FROM act
WHERE type IN (SELECT type FROM active_types)
"""

# A user's cohort is the period of the first participation in the campaign (of that group), ever, or each
# period with one, of which the first one counts; who came back is who was active in any of the periods that are asked for, in any later one, too, or in each.
# Materialized: a user is looked at once, not in each scope.
RETENTION = """
WITH first AS (
    SELECT user, d, min(day) AS day FROM act
    WHERE campaign = :campaign AND type = 'participation'
    GROUP BY user, d, CASE :first WHEN 'each' THEN period(:basis, day) END),
member AS MATERIALIZED (
    SELECT f.user, f.d, f.day, period(:basis, :today) >= period(:basis, f.day) + :to AS mature,
           (SELECT count(*) FROM active a WHERE a.basis = :basis AND a.user = f.user
            AND a.period >= period(:basis, f.day) + :from
            AND (a.period < period(:basis, f.day) + :to OR :mode = 'later'))
           >= CASE :mode WHEN 'each' THEN :to - :from ELSE 1 END AS retained
    FROM first f)
SELECT s.n, m.d, sum(m.mature AND m.retained), sum(m.mature), count(*)
FROM scope s JOIN member m ON m.day >= s.start_day AND m.day < s.end_day GROUP BY s.n, m.d
"""


def period(basis, day):
    """Consecutive numbers of days, weeks (from Monday; day 0 was a Thursday) or calendar months."""
    if basis == "day":
        return day
    if basis == "week":
        return (day + 3) // 7
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    return date.year * 12 + date.month


def instants(campaign, scope):
    """When a scope begins and ends."""
    if scope.start is not None:
        return scope.start, scope.end
    return day_start(campaign.zone, scope.start_day), day_start(campaign.zone, scope.end_day)


class Oracle:
    """Takes a journal; answers for any instant after its events."""

    def __init__(self, journal, grains=("day",)):
        self.campaigns = journal.campaigns
        self.grains = grains
        self.db = sqlite3.connect(":memory:")
        self.db.create_function("period", 2, period, deterministic=True)
        self.db.executescript(SCHEMA)
        self.db.executemany("INSERT INTO active_types VALUES (?)", [(t,) for t in ACTIVE_TYPES])
        self.db.executemany("INSERT INTO raw VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [
            (seq, e.id, e.source, e.type, e.user, e.time, e.campaign, e.amount, e.score, e.channel,
             e.variant)
            for seq, e in journal.events()])
        self.db.execute(EVENTS)
        self.db.execute("CREATE INDEX event_user ON event (user, type, seq)")

    def n_events(self):
        return self.db.execute("SELECT count(*) FROM event").fetchone()[0]

    def values(self, as_of, breakdowns=()):
        """{Key: Value} of all campaigns and scopes that are reported at as_of, and of the groups of
        breakdowns (tuples of names of DIMENSIONS) for which there is any event."""
        result = {}
        for campaign in self.campaigns:
            for names in ((),) + tuple(breakdowns):
                self._load_days(campaign.zone, names)
                result.update(self._campaign(campaign, as_of, names))
        return result

    def _load_days(self, zone, names):
        """Puts every event on its local day of a zone, and tells it apart by these dimensions."""
        self.db.create_function("local_day", 1, lambda t: local_day(zone, t), deterministic=True)
        self.db.execute("DELETE FROM act")
        self.db.execute(
            "INSERT INTO act SELECT campaign, type, user, time, local_day(time), amount, score, "
            f"json_array({', '.join(DIMENSIONS[n] for n in names)}) FROM event e")
        self.db.execute("DELETE FROM active")
        for basis in {basis for _first, basis, *_ in RETENTIONS.values()}:
            self.db.execute(ACTIVE, {"basis": basis})

    def _campaign(self, campaign, as_of, names):
        scopes = campaign.scopes(as_of, self.grains)
        self.db.execute("DELETE FROM scope")
        self.db.executemany("INSERT INTO scope VALUES (?, ?, ?, ?, ?)", [
            (n, s.start_day, s.end_day, *instants(campaign, s)) for n, s in enumerate(scopes)])
        given = {"campaign": campaign.id, "today": local_day(campaign.zone, as_of)}
        self.db.execute("DELETE FROM scoped")
        self.db.execute(SCOPED, given)

        counts = collections.defaultdict(lambda: (0, 0, 0))
        for n, d, kind, events, users, amount in self.db.execute(COUNTS):
            counts[n, d, kind] = (events, users, amount or 0)
        repeat = {row[:2]: row[2] for row in self.db.execute(REPEAT_BUYERS)}
        answers = {row[:2]: row[2:] for row in self.db.execute(ANSWERS)}
        retentions = {kpi: dict(zip(("first", "basis", "mode", "from", "to"), what))
                      for kpi, what in RETENTIONS.items()}
        retained = {
            kpi: {row[:2]: row[2:] for row in
                  self.db.execute(RETENTION, {**given, **what})}
            for kpi, what in retentions.items()}

        groups = {key[1] for key in counts} if names else {"[]"}
        result = {}
        for n, scope in enumerate(scopes):
            start, end = instants(campaign, scope)
            passed = min(max((as_of - start) / (end - start), 0), 1)
            for d in groups:
                made = _values(lambda kind: counts[n, d, kind], repeat.get((n, d), 0),
                               answers.get((n, d), (0, 0, 0)), passed)
                for kpi in RETENTIONS if scope.start is None else ():  # its cohorts are made of days
                    made[kpi] = _retention(*retained[kpi].get((n, d), (0, 0, 0)))
                by = tuple(sorted(zip(names, json.loads(d))))
                for kpi, value in made.items():
                    if not names or value.state != NO_DATA:
                        result[Key(campaign.id, kpi, scope.kind, start, end, by)] = value
        return result


def _values(count, repeat_buyers, answers, passed):
    reached, participants = count("exposure"), count("participation")
    sales, refunds, spend = count("purchase"), count("refund"), count("spend")
    revenue = sales[2] - refunds[2]
    promoters, detractors, responses = answers

    def number(numerator, denominator, events, money=False):
        if money:
            numerator, denominator = (decimal.Decimal(x) / 1000000 for x in (numerator, denominator))
        if not events:
            return Value(NO_DATA, None, None, None, passed)
        if not denominator:
            return Value(UNDEFINED, None, numerator, denominator, passed)
        return Value(OK, float(numerator) / float(denominator), numerator, denominator, passed)

    money_events = sales[0] + refunds[0] + spend[0]
    return {
        "participation_rate": number(participants[1], reached[1], reached[0] + participants[0]),
        "repeat_purchase_rate": number(repeat_buyers, sales[1], sales[0]),
        "roi": number(revenue, spend[2], money_events, True),
        "roi_net": number(revenue - spend[2], spend[2], money_events, True),
        "nps": number(100 * (promoters - detractors), responses, responses),
    }


def _retention(retained, mature, members):
    if not mature:
        return Value(NO_DATA, None, None, None, 0.0 if members else None)
    return Value(OK, retained / mature, retained, mature, mature / members)


# Reading what kpid says.

def instant(text, zone="UTC"):
    """An instant in microseconds, from RFC 3339 or a bare date (its begin in the zone)."""
    text = text.replace("Z", "+00:00")
    at = datetime.datetime.fromisoformat(text)
    if at.tzinfo is None:
        at = at.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    delta = at - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return delta // datetime.timedelta(microseconds=1)


def as_of(document):
    return instant(document["as_of"])


def read(document, campaigns):
    """{Key: entry} of a document of /api/v1/kpis or `kpid replay -o json`, the oracle's KPIs only. A group
    without data is as one that is not there."""
    zones = {c.id: c.zone for c in campaigns}
    result = {}
    for entry in document["kpis"]:
        if entry["kpi"] not in KPIS or entry["campaign"] not in zones:
            continue
        scope, zone = entry["scope"], zones[entry["campaign"]]
        key = Key(entry["campaign"], entry["kpi"], scope["kind"], instant(scope["start"], zone),
                  instant(scope["end"], zone), tuple(sorted(entry.get("by", {}).items())))
        if key in result:
            raise AssertionError(f"twice: {key}")
        if not key.by or entry["state"] != NO_DATA:
            result[key] = entry
    return result


def _number(value, money):
    """What JSON holds as an exact number. Money must be a string, all else a number."""
    if value is None:
        return None
    if money != isinstance(value, str):
        return f"{value!r} is of the wrong kind"
    return decimal.Decimal(value)


def difference(entry, expected, kpi):
    """What is wrong with one entry, or ""."""
    if entry["state"] != expected.state:
        return f"state is {entry['state']}, not {expected.state}"
    if expected.state == OK:
        if entry["value"] is None or not math.isclose(entry["value"], expected.value,
                                                      rel_tol=1e-14, abs_tol=0):
            return f"value is {entry['value']!r}, not {expected.value!r}"
    elif entry["value"] is not None:
        return f"value is {entry['value']!r} though {expected.state}"
    if expected.state != NO_DATA:
        for name in ("numerator", "denominator"):
            got = _number(entry[name], kpi in MONEY)
            if got != getattr(expected, name):
                return f"{name} is {entry[name]!r}, not {getattr(expected, name)}"
    if expected.complete is not None and abs(entry["complete"] - expected.complete) > 1e-6:
        return f"complete is {entry['complete']}, not {expected.complete}"
    return ""


def differences(document, oracle, most=20, breakdowns=()):
    """All that is wrong with a document, as lines; [] if every number is as it must be."""
    expected = oracle.values(as_of(document), breakdowns)
    got = read(document, oracle.campaigns)
    wrong = [f"missing: {_name(k)}" for k in expected if k not in got]
    wrong += [f"not expected: {_name(k)}" for k in got if k not in expected]
    for key, value in expected.items():
        if key in got:
            what = difference(got[key], value, key.kpi)
            if what:
                wrong.append(f"{_name(key)}: {what}")
    if len(wrong) > most:
        wrong[most:] = [f"... and {len(wrong) - most} more of {len(expected)}"]
    return wrong


def _name(key):
    times = [datetime.datetime.fromtimestamp(t / 1e6, datetime.timezone.utc).strftime("%F %RZ")
             for t in (key.start, key.end)]
    by = "".join(f" {name}={value}" for name, value in key.by)
    return f"{key.campaign} {key.kpi} {key.kind} [{times[0]}, {times[1]}){by}"


def numbers(document):
    """A document without what may differ between two runs of the same events: for comparing them."""
    return sorted((e["campaign"], e["kpi"], e["scope"]["kind"], e["scope"]["start"],
                   e["scope"]["end"], str(e.get("by")), e["state"], repr(e["value"]),
                   str(e["numerator"]), str(e["denominator"])) for e in document["kpis"])
