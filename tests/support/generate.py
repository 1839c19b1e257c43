"""A stream of events of several campaigns, with everything in it that a real one has: copies, conflicts,
disorder, late events, bad ones. The same seed gives the same bytes.

    python3 -m support.generate SEED > events.ndjson        (in tests/)
"""

import datetime
import json
import random
import sys
import zlib

from support import bad
from support.campaigns import campaigns_before, date_of, day_start
from support.journal import CONFLICT, DUPLICATE, REFUSED, SKIPPED, Event, Journal, Record

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000

CHANNELS = ("微信", "抖音", "push", "线下门店", "e-mail", "搜索\"引擎\"")
CITIES = ("上海", "乌鲁木齐", "New York", "Köln")

# How often a user who meets a campaign does what, and how many times at most.
HABITS = (("exposure", 0.97, 3), ("participation", 0.6, 4), ("like", 0.3, 3), ("comment", 0.2, 2),
          ("share", 0.15, 2), ("checkout", 0.3, 2), ("purchase", 0.28, 3), ("refund", 0.05, 1),
          ("survey", 0.25, 3))


class Generator:
    """One stream. Times in microseconds; `anchor` is the (UTC) date at whose begin it ends."""

    def __init__(self, seed, anchor=datetime.date(2026, 6, 15), n_users=700, bad_events=True):
        self.random = random.Random(seed)
        self.anchor = anchor
        self.end = day_start("UTC", (anchor - datetime.date(1970, 1, 1)).days)
        self.campaigns = campaigns_before(anchor)
        self.users = [self._user_name(i) for i in range(n_users)]
        self.n_ids = 0
        self.entries = []  # (record time in us, tie, Record)
        self._make(bad_events)

    def journal(self):
        self.entries.sort(key=lambda e: e[:2])
        return Journal(self.campaigns, [e[2] for e in self.entries], self.end)

    # What happens.

    def _make(self, bad_events):
        for campaign in self.campaigns:
            for user in self.users:
                if self.random.random() < 0.45:
                    self._meet(campaign, user)
            self._spend(campaign)
        for user in self.users:
            self._visit(user)
        self._strays()
        self._spoil()
        if bad_events:
            self._bad()

    def _meet(self, campaign, user):
        """A user's acts under a campaign's name: mostly inside of it, some before and after."""
        start, end = day_start(campaign.zone, campaign.start), day_start(campaign.zone, campaign.end)
        first = self.random.randrange(start - 12 * DAY, end + 3 * DAY)
        for kind, share, most in HABITS:
            if self.random.random() >= share:
                continue
            at = first
            for _ in range(self.random.randint(1, most)):
                at += int(self.random.expovariate(1 / (30 * HOUR)))
                self._act(kind, user, campaign.id, at)
                if kind == "survey" and self.random.random() < 0.05:
                    # A second answer in the very same instant.
                    self._act(kind, user, campaign.id, at)

    def _visit(self, user):
        """Logins and sessions over the months, without any campaign: who comes back is seen by these."""
        at = self.end - self.random.randrange(1, 190) * DAY
        while at < self.end:
            self._act(self.random.choice(("login", "session", "page")), user, None, at)
            at += int(self.random.expovariate(1 / (9 * DAY))) + HOUR

    def _spend(self, campaign):
        for day in range(campaign.start - 3, campaign.end):
            if self.random.random() < 0.7:
                at = day_start(campaign.zone, day) + self.random.randrange(DAY)
                self._act("spend", None, campaign.id, at)

    def _strays(self):
        """Campaigns that nobody defined, and acts of campaigns that name none."""
        for _ in range(len(self.users) // 3):
            at = self.end - self.random.randrange(1, 160 * DAY)
            kind = self.random.choice(("participation", "exposure", "purchase", "survey", "未知类型"))
            self._act(kind, self.random.choice(self.users),
                      self.random.choice((None, "no-such-campaign", "悦享会员", "")), at)

    # How it is written.

    def _act(self, kind, user, campaign, at):
        if at >= self.end:
            return
        r = self.random
        # Times are written to the millisecond by most, finer by some.
        at -= at % (1000 if r.random() < 0.9 else 1)
        document = {"id": self._id(), "type": kind, "user": user, "time": self._time(at),
                    "campaign": campaign, "channel": r.choice(CHANNELS)}
        event = Event(document["id"], None, kind, user, at, campaign, channel=document["channel"])
        # A test of three arms that some know nothing of; without dice, so that streams stay as they are.
        event.variant = (None, "A", "B", "C")[zlib.crc32((user or "").encode()) % 4]
        document["variant"] = event.variant
        if r.random() < 0.2:
            document["source"] = event.source = r.choice(("app", "web", "小程序"))
        if r.random() < 0.02:
            document["id"] = event.id = None
        if kind in ("purchase", "refund", "spend"):
            document["amount"], event.amount = self._amount(kind)
            if r.random() < 0.5:
                document["currency"] = "CNY"
        if kind == "survey" and r.random() < 0.97:
            document["score"] = r.choice((10, 10, 9, 9, 9, 8, 7, 6, 3, 0, 11, -1, 8.5))
            event.score = int(document["score"] * 1000000)
        if r.random() < 0.3:
            document["props"] = {"city": r.choice(CITIES), "tags": ["a", {"b": None}], "n": 1e-7}
        self._emit(document, event, self._delay())

    def _emit(self, document, event, delay):
        record_time = min(event.time + delay, self.end - 1)
        self._put(record_time, Record(self._key(document), self._bytes(document),
                                      record_time // 1000, event=event), document)

    def _put(self, record_time, record, document=None):
        record.document = document
        self.entries.append((record_time, len(self.entries), record))

    def _delay(self):
        """Most records follow at once; some come out of order, a few are days late."""
        x = self.random.random()
        if x < 0.9:
            return self.random.randrange(2000000)
        if x < 0.97:
            return self.random.randrange(HOUR)
        return self.random.randrange(6 * DAY)

    def _id(self):
        self.n_ids += 1
        return f"e-{self.n_ids}" if self.random.random() < 0.9 else f"事件-{self.n_ids}"

    def _key(self, document):
        """Records are keyed by user; what has none by its id."""
        key = document.get("user") or document.get("id") or ""
        return key.encode()

    def _user_name(self, i):
        return f"用户-{i}" if i % 7 == 0 else f"u-{i}"

    def _time(self, at):
        """One of the ways to write an instant."""
        way = self.random.randrange(5)
        if way == 0 and at % 1000 == 0:
            return at // 1000
        zone = datetime.timezone(datetime.timedelta(minutes=(0, 480, -300, 345, 0)[way]))
        when = datetime.datetime.fromtimestamp(at // 1000000, zone)
        fraction = f".{at % 1000000:06d}"
        if way == 3:
            fraction += "999"  # cut, not rounded
        elif at % 1000 == 0:
            fraction = fraction[:4]
        stamp = when.strftime("%Y-%m-%dT%H:%M:%S") + fraction
        offset = when.strftime("%z")
        return stamp + ("Z" if way in (0, 4) else offset[:3] + ":" + offset[3:])

    def _amount(self, kind):
        """(as written, in 10^-6)"""
        r = self.random
        if kind == "spend":
            micros = r.randrange(100, 4000) * 1000000
        elif r.random() < 0.05:
            micros = r.randrange(1, 10**9)
        else:
            micros = r.randrange(100, 90000) * 10000
        whole, rest = divmod(micros, 1000000)
        text = f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
        # A float of few digits prints as it was written, so that JSON's number is the same text.
        if r.random() < 0.3 and rest % 10000 == 0:
            return (whole if rest == 0 else float(text)), micros
        return text, micros

    def _bytes(self, document):
        """Absent or null, escaped or not, with or without blanks, in any order of keys."""
        r = self.random
        fields = [(k, v) for k, v in document.items() if v is not None or r.random() < 0.3]
        if r.random() < 0.3:
            r.shuffle(fields)
        separators = (",", ":") if r.random() < 0.7 else (", ", ": ")
        return json.dumps(dict(fields), ensure_ascii=r.random() < 0.2,
                          separators=separators).encode()

    # What goes wrong.

    def _spoil(self):
        """Copies, conflicts, and ids that come again after days."""
        punctual = [(t, r) for t, _tie, r in self.entries
                    if r.event.id is not None and t - r.event.time < HOUR]
        self.random.shuffle(punctual)
        n = len(punctual) // 20
        for at, record in punctual[:n]:
            for _ in range(self.random.choice((1, 1, 1, 3))):
                again = min(at + self.random.randrange(1000000, 2 * HOUR), self.end - 1)
                self._put(again, Record(record.key, record.value, again // 1000, DUPLICATE,
                                        event=record.event), record.document)
        for at, record in punctual[n:n + n // 4]:
            later = min(at + self.random.randrange(1000000, HOUR), self.end - 1)
            document = dict(record.document, channel="changed on the way")
            if "amount" in document:
                document["amount"] = "777.77"
            if "score" in document:
                document["score"] = 5
            self._put(later, Record(record.key, self._bytes(document), later // 1000, CONFLICT),
                      document)
        for _at, record in punctual[n + n // 4:n + n // 3]:
            event = record.event
            time = event.time - event.time % 1000 + 4 * DAY
            if time >= self.end:
                continue
            document = dict(record.document, time=time // 1000)
            again = Event(**dict(vars(event), time=time))
            self._emit(document, again, 0)

    def _bad(self):
        """Every kind of bad record, several times, keyed as good ones; and tombstones."""
        purchases = [(t, r) for t, _tie, r in self.entries
                     if r.event and r.event.type == "purchase" and r.outcome == "applied"]
        for round_ in range(3):
            at, model = self.random.choice(purchases)
            good = {"id": "bad", "type": "purchase", "user": model.event.user,
                    "time": at // 1000, "campaign": self.campaigns[0].id, "amount": "9.90"}
            for i, (reason, value, replayable) in enumerate(bad.bad_records(good, at // 1000)):
                value = value.replace(b'"id": "bad"', b'"id": "bad-%d-%d"' % (round_, i))
                self._put(at, Record(model.key, value, at // 1000, REFUSED, reason,
                                     replayable=replayable))
            self._put(at, Record(model.key, None, at // 1000, SKIPPED, replayable=False))


def generate(seed, **options):
    return Generator(seed, **options).journal()


if __name__ == "__main__":
    sys.stdout.buffer.write(generate(int(sys.argv[1])).ndjson())
