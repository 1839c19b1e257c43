"""Records that are no events, at least one for every reason to refuse."""

import json

from support.campaigns import KEEP_DAYS


def text_of(document):
    return json.dumps(document, ensure_ascii=False).encode()


def bad_records(good, time_ms):
    """(reason, bytes, can stand in a line and is refused there too), made of a good event's document
    (a purchase) whose record has the timestamp time_ms."""

    def changed(**fields):
        document = dict(good, **fields)
        return text_of({k: v for k, v in document.items() if v is not ...})

    body = text_of(good)
    nested = b'{"props":' + b'{"a":' * 40 + b"1" + b"}" * 41
    day = 86400000
    return [
        ("empty", b"", False),
        ("empty", b" \t ", False),
        ("too_large", changed(props="x" * 70000), True),
        ("json", body[:-1], True),
        ("json", body[:len(body) // 2], True),
        ("json", body + b"}", True),
        ("json", body + body, True),
        ("json", body + b"\0", True),
        ("json", body.replace(b'"amount": ', b'"amount": 012, "x": '), True),
        ("json", body.replace(b'"amount": ', b'"x": NaN, "amount": '), True),
        ("json", body.replace(b'"amount": ', b'"x": "\x01", "amount": '), True),
        ("json", b"{'type':'purchase'}", True),
        ("utf8", b"\xef\xbb\xbf" + body, True),
        ("utf8", body.replace(b'"amount": ', b'"x": "\xff", "amount": '), True),
        ("utf8", body.replace(b'"amount": ', b'"x": "\xc0\xaf", "amount": '), True),
        ("utf8", body.replace(b'"amount": ', b'"x": "\\ud800", "amount": '), True),
        ("depth", nested, True),
        ("not_object", b"[1, 2]", True),
        ("not_object", b"null", True),
        ("not_object", b"42", True),
        ("duplicate_key", body[:-1] + b', "type": "login"}', True),
        ("id", changed(id=""), True),
        ("id", changed(id="a\0b"), True),
        ("id", changed(id=["x"]), True),
        ("id", changed(id="x" * 300), True),
        ("type", changed(type=...), True),
        ("type", changed(type=""), True),
        ("type", changed(type="t" * 65), True),
        ("user", changed(user=""), True),
        ("user", changed(user=[1]), True),
        ("user", changed(user="u" * 300), True),
        ("time", changed(time=...), True),
        ("time", changed(time="yesterday"), True),
        ("time", changed(time="2026-05-01T10:00:00"), True),
        ("time", changed(time="2026-02-30T10:00:00Z"), True),
        ("time", changed(time=-5), True),
        ("field", changed(campaign=5), True),
        ("field", changed(type="survey", amount=..., score="nine"), True),
        ("number", changed(type="survey", amount=..., score=9.1234567), True),
        ("amount", changed(amount="-5.00"), True),
        ("amount", changed(amount="12,5"), True),
        ("currency", changed(currency="USD"), True),
        ("user_missing", changed(type="participation", user=...), True),
        ("future", changed(type="exposure", time=time_ms + 3600000), False),
        ("expired", changed(type="exposure", time=time_ms - (KEEP_DAYS + 20) * day), False),
    ]


REASONS = ("empty", "too_large", "json", "utf8", "depth", "not_object", "duplicate_key", "id", "type",
           "user", "time", "field", "number", "amount", "currency", "user_missing", "future", "expired")
