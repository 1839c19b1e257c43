"""Experiments from their definitions: who is in which arm and what they did, by SQL; what follows from it,
by the formulas of the literature. Shares nothing with kpid but the words."""

import datetime
import functools
import json
import math
import random
import sqlite3
from fractions import Fraction
from statistics import NormalDist
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
MICRO = 10 ** 6
MEASURES = {"orders_made": {"agg": "count", "where": 'type == "purchase"'},
            "income": {"agg": "sum(amount)", "where": 'type == "purchase"'},
            "purchasers": {"agg": "users", "where": 'type == "purchase"'}}
# What conditions and measures are in SQL: which events, and what is added.
GOALS = {"purchasers": ("type = 'purchase'", "1000000"),
         "orders_made": ("type = 'purchase'", "1000000"),
         "income": ("type = 'purchase' AND amount IS NOT NULL", "amount"),
         'type == "view" and props.depth >= 2': ("type = 'view' AND depth >= 2", "1000000"),
         'type == "view"': ("type = 'view'", "1000000")}
CAMPAIGN = {"id": "autumn", "start": "2026-10-24", "end": "2026-10-31"}
EXPERIMENTS = {
    "plain": {"variants": ["A", "B", "C"], "goal": "purchasers", "by": "channel"},
    "against_a": {"variants": ["B", "A", "C"], "control": "A", "one_sided": True, "goal": "purchasers",
                  "method": "fixed", "from": "2026-10-24", "to": "2026-10-29T00:00:00+01:00",
                  "correction": "bh", "alpha": 0.1},
    "views": {"variants": ["A", "B", "C", "D"], "goal": 'type == "view" and props.depth >= 2',
              "metric": "mean", "control": "C", "better": "down", "split": [2, 2, 2, 1],
              "tuning_units": 800, "min_units": 20, "min_run": "24h"},
    "spending": {"variants": ["A", "B", "C"], "goal": "income", "method": "fixed", "to": "2026-10-31",
                 "by": ["channel", "autumnal"]},
    "basket": {"variants": ["A", "B"], "goal": "income", "denominator": "orders_made",
               "method": "fixed", "campaign": "autumn", "correction": "bh", "min_units": 10,
               "by": "autumnal"},
    "depth": {"variants": ["A", "B", "C"], "goal": 'type == "view" and props.depth >= 2',
              "denominator": 'type == "view"', "control": "B", "one_sided": True, "alpha": 0.01},
    # an hour on either side of the change of clocks, of one campaign: so few that tests are exact
    "small": {"variants": ["A", "B"], "goal": "purchasers", "method": "fixed", "campaign": "autumn",
              "from": "2026-10-25T01:00:00Z", "to": "2026-10-25T16:00:00Z", "split": [7, 1],
              "min_units": 0, "min_run": "0s"},
}
# What an exposure can be told apart by: as definitions, and in SQL.
DIMENSIONS = {"dimensions": {"channel": {}}, "segments": {"autumnal": {"where": 'campaign == "autumn"'}}}
VALUES = {"channel": "channel", "autumnal": "CASE WHEN campaign = 'autumn' THEN 'true' ELSE 'false' END"}
for _definition in EXPERIMENTS.values():
    _definition["exposure"] = 'type == "exposure"'


# --- events ----------------------------------------------------------------------------------------------


def generate(seed, in_order, n_users=240):
    """(documents in the order of arrival, as_of in microseconds)."""
    r = random.Random(seed)
    begin = int(datetime.datetime(2026, 10, 23, 12, tzinfo=ZONE).timestamp()) * MICRO
    span = 8 * 86400 * MICRO
    rates = {arm: r.choice((0.05, 0.2, 0.4, 0.7)) for arm in "ABCDX"}
    events = []

    def add(time, **fields):
        events.append((time, dict(id=f"e{len(events)}", **fields)))

    for number in range(n_users):
        user, arm = f"u{number}", r.choice("AAABBBCCCDX")
        exposed = begin + r.randrange(span * 9 // 10)
        for _ in range(r.choice((1, 1, 2, 3))):
            time = exposed + r.randrange(86400 * MICRO)
            other = r.choice("ABCDX") if r.random() < 0.06 else arm
            fields = {"variant": other} if r.random() < 0.97 else {}
            if r.random() < 0.6:
                fields["campaign"] = r.choice(("autumn", "autumn", "winter"))
            if r.random() < 0.9:
                fields["channel"] = r.choice(("web", "web", "app", "__other__", ""))
            add(time, type="exposure", user=user, **fields)
        for _ in range(r.choice((0, 1, 1, 2, 5))):
            time = exposed + r.randrange(-2 * 86400 * MICRO, 3 * 86400 * MICRO)
            if r.random() < rates[arm]:
                amount = {} if r.random() < 0.05 else {"amount": f"{r.randrange(1, 50000) / 100:.2f}"}
                add(time, type="purchase", user=user, **amount)
            add(time + r.randrange(-10, 10) * MICRO, type="view", user=user,
                props={"depth": r.randrange(5)})
        if r.random() < 0.1:  # the very moment of the exposure counts
            add(exposed, type="purchase", user=user, amount="1.000001")
            add(exposed, type="exposure", user=user, variant=arm, campaign="autumn")
    events.sort(key=lambda e: e[0] + (0 if in_order else r.randrange(5400 * MICRO)))
    if in_order:  # an exposure stands before what happens at its very moment
        events.sort(key=lambda e: (e[0], e[1]["type"] != "exposure"))
    documents, times = [], {}
    for time, fields in events:
        when = datetime.datetime.fromtimestamp(time // MICRO, datetime.timezone.utc)
        fields["time"] = f"{when:%Y-%m-%dT%H:%M:%S}.{time % MICRO:06d}Z"
        documents.append(fields)
        times[fields["id"]] = time
        if r.random() < 0.05:  # a copy, soon enough for its id to be remembered
            copied = r.randrange(max(0, len(documents) - 30), len(documents))
            if abs(times[documents[copied]["id"]] - time) < 12 * 3600 * MICRO:
                documents.append(documents[copied])
    return documents, max(time for time, _ in events) + r.randrange(86400 * MICRO)


# --- who did what ----------------------------------------------------------------------------------------


def micros(text):
    """A date in the zone, or a time."""
    if len(text) == 10:
        return int(datetime.datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()) * MICRO
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()) * MICRO


def bounds(definition):
    campaign = CAMPAIGN if "campaign" in definition else {}
    begin = definition.get("from", campaign.get("start"))
    end = definition.get("to", campaign.get("end"))
    return (micros(begin) if begin else -2 ** 62, micros(end) if end else 2 ** 62)


class Events:
    def __init__(self, documents):
        self.db = sqlite3.connect(":memory:")
        self.db.execute("CREATE TABLE events (id TEXT PRIMARY KEY, time INTEGER, user TEXT, type TEXT, "
                        "variant TEXT, campaign TEXT, channel TEXT, amount INTEGER, depth INTEGER)")
        self.db.execute("CREATE INDEX by_user ON events (user, time)")
        for d in documents:
            whole, micro = d["time"][:-1].split(".")
            time = int(datetime.datetime.fromisoformat(whole + "+00:00").timestamp()) * MICRO + int(micro)
            amount = int(Fraction(d["amount"]) * MICRO) if "amount" in d else None
            self.db.execute("INSERT OR IGNORE INTO events VALUES (?,?,?,?,?,?,?,?,?)",
                            (d["id"], time, d["user"], d["type"], d.get("variant"), d.get("campaign"),
                             d.get("channel"), amount, d.get("props", {}).get("depth")))

    def units(self, definition):
        """({arm: [(x, y) of each unit, in 10^-6]}, how many were in two arms, the first exposure)."""
        begin, end = bounds(definition)
        variants = ",".join(f"'{v}'" for v in definition["variants"])
        of_campaign = "AND campaign = 'autumn'" if "campaign" in definition else ""
        exposures = (f"FROM events WHERE type = 'exposure' {of_campaign} AND variant IN ({variants}) "
                     f"AND time >= {begin} AND time < {end}")
        self.db.execute("DROP TABLE IF EXISTS exposed")
        self.db.execute(f"CREATE TEMP TABLE exposed AS SELECT user, min(time) AS first, min(variant) AS arm, "
                        f"count(DISTINCT variant) AS arms {exposures} GROUP BY user")
        for name in names_of(definition):
            self.db.execute(f"ALTER TABLE exposed ADD COLUMN by_{name} TEXT")
            self.db.execute(f"UPDATE exposed SET by_{name} = (SELECT {VALUES[name]} {exposures} "
                            f"AND user = exposed.user AND time = exposed.first)")
        return *self.counts(definition), self.db.execute("SELECT min(first) FROM exposed").fetchone()[0]

    def groups(self, definition):
        """By values of `by`, after units(): the first two of what that says, of these users alone."""
        columns = [f"by_{name}" for name in names_of(definition)]
        rows = self.db.execute(f"SELECT DISTINCT {','.join(columns)} FROM exposed").fetchall()
        return {row: self.counts(definition, " AND ".join(
            f"{column} IS {quoted(value)}" for column, value in zip(columns, row))) for row in rows}

    def counts(self, definition, which_users="1"):
        end = bounds(definition)[1]
        self.db.execute("DROP VIEW IF EXISTS those")
        self.db.execute(f"CREATE TEMP VIEW those AS SELECT * FROM exposed WHERE {which_users}")
        excluded, = self.db.execute("SELECT coalesce(sum(arms > 1), 0) FROM those").fetchone()
        sums = []
        for key in ("goal", "denominator"):
            which, number = GOALS[definition[key]] if key in definition else ("0", "0")
            sums.append(dict(self.db.execute(
                f"SELECT user, sum({number}) FROM those JOIN events USING (user) "
                f"WHERE arms = 1 AND {which} AND time >= first AND time < ? GROUP BY user", (end,))))
        units = {arm: [] for arm in definition["variants"]}
        for user, arm in self.db.execute("SELECT user, arm FROM those WHERE arms = 1"):
            x, y = sums[0].get(user, 0), sums[1].get(user, 0)
            units[arm].append((min(x, MICRO) if metric_of(definition) == "proportion" else x, y))
        return units, excluded


def names_of(definition):
    """Of `by`, in the order of answers."""
    by = definition.get("by", [])
    return sorted([by] if isinstance(by, str) else by)


def quoted(value):
    return "NULL" if value is None else f"'{value}'"


def metric_of(definition):
    if "denominator" in definition:
        return "ratio"
    if "metric" in definition:
        return definition["metric"]
    return "proportion" if definition["goal"] == "purchasers" else "mean"


# --- distributions ---------------------------------------------------------------------------------------


def z_quantile(tail):
    return -NormalDist().inv_cdf(tail)


def z_upper(z):
    return math.erfc(z / math.sqrt(2)) / 2


@functools.lru_cache(None)
def legendre(n):
    """Nodes and weights of Gauss and Legendre on [-1, 1]."""
    rule = []
    for i in range(n):
        x = math.cos(math.pi * (i + 0.75) / (n + 0.5))
        for _ in range(100):
            before, p = 1.0, x
            for k in range(2, n + 1):
                before, p = p, ((2 * k - 1) * x * p - (k - 1) * before) / k
            slope = n * (x * p - before) / (x * x - 1)
            step = p / slope
            x -= step
            if abs(step) < 1e-16:
                break
        rule.append((x, 2 / ((1 - x * x) * slope * slope)))
    return rule


def t_upper(t, df):
    """P(T > t): with x = sqrt(df) cot u the density is sin(u)^(df - 1), integrated up to u0."""
    if t < 0:
        return 1 - t_upper(-t, df)
    u0 = math.atan2(math.sqrt(df), t)
    low = math.asin(math.sin(u0) * 10 ** (-20 / max(df - 1, 1e-9))) if df > 1 else 0.0
    total, panels = 0.0, 48
    for i in range(panels):  # narrower towards 0, where the density has no derivative if df is small
        a, b = (low + (u0 - low) * (k / panels) ** 4 for k in (i, i + 1))
        total += sum(w * math.sin((a + b) / 2 + x * (b - a) / 2) ** (df - 1) for x, w in legendre(12)) \
            * (b - a) / 2
    return total * math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)


@functools.lru_cache(None)
def t_quantile(tail, df):
    t = z_quantile(tail)
    for _ in range(60):
        density = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)
                           - (df + 1) / 2 * math.log1p(t * t / df)) / math.sqrt(df * math.pi)
        step = (t_upper(t, df) - tail) / density
        t += step
        if abs(step) < 1e-13 * t:
            break
    return t


def chi2_upper(x, df):
    """Closed forms of whole degrees of freedom."""
    if df % 2:
        total, term = math.erfc(math.sqrt(x / 2)), math.sqrt(2 * x / math.pi) * math.exp(-x / 2)
        for k in range(3, df + 1, 2):
            total, term = total + term, term * x / k
        return total
    total = term = math.exp(-x / 2)
    for k in range(1, df // 2):
        term *= x / 2 / k
        total += term
    return total


def at_most_as_likely(probabilities, seen):
    """The two-sided p of exact tests."""
    limit = probabilities[seen] * (1 + Fraction(1, 10 ** 7))
    return float(min(1, sum(p for p in probabilities.values() if p <= limit)))


def split_p(counts, weights):
    n, weight = sum(counts), sum(weights)
    if n == 0:
        return None
    expected = [Fraction(n * w, weight) for w in weights]
    if len(counts) == 2 and min(expected) < 5:
        p = Fraction(weights[0], weight)
        return at_most_as_likely({k: math.comb(n, k) * p ** k * (1 - p) ** (n - k)
                                  for k in range(n + 1)}, counts[0])
    return chi2_upper(float(sum((c - e) ** 2 / e for c, e in zip(counts, expected))), len(counts) - 1)


# --- tests -----------------------------------------------------------------------------------------------


class Arm:
    """Value and variance of an arm, exact until they are asked for; None if there is none."""

    def __init__(self, metric, units):
        self.n = n = len(units)
        x, y = (sum(Fraction(u[i], MICRO) for u in units) for i in (0, 1))
        self.sums = {"x": x, "y": y}
        for name, i, j in (("xx", 0, 0), ("xy", 0, 1), ("yy", 1, 1)):
            self.sums[name] = Fraction(sum(u[i] * u[j] for u in units), MICRO ** 2)
        xx, xy, yy = (self.sums[k] for k in ("xx", "xy", "yy"))
        self.value = self.variance = None
        self.hits = x
        if n == 0 or (metric == "ratio" and y == 0):
            return
        self.value = x / y if metric == "ratio" else x / n
        if metric == "proportion":
            self.variance = self.value * (1 - self.value) / n
        elif n > 1 and metric == "mean":
            self.variance = (xx - x * x / n) / (n - 1) / n
        elif n > 1:
            ratio = self.value
            spread = (xx - x * x / n) - 2 * ratio * (xy - x * y / n) + ratio ** 2 * (yy - y * y / n)
            self.variance = spread / (n - 1) / n / (y / n) ** 2


def wilson(hits, n, z):
    p, z2 = hits / n, z * z
    centre, half = p + z2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n)


def newcombe(a, b, z):
    low_a, high_a = wilson(float(a.hits), a.n, z)
    low_b, high_b = wilson(float(b.hits), b.n, z)
    pa, pb = float(a.value), float(b.value)
    return (pb - pa - math.hypot(pb - low_b, high_a - pa),
            pb - pa + math.hypot(high_b - pb, pa - low_a))


def fisher(a, b, tail):
    hits, n = int(a.hits + b.hits), a.n + b.n
    chance = {k: Fraction(math.comb(b.n, k) * math.comb(a.n, hits - k), math.comb(n, hits))
              for k in range(max(0, hits - a.n), min(hits, b.n) + 1)}
    seen = int(b.hits)
    if tail == "both":
        return at_most_as_likely(chance, seen)
    return float(sum(p for k, p in chance.items() if (k >= seen if tail == "greater" else k <= seen)))


def tail_p(upper, statistic, tail):
    if tail == "both":
        return min(1.0, 2 * upper(abs(statistic)))
    return upper(statistic if tail == "greater" else -statistic)


def sequential(z, units, definition, tail):
    """(critical, p) of the confidence sequence of D8."""
    alpha = definition.get("alpha", 0.05)
    one = tail != "both"
    a = 2 * alpha if one else alpha
    rho2 = (-2 * math.log(a) + math.log(-2 * math.log(a) + 1)) / definition.get("tuning_units", 5000)
    s = units * rho2 + 1
    log = math.log(1 + math.sqrt(s) / (2 * alpha)) if one else math.log(math.sqrt(s) / alpha)
    critical = math.sqrt(units) * math.sqrt(2 * s / (units ** 2 * rho2) * log)
    if one:
        z = z if tail == "greater" else -z
        grown = math.expm1(z * z * units * rho2 / (2 * s)) if z > 0 else 0
        return critical, min(1.0, math.sqrt(s) / 2 / grown) if grown else 1.0
    return critical, min(1.0, math.sqrt(s) * math.exp(-z * z * units * rho2 / (2 * s)))


def interval(value, half, tail):
    return (None if tail == "less" else value - half, None if tail == "greater" else value + half)


def compare(a, b, definition):
    """uplift, lower, upper, relative ones, p of b against a; what is undefined is None."""
    metric, alpha = metric_of(definition), definition.get("alpha", 0.05)
    tail = "both"
    if definition.get("one_sided"):
        tail = "less" if definition.get("better") == "down" else "greater"
    nothing = dict(uplift=None, lower=None, upper=None, relative_uplift=None, relative_lower=None,
                   relative_upper=None, p=None, test="none")
    if a.value is None or b.value is None:
        return nothing
    difference = float(b.value - a.value)
    relative = float((b.value - a.value) / abs(a.value)) if a.value else None
    known = dict(nothing, uplift=difference, relative_uplift=relative)
    if a.variance is None or b.variance is None:
        return known
    variance = a.variance + b.variance
    error, level = math.sqrt(variance), alpha if tail != "both" else alpha / 2
    test, ends = None, None
    if definition.get("method", "sequential") == "sequential":
        if variance == 0:
            return known
        test = "sequential"
        critical, p = sequential(difference / error, a.n + b.n, definition, tail)
    elif metric == "proportion":
        hits, n = a.hits + b.hits, a.n + b.n
        if hits in (0, n):
            return known
        critical = z_quantile(level)
        if min(hits, n - hits) * min(a.n, b.n) < 5 * n:
            test, p = "fisher", fisher(a, b, tail)
        else:
            test = "z"
            pooled = hits / n * (1 - hits / n) * (Fraction(1, a.n) + Fraction(1, b.n))
            p = tail_p(z_upper, difference / math.sqrt(pooled), tail)
        if test == "fisher" or variance == 0:
            low, high = newcombe(a, b, critical)
            ends = (None if tail == "less" else low, None if tail == "greater" else high)
    elif variance == 0:
        return known
    elif metric == "mean":
        test = "welch"
        df = float(variance ** 2 / (a.variance ** 2 / (a.n - 1) + b.variance ** 2 / (b.n - 1)))
        critical = t_quantile(level, df)
        p = tail_p(lambda t: t_upper(t, df), difference / error, tail)
    else:
        test, critical = "delta", z_quantile(level)
        p = tail_p(z_upper, difference / error, tail)
    lower, upper = ends or interval(difference, critical * error, tail)
    known.update(lower=lower, upper=upper, p=p, test=test)
    if relative is not None:
        spread = math.sqrt(b.variance + (b.value / a.value) ** 2 * a.variance) / abs(float(a.value))
        if spread > 0:
            known["relative_lower"], known["relative_upper"] = interval(relative, critical * spread, tail)
    return known


def adjust(p, correction):
    p = [1.0 if q is None else q for q in p]
    m = len(p)
    order = sorted(range(m), key=lambda i: p[i])
    adjusted = [0.0] * m
    if correction == "holm":
        worst = 0.0
        for rank, i in enumerate(order):
            worst = max(worst, min(1.0, (m - rank) * p[i]))
            adjusted[i] = worst
    else:
        least = 1.0
        for rank in reversed(range(m)):
            least = min(least, p[order[rank]] * m / (rank + 1))
            adjusted[order[rank]] = least
    return adjusted


def judge(definition, units, first, as_of):
    """What the JSON says of an experiment, as far as numbers go."""
    names = definition["variants"]
    arms = {name: Arm(metric_of(definition), units[name]) for name in names}
    control = definition.get("control")
    pairs = [(control, b) for b in names if b != control] if control else \
        [(a, b) for i, a in enumerate(names) for b in names[i + 1:]]
    comparisons = [dict(compare(arms[a], arms[b], definition), a=a, b=b) for a, b in pairs]
    adjusted = adjust([c["p"] for c in comparisons], definition.get("correction", "holm"))
    for comparison, p in zip(comparisons, adjusted):
        comparison["p_adjusted"] = None if comparison["p"] is None else p
        comparison["significant"] = comparison["p"] is not None and p <= definition.get("alpha", 0.05)
    srm = split_p([arms[n].n for n in names], definition.get("split", [1] * len(names)))
    return {"arms": arms, "comparisons": comparisons, "srm_p": srm,
            "verdict": verdict(definition, arms, comparisons, srm, first, as_of)}


def verdict(definition, arms, comparisons, srm, first, as_of):
    """(verdict, reason)"""
    run = {"0s": 0, "24h": 86400, None: 2 * 86400}[definition.get("min_run")] * MICRO
    if first is not None and definition.get("method") == "fixed":
        run = max(run, bounds(definition)[1] - first)
    if sum(a.n for a in arms.values()) >= 100 and srm < 0.001:
        return "blocked", "srm"
    if (0 if first is None else max(0, as_of - first)) < run:
        return "undecided", "run"
    if min(a.n for a in arms.values()) < definition.get("min_units", 100):
        return "undecided", "units"
    sign = -1 if definition.get("better") == "down" else 1
    wins = {name: 0 for name in arms}
    for c in comparisons:
        if c["significant"]:
            wins[c["b"] if sign * c["uplift"] > 0 else c["a"]] += 1
    control = definition.get("control")
    if control is None:
        best = [n for n in arms if wins[n] == len(arms) - 1]
    else:
        better = [n for n in arms if n != control and wins[n]]
        best = sorted(better, key=lambda n: -sign * arms[n].value)[:1] if better else \
            [control] if wins[control] == len(arms) - 1 else []
    return (best[0], "evidence") if best else ("undecided", "no_winner")


# --- against what kpid says ------------------------------------------------------------------------------


def exact(number):
    """A Fraction of a text."""
    return Fraction(number)


def differences(entry, definition, units, excluded, first, as_of):
    """What of an entry of "experiments" is not so: texts. Sums must be equal, numbers to 1e-9. Of arms
    with uncertain users only the units are."""
    wrong = []
    expected = judge(definition, units, first, as_of)

    def check(what, got, want, scale=0.0):
        if isinstance(want, float) and isinstance(got, (int, float)):
            if abs(got - want) <= 1e-9 * max(abs(want), scale):
                return
        elif got == want:
            return
        wrong.append(f"{entry['experiment']} {what}: {got} instead of {want}")

    certain = not any(a["uncertain"] for a in entry["arms"])
    check("excluded", entry["excluded"], excluded)
    check("arms", [a["arm"] for a in entry["arms"]], definition["variants"])
    for arm in entry["arms"]:
        want = expected["arms"][arm["arm"]]
        check(f"units of {arm['arm']}", arm["units"], want.n)
        for key, sum_ in arm["sums"].items():
            if not arm["uncertain"]:
                check(f"{key} of {arm['arm']}", exact(sum_), want.sums[key])
            elif exact(sum_) > want.sums[key]:
                wrong.append(f"{key} of {arm['arm']} is too much")
        if not arm["uncertain"]:
            check(f"value of {arm['arm']}", arm["value"],
                  None if want.value is None else float(want.value))
    check("srm_p", entry["srm_p"], expected["srm_p"])
    if not certain:
        return wrong
    check("verdict", (entry["verdict"], entry["reason"]), expected["verdict"])
    for got, want in zip(entry["comparisons"], expected["comparisons"]):
        scale = max([abs(want[k]) for k in ("lower", "upper", "uplift") if want[k] is not None] + [0])
        relative = max([abs(want[k]) for k in ("relative_lower", "relative_upper", "relative_uplift")
                        if want[k] is not None] + [0])
        for key, value in want.items():
            check(f"{want['a']}/{want['b']} {key}", got[key], value,
                  relative if key.startswith("relative") else 0 if key.startswith("p") else scale)
    check("comparisons", len(entry["comparisons"]), len(expected["comparisons"]))
    return wrong


def settings():
    """A configuration's part."""
    return {"timezone": str(ZONE), "campaigns": [CAMPAIGN], "measures": MEASURES,
            "experiments": EXPERIMENTS, **DIMENSIONS}


def lines(documents):
    return "".join(json.dumps(d) + "\n" for d in documents)
