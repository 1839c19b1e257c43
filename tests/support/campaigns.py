"""The campaigns of the generated stream: as kpid's configuration has them, and as numbers for the oracle."""

import dataclasses
import datetime
import zoneinfo

EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()

ACTIVE_TYPES = ("signup", "login", "session", "participation", "comment", "like", "share", "invite",
                "checkout", "purchase", "survey")
ROLLING_DAYS = (7, 30)
KEEP_DAYS = 400
# Of the catalogue, the KPIs that the oracle knows: none of them depends on the order of arrival.
CATALOGUE = ("participation_rate", "retention_d1", "retention_d7", "retention_m3", "repeat_purchase_rate",
             "roi", "roi_net", "nps")
# And retention as it may be meant instead.
RETENTION = {
    "later_d3": "retained(start=participants, return=active, basis=day, at=3, mode=unbounded)",
    "later_m1": "retained(start=participants, return=active, basis=month, at=1, mode=unbounded)",
    "each_d2": "retained(start=participants, return=active, basis=day, at=2, mode=every)",
    "any_d1_7": "retained(start=participants, return=active, basis=day, mode=bracket, from=1, to=8)",
    "again_w1": "retained(start=participants, return=active, basis=week, at=1, cohort=recurring)",
    "again_m1": "retained(start=participants, return=active, basis=month, at=1, mode=unbounded, cohort=recurring)",
    "any_w0_2": "retained(start=participants, return=active, basis=week, from=0, to=3)",
}
KPIS = CATALOGUE + tuple(RETENTION)
WINDOWS = {"hour": ("hour", 60), "5m": ("minutes", 5)}  # kind and minutes


def local_day(zone, time_us):
    """The day since 1970 that an instant falls on in a zone."""
    seconds, rest = divmod(time_us, 1000000)
    at = datetime.datetime.fromtimestamp(seconds, zoneinfo.ZoneInfo(zone))
    return at.replace(microsecond=rest).date().toordinal() - EPOCH_ORDINAL


def day_start(zone, day):
    """The instant at which a local day begins, in microseconds."""
    date = datetime.date.fromordinal(day + EPOCH_ORDINAL)
    at = datetime.datetime(date.year, date.month, date.day, tzinfo=zoneinfo.ZoneInfo(zone))
    return int(at.timestamp()) * 1000000


def day_of(date):
    return date.toordinal() - EPOCH_ORDINAL


def date_of(day):
    return datetime.date.fromordinal(day + EPOCH_ORDINAL)


@dataclasses.dataclass(frozen=True)
class Scope:
    """[start_day, end_day) in the campaign's zone; windows of a day have instants of their own."""
    kind: str
    start_day: int
    end_day: int
    start: int | None = None
    end: int | None = None


def period_of(kind, day, week_start=0):
    """The days [start, end) of the week, month, quarter or year that a day lies in."""
    date = date_of(day)
    if kind == "week":
        start = day - (date.weekday() - week_start) % 7
        return start, start + 7
    months = {"month": 1, "quarter": 3, "year": 12}[kind]
    first = (date.month - 1) // months * months
    return (day_of(datetime.date(date.year, first + 1, 1)),
            day_of(datetime.date(date.year + (first + months) // 12, (first + months) % 12 + 1, 1)))


def windows_of(zone, day, minutes):
    """The windows of a day as instants, from its begin; the last one may be cut."""
    start, end = day_start(zone, day), day_start(zone, day + 1)
    step = minutes * 60 * 1000000
    return [(at, min(at + step, end)) for at in range(start, end, step)]


@dataclasses.dataclass(frozen=True)
class Campaign:
    """Days are [start, end); phases are (name, start, end, as written in the configuration)."""
    id: str
    zone: str
    start: int
    end: int
    phases: tuple = ()

    def configuration(self):
        result = {"id": self.id, "timezone": self.zone, "start": date_of(self.start).isoformat(),
                  "end": date_of(self.end).isoformat(), "audience": 20000,
                  "budget": {"total": 500000, "base": "30%", "float": 250000}}
        if self.phases:
            result["phases"] = {name: list(words) for name, _start, _end, words in self.phases}
        return result

    def scopes(self, as_of, grains=("day",)):
        """All scopes that are reported at an instant."""
        today = local_day(self.zone, as_of)
        result = [Scope("campaign", self.start, self.end)]
        result += [Scope("phase", start, end) for _name, start, end, _words in self.phases]
        result += [Scope("rolling", today - n + 1, today + 1) for n in ROLLING_DAYS]
        first = min([self.start] + [p[1] for p in self.phases])
        last = max([self.end] + [p[2] for p in self.phases])
        for grain in grains:
            if grain == "day":
                result += [Scope("day", d, d + 1) for d in range(first, min(today + 1, last))]
            elif grain in WINDOWS:
                result += [Scope(WINDOWS[grain][0], day, day + 1, *window)
                           for day in (today - 1, today) if first <= day < last
                           for window in windows_of(self.zone, day, WINDOWS[grain][1])
                           if window[0] <= as_of]
            else:
                result += [Scope(grain, *days) for days in sorted(
                    {period_of(grain, d) for d in range(first, min(today + 1, last))})]
        return result


def campaigns_before(anchor):
    """Four campaigns that were on in the months before a date: one long over, one just over, one with a
    daylight-saving change inside, one running."""
    a = day_of(anchor)
    long_start, new_york = a - 150, a - 118
    return (
        Campaign("悦享会员月", "Asia/Shanghai", long_start, long_start + 30, (
            ("prepare", long_start - 15, long_start - 7, ("-15d", "-7d")),
            ("warmup", long_start - 7, long_start, ("-7d", "start")),
            ("burst", long_start, long_start + 5, ("start", "+5d")),
            ("run", long_start + 5, long_start + 30, ("+5d", "end")),
            ("settle", long_start + 30, long_start + 37, ("end", "+7d")))),
        Campaign("spring-ny", "America/New_York", new_york, new_york + 45),
        Campaign("乌鲁木齐-夜市", "Asia/Urumqi", a - 50, a - 29),
        Campaign("now \"on\" 现在", "Europe/Berlin", a - 20, a + 10, (
            ("warmup", a - 27, a - 20, ("-7d", "start")),
            ("burst", a - 20, a - 15, ("start", "+5d")))),
    )


def configuration(campaigns, **more):
    """What generated streams need of a configuration, without the places to connect to."""
    result = {"timezone": "Asia/Shanghai", "week_start": "monday", "currency": "CNY",
              "keep": f"{KEEP_DAYS}d", "catalogue": list(CATALOGUE),
              "kpis": {name: {"formula": formula, "unit": "ratio"} for name, formula in RETENTION.items()},
              "campaigns": [c.configuration() for c in campaigns]}
    result.update(more)
    return result
