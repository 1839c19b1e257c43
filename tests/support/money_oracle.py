"""What the variants of the catalogue's KPIs on purchases and money are, counted user by user from what the words
mean: for tests of them. Events are taken in the order of the log, as attributes of users are."""

import decimal

from support.campaigns import local_day

MICRO = 1000000
DAY = 86_400_000_000
ZONE = "Asia/Shanghai"  # of the configuration: of days on which users order

CAP = 4000
# KPI: formula, and whose days count: those that are over for so many.
KPIS = {
    "capped_ltv": ("mature(my_first + my_later, 90) / mature(new_buyers, 90)", 90),
    "capped_so_far": ("(my_first + my_later) / new_buyers", 0),
    "last_touch": ("touched_sales / total(sales)", 0),
    "first_touch": ("first_touched_sales / total(sales)", 0),
    "linear": ("shared_sales / total(sales)", 0),
    "linear_of_all": ("total(shared_sales) / total(sales)", 0),
    "repeat_ever": ("known_buyers / buyers", 0),
    "repeat_by_days": ("repeat_day_buyers / buyers", 0),
    "repeat_ever_by_days": ("known_day_buyers / buyers", 0),
    "second_day_30d": ("mature(second_days, 30) / mature(new_buyers, 30)", 30),
}
# The cap of the catalogue is more than anybody spends here.
MEASURES = {
    "my_first": {"agg": f"capped(bought_90d, {CAP}, less=returned_90d)",
                 "where": 'type == "purchase" and orders_before == 0'},
    "my_later": {"agg": f"capped(bought_90d, {CAP}, less=returned_90d)",
                 "where": "age(first_order) <= 90d", "at": "first_order", "campaign": "first_order_by"},
}


def configuration():
    return {"measures": MEASURES,
            "kpis": {name: {"formula": formula, "unit": "ratio"} for name, (formula, _days) in KPIS.items()}}


def once(events):
    """The first of equal ids counts."""
    seen = set()
    for event in events:
        if event["id"] not in seen:
            seen.add(event["id"])
            yield {**event, "time": event["time"] * 1000, "amount": micros(event.get("amount", "0"))}


def micros(text):
    whole, _, part = text.partition(".")
    return int(whole) * MICRO + int((part + "000000")[:6])


def split(amount, campaigns):
    """Equal parts that add up: those whose names come first get what is left."""
    part, left = divmod(amount, len(campaigns))
    names = sorted(campaigns, key=str.encode)
    return {name: part + (i < left) for i, name in enumerate(names)}


class User:
    """What the log has told so far of one."""

    def __init__(self):
        self.first = None      # order, in the order of the log
        self.net = 0           # within 90 days of it
        self.days = []         # of orders
        self.n_days = 0        # of those with orders
        self.touches = []      # time, campaign

    def last_touch(self, time):
        at, campaign = max(self.touches, default=(0, None), key=lambda t: (t[0], t[1].encode()))
        return [campaign] if campaign is not None and time - at <= 7 * DAY else []

    def first_touch(self):
        return [min(self.touches, key=lambda t: (t[0], t[1].encode()))[1]] if self.touches else []

    def touched_by(self, time):
        """All of the last 7 days; a campaign's latest touch tells."""
        return {c for c in {c for _at, c in self.touches}
                if time - max(at for at, campaign in self.touches if campaign == c) <= 7 * DAY}

    def day_is_new(self, day):
        """One that comes after orders of a later day stands alone."""
        return day not in self.days or day < max(self.days)


class Oracle:
    """`rows`: (measure, time, campaign, user, number) of all that counts."""

    def __init__(self, events):
        self.rows, self.users = [], {}
        for event in once(events):
            user = self.users.setdefault(event.get("user"), User())
            if event["type"] in ("exposure", "participation") and "campaign" in event:
                user.touches.append((event["time"], event["campaign"]))
            elif event["type"] == "purchase":
                self.purchase(event, user)
            elif event["type"] == "refund" and user.first and event["time"] - user.first["time"] <= 90 * DAY:
                user.net -= event["amount"]
        for user in self.users.values():
            if user.first:
                self.row("capped", user.first, min(user.net, CAP * MICRO))

    def row(self, measure, event, number=1, campaign=None):
        self.rows.append((measure, event["time"], campaign or event.get("campaign"), event["user"], number))

    def purchase(self, event, user):
        time, amount, day = event["time"], event["amount"], local_day(ZONE, event["time"])
        self.row("order", event)
        self.row("sales", event, amount)
        if user.first:
            self.row("known", event)
        else:
            user.first = event
            self.row("new", event)
        if time - user.first["time"] <= 90 * DAY:
            user.net += amount
        for measure, campaigns in (("last_touch", user.last_touch(time)), ("first_touch", user.first_touch()),
                                   ("linear", user.touched_by(time))):
            for campaign, part in split(amount, campaigns).items() if campaigns else ():
                self.rows.append((measure, time, campaign, event["user"], part))
        self.days(event, user, day)

    def days(self, event, user, day):
        is_new = user.day_is_new(day)
        if is_new:
            self.row("day", event)
        if user.n_days >= 2 or user.n_days == 1 and is_new:
            self.row("known day", event)
        if is_new and user.n_days == 1 and event["time"] - user.first["time"] <= 30 * DAY:
            self.row("second day", user.first)
        user.n_days += is_new
        user.days.append(day)

    def values(self, campaigns, as_of):
        """{(campaign, kpi, kind, start day, end day): (numerator, denominator)}, None of what has no data"""
        result = {}
        for campaign in campaigns:
            today = local_day(campaign.zone, as_of)
            rows = [(m, local_day(campaign.zone, time), c, user, n) for m, time, c, user, n in self.rows]
            for scope in campaign.scopes(as_of, ("day", "month")):
                for kpi, (_formula, days) in KPIS.items():
                    inside = [row for row in rows
                              if scope.start_day <= row[1] < min(scope.end_day, today - days if days else today + 1)]
                    key = campaign.id, kpi, scope.kind, scope.start_day, scope.end_day
                    result[key] = getattr(self, kpi)([r for r in inside if r[2] == campaign.id], inside)
        return result

    # own: rows of the scope that carry the campaign; of_all: all of the scope

    def capped_ltv(self, own, _of_all):
        return total(own, "capped"), count(own, "new")

    capped_so_far = capped_ltv

    def last_touch(self, own, of_all):
        return total(own, "last_touch"), total(of_all, "sales")

    def first_touch(self, own, of_all):
        return total(own, "first_touch"), total(of_all, "sales")

    def linear(self, own, of_all):
        return total(own, "linear"), total(of_all, "sales")

    def linear_of_all(self, _own, of_all):
        return total(of_all, "linear"), total(of_all, "sales")

    def repeat_ever(self, own, _of_all):
        return len(users(own, "known")), len(users(own, "order"))

    def repeat_by_days(self, own, _of_all):
        days = [row[3] for row in own if row[0] == "day"]
        return sum(days.count(user) >= 2 for user in set(days)), len(users(own, "order"))

    def repeat_ever_by_days(self, own, _of_all):
        return len(users(own, "known day")), len(users(own, "order"))

    def second_day_30d(self, own, _of_all):
        return count(own, "second day"), count(own, "new")


def total(rows, measure):
    return decimal.Decimal(sum(row[4] for row in rows if row[0] == measure)) / MICRO


def count(rows, measure):
    return sum(row[0] == measure for row in rows)


def users(rows, measure):
    return {row[3] for row in rows if row[0] == measure}
