"""What every KPI of the shipped catalogue is, in SQL over the events in the order of the log, written from what the
words mean: for tests of it.

Each event stands in the table `act` for what it counts as: itself, and, under a type of its own, what it is
for others (a second order counts on the day, and for the campaign, of the first one). A measure is a
condition over that table; a KPI is Python over the measures of some stretches of days, its *roles*: the scope
itself, the one before, its mature days."""

import datetime
import math
import sqlite3
import statistics

from support.campaigns import ACTIVE_TYPES, date_of, day_of, day_start, local_day

MICRO = 1000000
DAY = 86_400_000_000

SCHEMA = """
CREATE TABLE event (seq INTEGER PRIMARY KEY, id TEXT, type TEXT, user TEXT, time INTEGER, campaign TEXT,
    amount INTEGER, score INTEGER, question TEXT, duration INTEGER, incentive INTEGER, inviter TEXT,
    invited_after INTEGER, category TEXT, bucket TEXT, valid INTEGER, done INTEGER, gauge TEXT, value INTEGER);
CREATE INDEX event_user ON event (user, type, seq);
CREATE TABLE act (type TEXT, user TEXT, time INTEGER, day INTEGER, campaign TEXT, amount INTEGER,
    score INTEGER, question TEXT, duration INTEGER, incentive INTEGER, inviter TEXT, invited_after INTEGER,
    category TEXT, bucket TEXT, valid INTEGER, done INTEGER, active INTEGER);
CREATE INDEX act_day ON act (day);
CREATE TABLE part (n INTEGER, role, start INTEGER, end INTEGER);
CREATE TABLE trail (n INTEGER, k INTEGER, start INTEGER, end INTEGER);
"""
FIELDS = ("amount", "score", "question", "duration", "incentive", "inviter", "invited_after", "category",
          "bucket", "valid", "done", "gauge", "value")

# A user's first sign-up and first order are those that came first in the log.
FIRST = """
CREATE TABLE first AS SELECT e.type AS type, e.user AS user, e.seq AS seq, e.time AS time, e.campaign AS campaign
FROM event e WHERE e.type IN ('signup', 'purchase') AND e.user IS NOT NULL
    AND e.seq = (SELECT min(seq) FROM event o WHERE o.user = e.user AND o.type = e.type)
"""

# Every event as itself.
PLAIN = """
INSERT INTO act SELECT type, user, time, local_day(time), campaign, amount, score, question, duration, incentive,
    inviter, invited_after, category, bucket, valid, done, type IN (SELECT type FROM active_types) FROM event
"""

# (type in act, where it counts: time, campaign; of what) with e an event, f the user's first one of a type.
DERIVED = (
    ("first order", "e.time", "e.campaign", "event e JOIN first f ON f.seq = e.seq AND f.type = 'purchase'", "1"),
    ("known order", "e.time", "e.campaign",
     "event e JOIN first f ON f.user = e.user AND f.type = 'purchase' AND f.seq < e.seq", "e.type = 'purchase'"),
    ("new user", "e.time", "e.campaign", "event e JOIN first f ON f.seq = e.seq AND f.type = 'signup'", "1"),
    ("converted", "s.time", "s.campaign",
     "event e JOIN first f ON f.seq = e.seq AND f.type = 'purchase' "
     "JOIN first s ON s.user = e.user AND s.type = 'signup' AND s.seq < e.seq", f"e.time - s.time <= {7 * DAY}"),
    ("second order", "f.time", "f.campaign",
     "event e JOIN first f ON f.user = e.user AND f.type = 'purchase' AND f.seq < e.seq",
     f"""e.type = 'purchase' AND e.time - f.time <= {30 * DAY} AND 1 =
     (SELECT count(*) FROM event o WHERE o.user = e.user AND o.type = 'purchase' AND o.seq < e.seq)"""),
    ("later sale", "f.time", "f.campaign",
     "event e JOIN first f ON f.user = e.user AND f.type = 'purchase' AND f.seq < e.seq",
     f"e.type = 'purchase' AND e.time - f.time <= {90 * DAY}"),
    ("later refund", "f.time", "f.campaign",
     "event e JOIN first f ON f.user = e.user AND f.type = 'purchase' AND f.seq < e.seq",
     f"e.type = 'refund' AND e.time - f.time <= {90 * DAY}"),
    # The campaign of the latest touch that the log has shown so far, if it is at most 7 days old.
    ("unclaimed", "e.time", "t.campaign",
     """event e JOIN event t ON t.seq = (SELECT o.seq FROM event o WHERE o.user = e.user AND o.seq < e.seq
     AND o.type IN ('exposure', 'participation') AND o.campaign IS NOT NULL
     ORDER BY o.time DESC, o.campaign DESC LIMIT 1)""",
     f"e.type = 'purchase' AND coalesce(e.campaign, '') = '' AND e.time - t.time <= {7 * DAY}"),
    # By this order those of its month, or year, so far come to more. One that comes after an order of a later
    # month stands alone.
    *((f"high {period}", "e.time", "e.campaign", "event e", f"""e.type = 'purchase' AND e.amount + (
     SELECT CASE WHEN max(period('{period}', o.time)) > period('{period}', e.time) THEN 0 ELSE coalesce(sum(
         CASE WHEN period('{period}', o.time) = period('{period}', e.time) THEN o.amount END), 0) END
     FROM event o WHERE o.user = e.user AND o.type = 'purchase' AND o.seq < e.seq) > {limit * MICRO}""")
      for period, limit in (("month", 500), ("year", 5000))),
)

# The first day on which a user bought, by time.
FIRST_DAY = """
INSERT INTO act (type, user, day) SELECT 'first day', user, min(local_day(time)) FROM event
WHERE type = 'purchase' GROUP BY user
"""

ANSWER = "type = 'survey' AND score % 1000000 = 0 AND "
NPS = ANSWER + "score BETWEEN 0 AND 10000000 AND coalesce(question, '') IN ('', 'nps')"
CSAT = ANSWER + "score BETWEEN 1000000 AND 5000000 AND question = 'csat'"

# name: (what of the acts, which acts)
MEASURES = {
    "reached": ("users", "type = 'exposure'"),
    "participants": ("users", "type = 'participation'"),
    "interacting": ("users", "type IN ('comment', 'like', 'share')"),
    "organic_sharers": ("users", "type = 'share' AND coalesce(incentive, 0) = 0"),
    "inviters": ("users", "type = 'invite'"),
    "invites": ("count", "type = 'invite'"),
    "invited": ("users", "type = 'signup' AND inviter <> ''"),
    "invite_time": ("sum invited_after", "type = 'signup' AND inviter <> '' AND invited_after >= 0"),
    "reserved": ("users", "type = 'reservation'"),
    "active": ("users", "active"),
    "active_days": ("days", "active"),
    "registered": ("users", "type = 'signup'"),
    "logins": ("count", "type = 'login'"),
    "dwell": ("sum duration", "type = 'session' AND duration >= 0"),
    "orders": ("count", "type = 'purchase'"),
    "buyers": ("users", "type = 'purchase'"),
    "new_buyers": ("count", "type = 'first order'"),
    "known_buyers": ("users", "type = 'known order'"),
    "known_orders": ("count", "type = 'known order'"),
    "new_users": ("count", "type = 'new user'"),
    "converted": ("count", "type = 'converted'"),
    "second_orders": ("count", "type = 'second order'"),
    "high_month": ("users", "type = 'high month'"),
    "high_year": ("users", "type = 'high year'"),
    "checkouts": ("count", "type = 'checkout'"),
    "returns": ("count", "type = 'refund'"),
    "sales": ("sum amount", "type = 'purchase'"),
    "refunds": ("sum amount", "type = 'refund'"),
    "unclaimed": ("sum amount", "type = 'unclaimed'"),
    "first_sales": ("sum amount", "type = 'first order'"),
    "later_sales": ("sum amount", "type = 'later sale'"),
    "later_refunds": ("sum amount", "type = 'later refund'"),
    "cost": ("sum amount", "type = 'spend'"),
    "media_cost": ("sum amount", "type = 'spend' AND category = 'media'"),
    "overhead": ("sum amount", "type = 'spend' AND category IN ('people', 'tools', 'agency')"),
    "base_cost": ("sum amount", "type = 'spend' AND bucket = 'base'"),
    "float_cost": ("sum amount", "type = 'spend' AND bucket = 'float'"),
    "responses": ("users", NPS),
    "rated": ("users", CSAT),
    "valid_answers": ("count", f"({NPS} OR {CSAT}) AND coalesce(valid, 1) = 1"),
    "complaints": ("count", "type = 'complaint'"),
    "milestones": ("count", "type = 'kpid.milestone'"),
    "milestones_met": ("count", "type = 'kpid.milestone' AND done"),
    "all_responses": ("count", NPS),
    "all_promoters": ("count", NPS + " AND score >= 9000000"),
    "all_detractors": ("count", NPS + " AND score <= 6000000"),
    "all_rated": ("count", CSAT),
    "all_satisfied": ("count", CSAT + " AND score >= 4000000"),
    "all_satisfaction": ("sum score", CSAT),
    "first_buyers": ("count", "type = 'first day'"),
}
AGGREGATES = {"users": "count(DISTINCT CASE WHEN {where} THEN user END)", "count": "sum({where})",
              "days": "count(DISTINCT CASE WHEN {where} THEN day || ' ' || user END)",
              "sum": "sum(CASE WHEN {where} THEN {field} END)"}

REPEAT = """
SELECT n, role, count(*) FROM (SELECT n, role FROM part JOIN act ON day >= start AND day < end
    WHERE type = 'purchase' AND campaign = :campaign GROUP BY n, role, user HAVING count(*) >= 2)
GROUP BY n, role
"""

# The latest, or first, answers of each user: of two in the same instant, that which serves the question.
ANSWERS = """
SELECT n, role, sum({what}) FROM (
    SELECT n, role, score, row_number() OVER (PARTITION BY n, role, user ORDER BY time {time}, score {order}) AS k
    FROM part JOIN act ON day >= start AND day < end WHERE {where} AND campaign = :campaign)
WHERE k = 1 GROUP BY n, role
"""
ANSWERED = {
    prefix + name: ANSWERS.format(what=what, time=time, order=order, where=where)
    for prefix, time in (("", "DESC"), ("first_", "ASC"))
    for name, what, order, where in (("promoters", "score >= 9000000", "DESC", NPS),
                                     ("detractors", "score <= 6000000", "ASC", NPS),
                                     ("satisfied", "score >= 4000000", "DESC", CSAT),
                                     ("delighted", "score = 5000000", "DESC", CSAT),
                                     ("satisfaction", "score", "DESC", CSAT))}

# The shares of satisfied users in the stretches before a scope.
TRAIL = f"""
SELECT n, k, avg(score >= 4000000) FROM (
    SELECT n, k, score, row_number() OVER (PARTITION BY n, k, user ORDER BY time DESC, score DESC) AS place
    FROM trail JOIN act ON day >= start AND day < end WHERE {CSAT} AND campaign = :campaign)
WHERE place = 1 GROUP BY n, k
"""

# All values of a measure, in order: a quantile is the value whose place is the share of all, rounded up.
VALUES = """
SELECT n, role, {field} FROM part JOIN act ON day >= start AND day < end
WHERE {where} AND campaign = :campaign AND role = 'own' ORDER BY {field}
"""

GAUGE = """
SELECT value FROM event WHERE type = 'kpid.gauge' AND gauge = ? AND time < ?
ORDER BY time DESC, value DESC LIMIT 1
"""


def months_before(day, n):
    date = date_of(day)
    month = date.year * 12 + date.month - 1 - n
    return day_of(date.replace(year=month // 12, month=month % 12 + 1))


def before(scope, n):
    """The stretch n of its kind before."""
    start, end = scope.start_day, scope.end_day
    if scope.kind == "month":
        return months_before(start, n), months_before(end, n)
    return start - n * (end - start), end - n * (end - start)


UNDEFINED = math.nan  # what is made of it is undefined, too


class Part:
    """The measures of one role of one scope. `fed`: a measure that was asked for has an event."""

    def __init__(self, numbers, counts, gauges):
        self.numbers, self.counts, self.gauges = numbers, counts, gauges
        self.values = {}
        self.fed = False

    def __getattr__(self, name):
        self.fed |= (self.counts.get(name) or 0) > 0
        return self.numbers.get(name) or 0

    def gauge(self, name):
        value = self.gauges(name)
        self.fed |= value is not None
        return UNDEFINED if value is None else value


class Context:
    """What KPIs are made of in a scope: parts by role, of the campaign and of all events."""

    def __init__(self, days, parts, totals, shares):
        self.days, self.parts, self.totals, self.shares = days, parts, totals, shares
        self.asked = []

    def ask(self, part):
        part.fed = False
        self.asked.append(part)
        return part

    def base(self, part, value):
        """What is compared with: missing if nothing of it was counted."""
        part.fed = False
        result = value(part)
        return result if part.fed else UNDEFINED

    def before(self, role, value):
        return self.base(self.parts[role], value)

    def all_before(self, role, value):
        return self.base(self.totals[role], value)

    def mature(self, days, value):
        return value(self.ask(self.parts[days]))


def falls(shares, n):
    """How often they fell, from the older to the newer, up to the newest, 1; that must be there."""
    if 1 not in shares:
        return UNDEFINED
    count = 0
    while count < n and shares[count + 1] < shares.get(count + 2, UNDEFINED):  # that is false
        count += 1
    return count


def over(numerator, denominator):
    return numerator / denominator if denominator else UNDEFINED


def growth(x, base):
    return over(x - base, abs(base))


def quantile(p, name, share, of):
    """The one in the place share/of, counted from 1, rounded up."""
    if not getattr(p, name) and not p.values.get(name):
        return UNDEFINED
    values = p.values[name]
    return values[-(-len(values) * share // of) - 1] / MICRO


def first_buyers(t):
    """There is something to tell if anybody bought, for the first time or not."""
    return t.first_buyers if t.buyers else 0


def nps(promoters, detractors, responses):
    return over(100 * (promoters - detractors), responses)


def nps_error(promoters, detractors, n):
    """Of shares, by the variance of a draw that is 100, 0 or -100."""
    mean = promoters - detractors
    variance = promoters * (1 - mean) ** 2 + detractors * (1 + mean) ** 2 + (
        1 - promoters - detractors) * mean ** 2
    return 100 * math.sqrt(over(variance, n))


def nps_interval(p):
    """95 % of a normal distribution around the mean of draws."""
    if not p.responses:
        return UNDEFINED, UNDEFINED
    draws = [100] * p.promoters + [-100] * p.detractors
    draws += [0] * (p.responses - len(draws))
    mean = statistics.fmean(draws)
    far = round(statistics.NormalDist().inv_cdf(0.975), 6) * statistics.pstdev(draws) / math.sqrt(len(draws))
    return mean - far, mean + far


def net(p):
    return p.sales - p.refunds


# p: the scope, of the campaign; t: the scope, of all events; c: the Context.
KPIS = {
    "participation_rate": lambda p, t, c: over(p.participants, p.reached),
    "participation_decay": lambda p, t, c: growth(
        over(p.participants, p.reached),
        c.before("previous", lambda q: over(q.participants, q.reached))),
    "interaction_rate": lambda p, t, c: over(p.interacting, p.participants),
    "organic_share_rate": lambda p, t, c: over(p.organic_sharers, p.participants),
    "invites_per_inviter": lambda p, t, c: over(p.invites, p.inviters),
    "invite_conversion": lambda p, t, c: over(p.invited, p.invites),
    "k_factor": lambda p, t, c: over(p.invited, p.inviters),
    "k_cycle": lambda p, t, c: quantile(p, "invite_time", 1, 2),
    "reach_rate": lambda p, t, c: over(p.reached, 20000),
    "reservations": lambda p, t, c: p.reserved,
    "reservation_progress": lambda p, t, c: over(p.reserved, p.gauge("reservation_goal") / MICRO),
    "dwell": lambda p, t, c: over(p.dwell / MICRO, p.counts["dwell"]),
    "dwell_median": lambda p, t, c: quantile(p, "dwell", 1, 2),
    "dwell_p90": lambda p, t, c: quantile(p, "dwell", 9, 10),
    "stickiness": lambda p, t, c: over(t.active_days / c.days, t.active),
    "visit_frequency": lambda p, t, c: over(t.logins, t.active),
    "signups_growth": lambda p, t, c: growth(t.registered, c.all_before("previous", lambda q: q.registered)),
    "new_customers": lambda p, t, c: p.new_buyers,
    "new_customer_conversion": lambda p, t, c: c.mature(7, lambda q: over(q.converted, q.new_users)),
    "purchase_frequency": lambda p, t, c: over(p.known_orders, p.known_buyers),
    "repeat_purchase_rate": lambda p, t, c: over(p.repeat_buyers, p.buyers),
    "repeat_purchase_30d": lambda p, t, c: c.mature(30, lambda q: over(q.second_orders, q.new_buyers)),
    "payment_conversion": lambda p, t, c: over(p.orders, p.checkouts),
    "return_rate": lambda p, t, c: over(p.returns, p.orders),
    "high_value_share": lambda p, t, c: over(t.high_month, t.active),
    "high_value_share_year": lambda p, t, c: over(t.high_year, t.active),
    "net_sales": lambda p, t, c: net(p) / MICRO,
    "sales_growth": lambda p, t, c: growth(net(t), c.all_before("previous", net)),
    "campaign_sales_share": lambda p, t, c: over(p.sales + p.unclaimed, t.sales),
    "average_order_value": lambda p, t, c: over(net(p) / MICRO, p.orders),
    "ltv_90d": lambda p, t, c: c.mature(
        90, lambda q: over((q.first_sales + q.later_sales - q.later_refunds) / MICRO, q.new_buyers)),
    "roi": lambda p, t, c: over(net(p), p.cost),
    "roi_net": lambda p, t, c: over(net(p) - p.cost, p.cost),
    "roi_incremental": lambda p, t, c: over(net(t) - c.all_before("previous", net) - p.cost, p.cost),
    "cac_paid": lambda p, t, c: over(p.media_cost / MICRO, p.new_buyers),
    "cac_blended": lambda p, t, c: over((p.cost - p.overhead) / MICRO, first_buyers(t)),
    "cac_loaded": lambda p, t, c: over(p.cost / MICRO, first_buyers(t)),
    "budget_execution": lambda p, t, c: over(p.cost / MICRO, 500000),
    "budget_execution_base": lambda p, t, c: over(p.base_cost / MICRO, 150000),
    "budget_execution_float": lambda p, t, c: over(p.float_cost / MICRO, 250000),
    "nps": lambda p, t, c: nps(p.promoters, p.detractors, p.responses),
    "nps_error": lambda p, t, c: nps_error(over(p.promoters, p.responses), over(p.detractors, p.responses),
                                           p.responses),
    "nps_lower": lambda p, t, c: nps_interval(p)[0],
    "nps_upper": lambda p, t, c: nps_interval(p)[1],
    "csat": lambda p, t, c: over(p.satisfied, p.rated),
    "csat_mean": lambda p, t, c: over(p.satisfaction / MICRO, p.rated),
    "csat_half_year": lambda p, t, c: over(p.satisfied, p.rated) - c.before(
        "six before", lambda q: over(q.satisfied, q.rated)),
    "csat_falling_months": lambda p, t, c: falls(c.shares, 6),
    "valid_feedback": lambda p, t, c: p.valid_answers,
    "loyalty_index": lambda p, t, c: (
        40 * over(p.satisfied, p.rated) + 30 * over(p.repeat_buyers, p.buyers)
        + 0.15 * (nps(p.promoters, p.detractors, p.responses) + 100)),
    "complaint_rate": lambda p, t, c: over(t.complaints, t.active),
    "share_of_voice": lambda p, t, c: over(p.gauge("own_mentions"), p.gauge("category_mentions")),
    "search_growth": lambda p, t, c: growth(
        p.gauge("search_index"), c.before("previous", lambda q: q.gauge("search_index"))),
    "awareness": lambda p, t, c: p.gauge("awareness") / MICRO,
    "awareness_lift": lambda p, t, c: (
        p.gauge("awareness") - c.before("campaign before", lambda q: q.gauge("awareness"))) / MICRO,
    "on_time_rate": lambda p, t, c: over(p.milestones_met, p.milestones),
}
# Of what was before alone: the scope itself may be empty.
OF_BEFORE = {"csat_falling_months"}

# Forms that the catalogue has as comments, under names of their own: see DEFINED.
FORMS = {
    "nps_of_first": lambda p, t, c: nps(p.first_promoters, p.first_detractors, p.responses),
    "nps_of_all": lambda p, t, c: nps(p.all_promoters, p.all_detractors, p.all_responses),
    "csat_of_first": lambda p, t, c: over(p.first_satisfied, p.rated),
    "csat_of_all": lambda p, t, c: over(p.all_satisfied, p.all_rated),
    "csat_top": lambda p, t, c: over(p.delighted, p.rated),
    "csat_mean_of_first": lambda p, t, c: over(p.first_satisfaction / MICRO, p.rated),
    "csat_mean_of_all": lambda p, t, c: over(p.all_satisfaction / MICRO, p.all_rated),
}
DEFINED = {
    "measures": {
        "first_promoters": {"agg": "first_users(score >= 9)", "where": "nps_answer"},
        "first_detractors": {"agg": "first_users(score <= 6)", "where": "nps_answer"},
        "all_responses": {"agg": "count", "where": "nps_answer"},
        "all_promoters": {"agg": "count", "where": "nps_answer and score >= 9"},
        "all_detractors": {"agg": "count", "where": "nps_answer and score <= 6"},
        "first_satisfied": {"agg": "first_users(score >= 4)", "where": "csat_answer"},
        "all_rated": {"agg": "count", "where": "csat_answer"},
        "all_satisfied": {"agg": "count", "where": "csat_answer and score >= 4"},
        "delighted": {"agg": "latest_users(score == 5)", "where": "csat_answer"},
        "first_satisfaction": {"agg": "first_mean(score)", "where": "csat_answer"},
        "all_satisfaction": {"agg": "mean(score)", "where": "csat_answer"},
    },
    "kpis": {
        "nps_of_first": {"formula": "100 * (first_promoters - first_detractors) / responses"},
        "nps_of_all": {"formula": "100 * (all_promoters - all_detractors) / all_responses"},
        "csat_of_first": {"formula": "first_satisfied / rated"},
        "csat_of_all": {"formula": "all_satisfied / all_rated"},
        "csat_top": {"formula": "delighted / rated"},
        "csat_mean_of_first": {"formula": "first_satisfaction"},
        "csat_mean_of_all": {"formula": "all_satisfaction"},
    },
}


def micros(value):
    return None if value is None else round(float(value) * MICRO)


class Oracle:
    """Takes events in the order of the log, as a file of native events has them."""

    def __init__(self, events, campaigns, as_of):
        self.campaigns, self.as_of = campaigns, as_of
        self.db = sqlite3.connect(":memory:")
        self.db.executescript(SCHEMA)
        self.db.execute("CREATE TABLE active_types AS SELECT value AS type FROM json_each(?)",
                        [str(list(ACTIVE_TYPES)).replace("'", '"')])
        self.db.create_function("period", 2, self._period, deterministic=True)
        self._load(events)
        self.db.executescript(FIRST)

    @staticmethod
    def _period(kind, time):
        """A number of the month or year of a time in the zone of the configuration."""
        date = date_of(local_day("Asia/Shanghai", time))
        return date.year * 12 + date.month if kind == "month" else date.year

    def _load(self, events):
        """The first of equal ids counts; copies come at once."""
        seen = set()
        for event in events:
            if event["id"] in seen:
                continue
            seen.add(event["id"])
            numbers = ("amount", "score", "duration", "invited_after", "value")
            row = [micros(event.get(f)) if f in numbers else event.get(f) for f in FIELDS]
            self.db.execute(f"INSERT INTO event VALUES ({', '.join('?' * 19)})", [
                len(seen), event["id"], event["type"], event.get("user"), event["time"] * 1000,
                event.get("campaign"), *row])

    def values(self):
        """{(campaign, kpi, kind, start day): (state, value)}"""
        result = {}
        for campaign in self.campaigns:
            self._place(campaign.zone)
            result.update(self._campaign(campaign))
        return result

    def _place(self, zone):
        self.db.create_function("local_day", 1, lambda t: local_day(zone, t), deterministic=True)
        self.db.execute("DELETE FROM act")
        self.db.execute(PLAIN)
        for kind, time, campaign, source, where in DERIVED:
            self.db.execute(
                f"INSERT INTO act (type, user, time, day, campaign, amount) SELECT '{kind}', e.user, {time}, "
                f"local_day({time}), {campaign}, e.amount FROM {source} WHERE {where}")
        self.db.execute(FIRST_DAY)

    def _parts(self, campaign, scopes):
        today = local_day(campaign.zone, self.as_of)
        for n, scope in enumerate(scopes):
            yield n, "own", scope.start_day, scope.end_day
            yield n, "previous", *before(scope, 1)
            yield n, "six before", *before(scope, 6)
            yield n, "campaign before", campaign.start - 1, campaign.start
            for days in (7, 30, 90):
                yield n, days, scope.start_day, min(scope.end_day, today - days)

    def _campaign(self, campaign):
        scopes = campaign.scopes(self.as_of, ("day", "month"))
        self.db.execute("DELETE FROM part")
        self.db.executemany("INSERT INTO part VALUES (?, ?, ?, ?)", self._parts(campaign, scopes))
        own = self._measure("campaign = :campaign", campaign)
        total = self._measure("1", campaign)
        for name, query in (("repeat_buyers", REPEAT), *ANSWERED.items()):
            for n, role, number in self.db.execute(query, {"campaign": campaign.id}):
                own[n, role].numbers[name] = number
        for name in ("dwell", "invite_time"):
            what, where = MEASURES[name]
            query = VALUES.format(field=what.partition(" ")[2], where=where)
            for n, role, number in self.db.execute(query, {"campaign": campaign.id}):
                own[n, role].values.setdefault(name, []).append(number)
        self.db.execute("DELETE FROM trail")
        self.db.executemany("INSERT INTO trail VALUES (?, ?, ?, ?)",
                            ((n, k, *before(scope, k)) for n, scope in enumerate(scopes) for k in range(1, 8)))
        shares = {}
        for n, k, share in self.db.execute(TRAIL, {"campaign": campaign.id}):
            shares.setdefault(n, {})[k] = share
        result = {}
        for n, scope in enumerate(scopes):
            roles = {role for k, role in own if k == n}
            context = Context(scope.end_day - scope.start_day, {r: own[n, r] for r in roles},
                              {r: total[n, r] for r in roles}, shares.get(n, {}))
            for kpi, formula in (KPIS | FORMS).items():
                context.asked = []
                value = formula(context.ask(own[n, "own"]), context.ask(total[n, "own"]), context)
                state = "ok" if not math.isnan(value) else "undefined"
                if kpi not in OF_BEFORE and not any(part.fed for part in context.asked):
                    state = "no_data"
                result[campaign.id, kpi, scope.kind, scope.start_day, scope.end_day] = (state, value)
        return result

    def _measure(self, whose, campaign):
        """{(n, role): Part}"""
        columns = []
        for what, where in MEASURES.values():
            kind, _, field = what.partition(" ")
            columns.append(AGGREGATES[kind].format(where=f"({where})", field=field))
            columns.append(f"sum({where})")
        result = {}
        query = (f"SELECT n, role, end, {', '.join(columns)} FROM part LEFT JOIN act "
                 f"ON day >= start AND day < end AND {whose} GROUP BY n, role")
        for n, role, end, *row in self.db.execute(query, {"campaign": campaign.id}):
            result[n, role] = Part(dict(zip(MEASURES, row[::2])), dict(zip(MEASURES, row[1::2])),
                                   self._gauges(day_start(campaign.zone, end)))
        return result

    def _gauges(self, end):
        def find(name):
            row = self.db.execute(GAUGE, (name, end)).fetchone()
            return row and row[0]
        return find


def entries(document, campaigns, kpis):
    """{key: entry} of a document of `kpid replay -o json`."""
    zones = {c.id: c.zone for c in campaigns}
    result = {}
    for entry in document["kpis"]:
        if entry["kpi"] in kpis:
            start, end = (local_day(zones[entry["campaign"]], _instant(entry["scope"][side]))
                          for side in ("start", "end"))
            result[entry["campaign"], entry["kpi"], entry["scope"]["kind"], start, end] = entry
    return result


def read(document, campaigns):
    """What the oracle's values are, of such a document."""
    found = entries(document, campaigns, {*KPIS, *FORMS})
    return {key: (entry["state"], entry["value"]) for key, entry in found.items()}


def _instant(text):
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(at.timestamp()) * MICRO


def differences(got, expected):
    """What is wrong, as lines; [] if every number is as it must be."""
    wrong = [f"missing: {key}" for key in expected if key not in got]
    wrong += [f"not expected: {key}" for key in got if key not in expected]
    for key in expected.keys() & got.keys():
        (state, value), (was, number) = expected[key], got[key]
        if state != was:
            wrong.append(f"{key}: state is {was}, not {state}")
        elif state == "ok" and not math.isclose(value, number, rel_tol=1e-12, abs_tol=1e-12):
            wrong.append(f"{key}: value is {number!r}, not {value!r}")
    return sorted(wrong)
