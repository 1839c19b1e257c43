"""Records made by hand, for tests that want a number they can name."""

import itertools
import json
import time

from support.campaigns import Campaign, day_of
from support.journal import Event, Journal, Record

_ids = itertools.count(1)

DAY = 86_400_000_000


def now_us():
    return int(time.time() * 1000000)


def campaign_now(name="c1", before=10, after=10, zone="UTC"):
    """A campaign around the present day."""
    today = now_us() // DAY
    return Campaign(name, zone, today - before, today + after)


def record(kind, user, campaign, at=None, id=None, **fields):
    """A good event of one user (None: of nobody); amount as text."""
    at = now_us() - 1000000 if at is None else at
    document = {"id": id or f"s-{next(_ids)}", "type": kind, "time": at // 1000, **fields}
    if user is not None:
        document["user"] = user
    if campaign is not None:
        document["campaign"] = campaign
    amount = round(float(fields["amount"]) * 1000000) if "amount" in fields else None
    score = fields["score"] * 1000000 if "score" in fields else None
    event = Event(document["id"], None, kind, user, at // 1000 * 1000, campaign, amount, score)
    key = user or document["id"]
    return Record(key.encode(), json.dumps(document, ensure_ascii=False).encode(), at // 1000,
                  event=event)


def crowd(campaign, n_reached, n_participants, prefix="u", at=None):
    """n_reached users who see the campaign, the first n_participants of whom take part. The rate falls
    to its end from above, so that nothing is low in between."""
    records = []
    for i in range(max(n_reached, n_participants)):
        if i < n_participants:
            records.append(record("participation", f"{prefix}{i}", campaign, at))
        if i < n_reached:
            records.append(record("exposure", f"{prefix}{i}", campaign, at))
    return records


def messages(records):
    return [(r.key, r.value, r.timestamp) for r in records]


def journal(campaigns, records):
    return Journal(campaigns, records, now_us())


def find(document, kpi, kind="campaign", campaign=None):
    """The one entry of a KPI in a document."""
    found = [e for e in document["kpis"] if e["kpi"] == kpi and e["scope"]["kind"] == kind
             and campaign in (None, e["campaign"])]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} entries of {kpi} {kind}")
    return found[0]


def fraction(document, kpi="participation_rate", kind="campaign", campaign=None):
    """(numerator, denominator) of an entry; (None, None) if it is not there."""
    for entry in document["kpis"]:
        if (entry["kpi"] == kpi and entry["scope"]["kind"] == kind
                and campaign in (None, entry["campaign"])):
            return entry["numerator"], entry["denominator"]
    return None, None
