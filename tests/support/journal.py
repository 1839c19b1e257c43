"""What the generator writes down about each record: the bytes, and what a correct consumer makes of it."""

import collections
import dataclasses

APPLIED, DUPLICATE, CONFLICT, REFUSED, SKIPPED = (
    "applied", "duplicate", "conflict", "refused", "skipped")


@dataclasses.dataclass
class Event:
    """The meaning of an accepted record, as the definitions see it. Amounts and scores in 10^-6."""
    id: str | None
    source: str | None
    type: str
    user: str | None
    time: int
    campaign: str | None
    amount: int | None = None
    score: int | None = None
    channel: str | None = None
    variant: str | None = None


@dataclasses.dataclass
class Record:
    """One record of the log."""
    key: bytes | None
    value: bytes | None
    timestamp: int          # of the record, in milliseconds
    outcome: str = APPLIED  # what becomes of it when read from Kafka in this order
    reason: str = ""        # of a refusal
    event: Event | None = None
    replayable: bool = True # can stand in a file of lines, and has the same outcome there


class Journal:
    """Records in the order of the log."""

    def __init__(self, campaigns, records, as_of):
        self.campaigns = campaigns
        self.records = records
        self.as_of = as_of  # an instant after all events, in microseconds

    def messages(self):
        """As support.kafka produces them."""
        return [(r.key, r.value, r.timestamp) for r in self.records]

    def replayable(self):
        return Journal(self.campaigns, [r for r in self.records if r.replayable], self.as_of)

    def select(self, *outcomes):
        return Journal(self.campaigns, [r for r in self.records if r.outcome in outcomes], self.as_of)

    def ndjson(self):
        return b"".join(r.value + b"\n" for r in self.records if r.replayable)

    def outcomes(self):
        return collections.Counter(r.outcome for r in self.records)

    def reasons(self):
        return collections.Counter(r.reason for r in self.records if r.outcome == REFUSED)

    def events(self):
        """(place in the log, event) of every record that carries a good event, copies included."""
        return [(i, r.event) for i, r in enumerate(self.records) if r.event is not None]
