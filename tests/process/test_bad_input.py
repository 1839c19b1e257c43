"""What people write into a configuration and should not: each is refused by `kpid check` with exit code
78 and one message at the place of the mistake, that says what to write instead. One table."""


from support import daemon
from support.case import ProcessCase, write

EX_CONFIG = 78

# A campaign of November 2026 whose next line is 6.
CAMPAIGN = """campaigns:
  - id: c
    timezone: Asia/Shanghai
    start: 2026-11-01
    end: 2026-12-01
"""
# A measure whose where begins at 4:12; the KPI that uses it comes behind.
WHERE = "measures:\n  m:\n    agg: users\n    where: "
USED = "\nkpis: {k: {formula: m, unit: count}}\n"
# A measure of which the place where its events count comes behind, at 4:29.
REDIRECTED = ("attributes: {first_order: {agg: min(time), where: type == 'purchase'}, n: {agg: count},\n"
              "  last_score: {agg: last(score), where: score > 0}}\n"
              "measures:\n"
              "  m: {agg: count, at:       ")
# A target whose line is 7.
TARGET = CAMPAIGN + "    targets:\n      - "

TABLE_OF = "tables: {t: {"
# Five KPIs, each with the one before in 30 parentheses; the next line is 7.
DEEP = "kpis:\n" + "".join(
    f"  d{i}: {{formula: {'1 - (' * 30}{f'd{i - 1}' if i > 1 else 'orders'}{')' * 30}}}\n" for i in range(1, 6))

IN_QUOTES = "put the expression in quotes"
CUT = "YAML cuts this at the comma"

TABLE = {
    # What YAML cuts: an expression of which only a part arrives.
    "a list inside {…}": (
        'measures: {m: {agg: users, where: type in ["a", "b"]}}', "1:43",
        'inside {…} YAML itself reads , [ ] { } and ": ": put the expression in quotes or on a line'),
    "a second argument inside {…}": (
        "kpis: {k: {formula: retained(buyers, active, basis=day, at=1), unit: ratio}}", "1:21", CUT),
    "a named argument with a colon inside {…}": (
        "kpis: {k: {formula: retained(buyers, return: active, basis=day, at=1)}}", "1:21", CUT),
    "a first argument with a colon inside {…}": (
        "kpis: {k: {formula: retained(start: buyers, active, basis=day, at=1)}}", "1:35", IN_QUOTES),
    "a comma in a string inside {…}": (
        'measures: {m: {agg: users, where: channel == "a, b"}}', "1:35", CUT),
    "a comma in a string of single quotes inside {…}": (
        "measures: {m: {agg: users, where: channel == 'a, b'}}", "1:35", CUT),
    "a comma between parentheses inside […]": (
        "active_types: [signup, f(a, b)]", "1:24", CUT),
    "braces inside {…}": (
        'measures: {m: {agg: users, where: x == {a}}}', "1:40", IN_QUOTES),
    "a colon and a space in a string": (
        WHERE + 'channel == "a: b"', "4:25", 'YAML takes ": " for a new key: ' + IN_QUOTES),
    "a colon and a space in a string inside {…}": (
        'measures: {m: {agg: users, where: channel == "a: b"}}', "1:48", IN_QUOTES),
    "a colon and a space in a title": (
        "kpis:\n  k:\n    title: Share: x\n    formula: buyers", "3:17", "YAML takes \": \""),
    "a # behind a blank in a string": (
        WHERE + 'channel == "a #b"' + USED, "4:26", "YAML takes # behind a blank for a comment"),
    "a # behind a blank in a string inside {…}": (
        'measures: {m: {agg: users, where: channel == "a #b"}}', "1:49", "for a comment"),
    "a string first": (
        WHERE + '"purchase" == type', "4:23", "put all of it in other quotes"),
    "a string first inside {…}": (
        'measures: {m: {agg: users, where: "purchase" == type}}', "1:46", "in other quotes"),
    "a list first": (
        WHERE + '["a"] == type', "4:18", "begins with [ or { where that is closed: put all of it in"),
    "nothing but a list": (
        WHERE + '["a"]' + USED, "4:12", "a text that begins with [ or { needs quotes"),
    "braces first": (
        WHERE + "{a} == type", "4:16", "begins with [ or { where that is closed: put all of it in"),
    "an alias": (WHERE + "*x" + USED, "4:12", "aliases are not supported"),
    "a tag": (WHERE + "!vip" + USED, "4:12", "tags are not supported"),
    "a sign that YAML keeps": (WHERE + "@x == 1", "4:12", "put all of it in quotes"),
    "a comparison without its left side": (WHERE + "> 3", "4:14", "put all of it in quotes"),
    "an item of a list": (
        "kpis:\n  k:\n    formula: - buyers", "3:14", "or leave the blank out"),

    # Where a measure's events count.
    "a time of no attribute": (
        REDIRECTED + "first_ordr}\n" + USED, "4:29", 'no attribute "first_ordr"; did you mean "first_order"'),
    "a time of a number": (
        REDIRECTED + "n}\n" + USED, "4:29", "an attribute with the aggregate min(time) or max(time)"),
    "a time of answers": (
        REDIRECTED.replace("count, at", "latest_users(score > 3), at") + "first_order}\n" + USED, "4:47",
        'only count, sum(), mean(), capped() and users have "at"'),
    "a time of first answers": (
        REDIRECTED.replace("count, at", "first_mean(score), at") + "first_order}\n" + USED, "4:41",
        'only count, sum(), mean(), capped() and users have "at"'),
    "a campaign of a number": (
        REDIRECTED.replace("at:", "campaign:") + "n}\n" + USED, "4:35",
        "an attribute with the aggregate first(), last() or set() of a string"),
    "a campaign of a field of numbers": (
        REDIRECTED.replace("at:", "campaign:") + "last_score}\n" + USED, "4:35",
        "an attribute with the aggregate first(), last() or set() of a string"),
    "a maturity by the hour": (
        "kpis: {k: {formula: 'mature(buyers, 3)', grains: [hour]}}", "1:51",
        "trailing() are made of days; they cannot be reported in \"hour\""),

    # Types.
    "a string for a number": (
        WHERE + 'amount > "5"' + USED, "4:21",
        'a string cannot be compared with "amount", which always is a number; write 5 without quotes'),
    "a number for a string": (WHERE + "type == 3" + USED, "4:20",
        'a number cannot be compared with "type", which always is a string; write it in quotes'),
    "a field used in two ways": (
        WHERE + 'channel == "a" and channel > 3' + USED, "4:41",
        'a number cannot be compared with "channel", which is a string in measure "m"'),
    "a number for a condition": (WHERE + "amount" + USED, "4:12", "is used as true or false here"),
    "a date for a time": (
        WHERE + 'time > "2026-11-01"' + USED, "4:19",
        '"time", which always is a time; there are no dates here, but time - first_seen <= 7d'),
    "a condition for a number": (
        WHERE + "(type == \"a\") + 1 > 3" + USED, "4:13", "a value is expected here, not a condition"),
    "a duration for a number": (WHERE + "amount > 3d" + USED, "4:21", "a duration cannot be compared with"),
    "the sum of a string": (
        "measures:\n  m: {agg: sum(channel), where: channel == \"a\"}" + USED, "2:44",
        'a string cannot be compared with "channel", which is a number in measure "m"'),
    "a measure that is no set of users": (
        "kpis:\n  k:\n    formula: retained(sales, active, basis=day, at=1)", "3:23",
        "takes measures with the aggregate users; \"sales\" is none"),
    "a string for an attribute that counts": (
        "attributes: {a: {agg: count, where: b == 1}, b: {agg: count, where: a == \"x\"}}\n"
        "measures: {m: {agg: count, where: a > 0 and b > 0}}" + USED, "1:74",
        'a string cannot be compared with "a", which is a number'),

    # Names.
    "an unknown function of a measure": (
        "measures: {m: {agg: usres}}" + USED, "1:21",
        'there is no function "usres"; did you mean "users"?'),
    "an unknown function of an attribute": (
        "attributes: {a: {agg: frist(time)}}", "1:23", 'there is no function "frist"'),
    "an unknown function of a formula": (
        "kpis:\n  k:\n    formula: retaned(buyers, active, basis=day, at=1)", "3:14",
        'did you mean "retained"?'),
    "a function that stands elsewhere": (
        "kpis: {k: {formula: sum(amount)}}", "1:21",
        'the function "sum" cannot stand in a formula; its place is agg of a measure'),
    "a function of a formula in a measure": (
        "measures: {m: {agg: total(x)}}" + USED, "1:21", "its place is a formula"),
    "a function as SQL calls it": (
        "measures: {m: {agg: avg(amount)}}" + USED, "1:21", 'there is no function "avg"; did you mean "mean"?'),
    "a condition behind an aggregate": (
        "measures: {m: {agg: count where type == 1}}" + USED, "1:27",
        "where is a key of its own, with its condition behind it"),
    "operators as SQL writes them": (
        WHERE + 'type == "a" AND amount > 3' + USED, "4:24", 'did you mean "and"?'),
    "one equals sign": (WHERE + 'type = "a"' + USED, "4:17", 'did you mean "=="?'),
    "the sign of an input method": (
        WHERE + "type == “a”" + USED, "4:20", "did you mean '\"'?"),
    "the percent sign of an input method": (
        TARGET + "{kpi: roi, value: 65％}", "7:29", 'did you mean "%"?'),
    "a field in a formula": (
        "kpis: {k: {formula: amount / buyers}}", "1:21",
        '"amount" is a field of events; formulas are made of measures, as one with agg: sum(amount)'),
    "a measure in quotes": (
        "kpis: {k: {formula: buyers / 'reached'}}", "1:30", "names stand in formulas without quotes"),
    "an unknown key for one that is needed": (
        "kpis: {k: {formual: buyers}}", "1:12", 'unknown key "formual" in kpi; did you mean "formula"?'),
    "a key without a blank behind its colon": (
        "kpis:\n  k:\n    formula:buyers", "3:5", "a blank stands behind the colon of a key"),
    "an unknown dimension": (
        "dimensions: {channel: {}}\nbreakdowns: [chanel]", "2:14", 'did you mean "channel"?'),
    "a dimension that is only a field": (
        "breakdowns: [channel]", "1:14",
        "a field becomes one by a line of its own below dimensions, as channel: {}"),
    "a list without brackets": (
        "dimensions: {a: {}, b: {}}\nbreakdowns: a, b", "2:13",
        '"a, b" is one text; a list stands in brackets, as [a, b]'),
    "another list without brackets": (
        "rolling: 7d, 30d", "1:10", "a list stands in brackets, as [a, b]"),
    "an unknown measure": (
        "kpis: {k: {formula: buyers / reachd}}", "1:30",
        'there is no measure or KPI "reachd"; did you mean "reached"?'),
    "a formula that asks for itself": (
        "kpis: {k: {formula: k + 1}}", "1:21", "the formula of this KPI names itself"),
    "a segment that asks for itself by way of another": (
        "segments:\n  a: {where: b}\n  b: {where: not a}\nbreakdowns: [a]", "3:18", 'the segment "a" asks for itself'),
    "an unknown name in a target's value": (
        TARGET + "{kpi: roi, value: 0.8 * salse}", "7:33",
        'there is no measure or KPI "salse"; did you mean "sales"?'),
    "a string in a target's value": (
        TARGET + "{kpi: roi, value: '0.8 * \"4\"'}", "7:34", "a number is expected here"),
    "a gauge without its name": (
        TARGET + "{kpi: roi, value: 0.8 * gauge(x)}", "7:39", '"name" of gauge() stands in quotes'),
    "a target of an unknown campaign": (
        TARGET + "{kpi: roi, value: 'of_campaign(roi, \"d\")'}", "7:45", 'there is no campaign "d"'),
    "a target without KPI": (
        TARGET + "{kpi: rio, value: 4}", "7:15", 'there is no KPI "rio"; did you mean "roi"?'),
    "an attribute called as a word of the language": (
        "attributes: {time: {agg: count}}", "1:14", "has a meaning of its own"),
    "a measure that is defined twice": (
        "measures:\n  m: {agg: users}\n  m: {agg: count}" + USED, "3:3", 'duplicate key "m"'),

    # Mappings.
    "a mapping of two paths to one field": (
        "mappings:\n  m:\n    fields:\n      amount: total\n      amount: price", "5:7", 'duplicate key "amount"'),
    "a mapping of a field to what stands beside fields": (
        "mappings: {m: {user: uid, fields: {user: buyer}}}", "1:36",
        'fields: "user" is no field: it stands beside fields, not in it'),
    "a mapping of one value to two types": (
        "mappings:\n  m:\n    type:\n      path: e\n      values:\n        a: x\n        a: y", "7:9",
        'duplicate key "a"'),

    # Windows.
    "a rolling window longer than what is kept": (
        "keep: 20d\nrolling: [7d, 30d]", "2:15",
        '"30d" may be 30 days long, which is longer than what is kept (keep)'),
    "a retention longer than what is kept": (
        'keep: 31d\nkpis: {k: {formula: "retained(buyers, active, basis=month, at=3)"}}', "2:21",
        "\"k\" looks back on 119 days at least, more than the 31d that are kept: raise keep"),
    "trailing days longer than what is kept": (
        'keep: 20d\nkpis: {k: {formula: "buyers / trailing(buyers, 30)"}}', "2:21",
        "\"k\" looks back on 30 days at least, more than the 20d that are kept: raise keep"),
    "a target for a retention longer than what is kept": (
        "keep: 31d\n" + TARGET + "{kpi: retention_m3, value: 50%}", "8:15",
        "\"retention_m3\" looks back on 119 days at least, more than the 31d that are kept"),
    "a target's value of a retention longer than what is kept": (
        "keep: 31d\n" + TARGET + "{kpi: retention_d7, value: '0.9 * retained(buyers, active, basis=month, at=3)'}",
        "8:36", "this value looks back on 119 days at least, more than the 31d that are kept"),
    "a target's value of last year": (
        "keep: 31d\n" + TARGET + "{kpi: roi, value: 90% * last_year(roi)}", "8:27",
        "this value looks back on 365 days at least, more than the 31d that are kept: raise keep"),
    "a target's value of campaigns before": (
        "keep: 31d\n" + TARGET + "{kpi: roi, value: '90% * previous(roi, 2)'}", "8:27",
        "this value looks back on 60 days at least"),
    "a target's value of the days before": (
        "keep: 31d\n" + TARGET + "{kpi: roi, value: '90% * before(roi, 40)'}", "8:27",
        "this value looks back on 40 days at least"),
    "a grain longer than what is kept, and a target that asks for it": (
        "keep: 20d\ngrains: [day, month]\n" + TARGET + "{kpi: roi, value: 4, scope: month}", "2:15",
        '"month" may be 31 days long, which is longer than what is kept (keep)'),
    "a rolling window that is not there": (
        TARGET + '{kpi: roi, value: 4, scope: "rolling:14d"}', "7:38",
        '"roi" is not reported in "rolling:14d"; add it to the list rolling'),

    # Zones and dates.
    "a zone that does not exist": (
        "timezone: Asia/Shangai", "1:11",
        'unknown time zone "Asia/Shangai"; did you mean "Asia/Shanghai"?'),
    "an offset for a zone": (
        "timezone: UTC+8", "1:11", "zones have names, as Asia/Shanghai"),
    "a campaign's zone that does not exist": (
        "campaigns: [{id: c, timezone: CST+8, start: 2026-11-01, end: 2026-12-01}]", "1:31",
        'unknown time zone "CST+8"'),
    "30 February": (
        "campaigns: [{id: c, start: 2026-02-30, end: 2026-03-31}]", "1:28",
        'start: "2026-02-30" is no day of the calendar'),
    "29 February of a common year": (
        "campaigns: [{id: c, start: 2026-02-28, end: 2027-02-29}]", "1:45", "is no day of the"),
    "31 November in a phase": (
        CAMPAIGN + "    phases: {p: [start, 2026-11-31]}", "6:25", "is no day of the calendar"),
    "a month that does not exist as a target's end": (
        TARGET + "{kpi: roi, value: 4, to: 2026-13-01}", "7:34", "is no day of the calendar"),
    "a time of day for a campaign": (
        "campaigns: [{id: c, start: '2026-03-29T02:30:00', end: 2026-04-30}]", "1:28",
        "is not a date: YYYY-MM-DD"),
    "a time of day that does not exist": (
        "kafka: {brokers: a:1, topics: t, start: '2026-11-01T24:30:00+08:00'}", "1:41",
        "nor a time with zone"),
    "a time without zone, in the hour that summer time skips or not": (
        "kafka: {brokers: a:1, topics: t, start: '2026-03-29T02:30:00'}", "1:41",
        "nor a time with zone"),
    "a campaign that ends before it begins": (
        "campaigns: [{id: c, start: 2026-12-01, end: 2026-11-01}]", "1:45", "must be after start"),

    # Phases.
    "phases that overlap": (
        CAMPAIGN + "    phases:\n      burst: [start, +6d]\n      run: [+5d, end]", "8:7",
        'the phases "burst" and "run" overlap'),
    "a phase inside another": (
        CAMPAIGN + "    phases: {run: [start, end], burst: [+5d, +10d]}", "6:33",
        'the phases "run" and "burst" overlap'),
    "a phase that ends before it begins": (
        CAMPAIGN + "    phases: {burst: [+5d, +3d]}", "6:21", 'phase "burst" ends before it begins'),
    "a phase called as a scope": (
        CAMPAIGN + "    phases: {day: [start, end]}", "6:14", "names a scope of its own"),

    # Thresholds.
    "a deviation of nothing": (
        TARGET + "{kpi: roi, value: 4, deviation: 0%}", "7:41", "is neither a share"),
    "a deviation without unit": (
        TARGET + "{kpi: participation_rate, value: 65%, deviation: 10}", "7:58",
        'deviation: "10" is neither a share, as 10%, nor percentage points, as 10pp, nor a factor, as 1.5x'),
    "an amount below nothing": (
        TARGET + "{kpi: roi, value: 4, deviation: -0.5}", "7:41", "nor an amount above 0, as 0.5"),
    "a duration of what has none": (
        TARGET + "{kpi: roi, value: 4, deviation: 60s}", "7:41", "fits KPIs of unit duration only"),
    "a factor that changes nothing": (
        TARGET + "{kpi: roi, value: 4, deviation: 1x}", "7:41", "leaves no room"),
    "a factor of nothing": (
        TARGET + "{kpi: roi, value: 0, deviation: 2x}", "7:27", "needs a value above 0"),
    "points of what has none": (
        TARGET + "{kpi: roi, value: 4, deviation: 10pp}", "7:41", "give a share, as 10%"),
    "a share of nothing": (
        TARGET + "{kpi: nps, value: 0, deviation: 10%}", "7:27",
        "a deviation relative to 0 has no width; give it in points or as an amount"),
    "a target that divides by zero": (
        TARGET + "{kpi: roi, value: 4 / 0}", "7:27", "divides by zero"),
    "a target of an audience that is not given": (
        TARGET + "{kpi: roi, value: 0.5 * audience}", "7:27", "that the campaign does not give"),
    "a target with its sign": (
        TARGET + "{kpi: roi, value: '>= 4'}", "7:27",
        'value: ">= 4" is no value; what is wanted stands alone, and better: up, down or band says which side'),
    "a target of one to four": (TARGET + "{kpi: roi, value: 1:4}", "7:27", "of 1:4 write 4"),
    "a sample below nothing": (
        TARGET + "{kpi: roi, value: 4, min_sample: -1}", "7:42", "is not a whole number"),
    "a wait of a year": (TARGET + "{kpi: roi, value: 4, for: 365d}", "7:35", "longer than 30d"),
    "users(17)": ("measures: {m: {agg: users(17)}}" + USED, "1:27", "whole number from 1 to 16"),
    "a retention after no period": (
        'kpis: {k: {formula: "retained(buyers, active, basis=day, at=0)"}}', "1:61",
        "whole number from 1 to 1000"),
    "a retention bracket of no period": (
        'kpis: {k: {formula: "retained(buyers, active, basis=day, from=7, to=7)"}}', "1:69",
        'holds no period: "to" is left out'),
    "a retention bracket that ends before it begins": (
        'kpis: {k: {formula: "retained(buyers, active, basis=day, mode=bracket, from=7, to=1)"}}', "1:83",
        'holds no period: "to" is left out'),
    "a retention bracket without its end": (
        'kpis: {k: {formula: "retained(buyers, active, basis=day, mode=bracket, from=7)"}}', "1:22",
        'mode=bracket needs "from" and "to"'),
    "a retention bracket on a day": (
        'kpis: {k: {formula: "retained(buyers, active, basis=day, mode=bracket, at=7)"}}', "1:75",
        '"from" and "to" say which periods'),
    "a bracket of another mode": (
        'kpis: {k: {formula: "retained(buyers, active, basis=day, at=7, mode=every, to=7)"}}', "1:79",
        '"from" and "to" are for mode=bracket only'),
    "a retention of each of no periods": (
        'kpis: {k: {formula: "retained(buyers, active, basis=day, mode=every)"}}', "1:22",
        'the argument "at" is missing'),
    "a mode that tables have not": (
        'kpis: {k: {formula: "retained(buyers, active, basis=day, at=7, mode=rolling)"}}', "1:69",
        'is one of classic, unbounded, bracket, every'),
    # KPIs that are right by themselves, and wrong where they are named.
    "a time before of a KPI that has one": (
        "kpis:\n  gone: {formula: orders - previous(orders)}\n  k: {formula: previous(gone)}", "3:25",
        "a function that says when cannot stand inside another one"),
    "a repetition of a KPI that says when": (
        "kpis:\n  then: {formula: previous(orders)}\n  k: {formula: 'trailing_mean(then, 3)'}", "3:31",
        "a function that says when cannot stand inside another one"),
    "a maturity of a KPI that has one": (
        "kpis:\n  old: {formula: 'mature(orders, 3)'}\n  k: {formula: 'mature(old, 2)'}", "3:24",
        "mature() cannot stand inside another one"),
    "a KPI too deep in others": (DEEP + "  k: {formula: " + "1 - (" * 30 + "d5" + ")" * 30 + "}", "7:166",
        "this makes the formula too deep"),
    "a deep KPI repeated": (DEEP + "  k: {formula: 'trailing_mean(d5, 12)'}", "7:31",
        "this makes the formula too deep"),
    "a chain of KPIs too long": (
        "kpis:\n  d0: {formula: orders}\n" + "".join(f"  d{i}: {{formula: d{i - 1} + 1}}\n" for i in range(1, 33)),
        "34:18", "KPIs name one another too deeply here"),
    # Tables.
    "a bracket that holds nothing": (
        TABLE_OF + "retention: {start: buyers, mode: bracket, brackets: [[1, 7], [7, 7]]}}}", "1:79",
        "[7, 7] holds no period"),
    "a bracket that ends before it begins": (
        TABLE_OF + "retention: {start: buyers, brackets: [[3, 1]]}}}", "1:56", "[3, 1] holds no period"),
    "a bracket behind the one after it": (
        TABLE_OF + "retention: {start: buyers, brackets: [[3, 9], [1, 9]]}}}", "1:61",
        "begins before the one before it, [3, 9]"),
    "half a bracket": (
        TABLE_OF + "retention: {start: buyers, brackets: [[3]]}}}", "1:52", "a bracket is [from, to]"),
    "a bracket of parts": (
        TABLE_OF + "retention: {start: buyers, brackets: [[0.5, 2]]}}}", "1:53",
        "is no whole number from 0 to 400"),
    "brackets without their mode": (
        TABLE_OF + "retention: {start: buyers, mode: every, brackets: [[1, 7]]}}}", "1:54",
        "brackets are for mode: bracket only"),
    "a mode without its brackets": (
        TABLE_OF + "retention: {start: buyers, mode: bracket}}}", "1:14", "needs brackets"),
    "periods beside brackets": (
        TABLE_OF + "retention: {start: buyers, periods: 3, brackets: [[1, 7]]}}}", "1:41",
        "the brackets say which"),
    "no period": (
        TABLE_OF + "retention: {start: buyers, periods: 0}}}", "1:50",
        '"0" is no whole number from 1 to 400'),
    "more periods than there may be": (
        TABLE_OF + "retention: {start: buyers, periods: 401}}}", "1:50", "from 1 to 400"),
    "a retention without start": (
        TABLE_OF + "retention: {return: buyers}}}", "1:14", "retention: start is missing"),
    "a start that is no measure": (
        TABLE_OF + "retention: {start: byers}}}", "1:33", 'there is no measure "byers"'),
    "a function that there is not": (
        TABLE_OF + "retention: {start: firsttime(buyers)}}}", "1:33", "first_time(measure)"),
    "a start that counts no users": (
        TABLE_OF + "retention: {start: sales}}}", "1:33", "take measures with the aggregate users"),
    "a basis that is none": (
        TABLE_OF + "retention: {start: buyers, basis: fortnight}}}", "1:48", "is none of hour|day|week"),
    "elapsed days of a cohort that recurs": (
        TABLE_OF + "retention: {start: buyers, basis: elapsed, cohort: recurring}}}", "1:65",
        "cannot be recurring"),
    "a first event ever by channel": (
        "dimensions: {channel: }\n" + TABLE_OF +
        "retention: {start: buyers, cohort: first_ever, by: channel}}}", "2:65", "is not broken down"),
    "a dimension that there is not": (
        TABLE_OF + "lifecycle: {of: active, by: chanel}}}", "1:42", "no dimension or segment"),
    "match without by": (
        TABLE_OF + "retention: {start: buyers, match: both}}}", "1:41", "it needs by"),
    "intervals longer than what they are counted over": (
        TABLE_OF + "active_intervals: {of: active, basis: month, over: week}}}", "1:65",
        "something longer than their basis"),
    "active days of a month and of the last ones": (
        TABLE_OF + "active_days: {of: buyers, over: week, trailing: 28}}}", "1:62",
        "active_days: intervals are those of a period (over) or the last ones (trailing), not both"),
    "no last days": (
        TABLE_OF + "active_days: {of: buyers, trailing: 0}}}", "1:50",
        'trailing: "0" is no whole number from 1 to 400'),
    "last weeks that are longer than what is kept": (
        "keep: 20d\n" + TABLE_OF + "active_intervals: {of: buyers, basis: week, trailing: 3}}}", "2:68",
        "trailing: so many are 21 days at least, which is longer than what is kept (keep)"),
    "days over days": (
        TABLE_OF + "active_days: {of: active, over: day}}}", "1:46", "something longer"),
    "a basis of active days": (
        TABLE_OF + "active_days: {of: active, basis: week}}}", "1:40", 'unknown key "basis"'),
    "seventeen events a day": (
        TABLE_OF + "active_days: {of: active, at_least: 17}}}", "1:50", "from 1 to 16"),
    "sessions without users": (
        TABLE_OF + "sessions: {of: dwell_time}}}", "1:14", "sessions: users is missing"),
    "sessions of no lengths": (
        TABLE_OF + "sessions: {of: active, users: active}}}", "1:29", "the aggregate quantiles(field)"),
    "sessions of whoever": (
        TABLE_OF + "sessions: {of: dwell_time, users: dwell_time}}}", "1:48", "the aggregate users"),
    "users who bounced": (
        TABLE_OF + "sessions: {of: dwell_time, users: active, bounced: active}}}", "1:65",
        "bounced is a measure with the aggregate count"),
    "sessions by elapsed days": (
        TABLE_OF + "sessions: {of: dwell_time, users: active, basis: elapsed}}}", "1:63", "elapsed"),
    "bounces that are a condition": (
        TABLE_OF + "sessions: {of: dwell_time, users: active, bounced: duration < 10}}}", "1:65",
        'there is no measure "duration < 10"'),
    "a table of nothing": ("tables: {t: {title: x}}", "1:10", "not none of them"),
    "a table of two kinds": (
        TABLE_OF + "retention: {start: buyers}, lifecycle: {of: buyers}}}", "1:10",
        "not several of them"),
    "a kind that there is not": ("tables: {t: {retentions: {start: buyers}}}", "1:14",
        'unknown key "retentions" in table'),
    "an audience of half a person": (CAMPAIGN + "    audience: 0.5", "6:15", "at least 1"),
    "a budget with commas": (
        CAMPAIGN + "    budget: 200,000", "6:13",
        '"200,000" is not a number: at most 12 digits, and 6 behind the point; no commas and no units'),
    "a budget with commas inside {…}": (
        "campaigns: [{id: c, start: 2099-11-01, end: 2099-12-01, budget: 1,000}]", "1:67",
        'unknown key "000" in campaign; numbers are written without commas'),
    "a budget in words": (CAMPAIGN + "    budget: 20万", "6:13", "no commas and no units"),
    "a receiver of a kind that is not there": (
        "receivers: [{name: a, type: dingding, url: 'https://x'}]", "1:29",
        'type: "dingding" is unknown; there is webhook'),
    "a variable that is not set": (
        "redis: {url: '${KPID_NOT_SET}'}", "1:15", "environment variable KPID_NOT_SET is not set"),
    "a budget below nothing": (CAMPAIGN + "    budget: -1", "6:13", "must not be negative"),
    "an interval out of range": (
        "checkpoint: {interval: 2h}", "1:24", "checkpoint.interval must be between 10ms and 1h"),
    "a number without unit": ("keep: 400", "1:7", "is not a duration"),
}

# What is taken and hardly meant: a warning each.
DOUBTFUL = {
    "a text without quotes": (
        WHERE + "type == purchase" + USED, "4:20", '"purchase" is taken for a field of events; a text stands in quotes'),
    "a text without quotes, first": (
        WHERE + "double11 == campaign" + USED, "4:12", "a text stands in quotes"),
    "null": (
        WHERE + "channel != null" + USED, "4:23", "a comparison with what is not there is false"),
    "percent without their sign": (
        TARGET.replace("2026", "2099") + "{kpi: participation_rate, value: 65}", "7:42",
        "this wants 6500% of a ratio; percent are written as 65%"),
    "more than all": (
        TARGET.replace("2026", "2099") + "{kpi: participation_rate, value: 120%}", "7:42",
        "this target is out of reach: participation_rate is never above 100%"),
    "more points than there are": (
        TARGET.replace("2026", "2099") + "{kpi: nps, value: 110}", "7:27", "nps is never above 100"),
}

# Right, though it looks like some of the above.
FINE = {
    "a KPI in a formula": "kpis: {k: {formula: roi + 1}}",
    "quotes around all of it": """measures: {m: {agg: users, where: 'channel in ["a, b", "c: d #e"]'}}""" + USED,
    "apostrophes in texts": "kpis: {k: {title: {en: It's all, zh: that's it}, formula: buyers}}",
    "a comment behind an expression": WHERE + 'channel == "it\'s"   # "really' + USED,
    "attributes that ask for one another":
        "attributes: {a: {agg: count, where: b == 0}, b: {agg: count, where: a == 0}}\n"
        "measures: {m: {agg: users, where: a > 1}}" + USED,
    "two fields that are compared": WHERE + "city == home_city and orders == total" + USED,
    "a text with a comma": "active_types: 'a, b'",
    "shares of more than all": TARGET.replace("2026", "2099") + "{kpi: roi, value: 400%}, {kpi: roi_net, value: 300%}"
                               .replace("}, {", "}\n      - {"),
    "phases that touch": CAMPAIGN + "    phases: {burst: [start, +5d], run: [+5d, end]}\n",
    "brackets that overlap": TABLE_OF + "retention: {start: buyers, brackets: [[0, 9], [0, 3], [2, 5]]}}}",
    "an hour of a week": TABLE_OF + "active_intervals: {of: active, basis: hour, over: week}}}",
    "29 February of a leap year": "campaigns: [{id: c, start: 2028-02-29, end: 2028-03-01}]\n",
}


class BadInput(ProcessCase):
    def check(self, text):
        path = write(self.directory(), "f.yaml", text + "\n")
        done = daemon.run("check", "-c", path)
        return path, done

    def test_each_gets_one_message_at_its_place(self):
        for what, (text, place, message) in TABLE.items():
            with self.subTest(what):
                path, done = self.check(text)
                self.assertEqual(done.returncode, EX_CONFIG, done.stderr)
                errors = [line for line in done.stderr.splitlines() if ": error: " in line]
                self.assertEqual(len(errors), 1, done.stderr)
                self.assertTrue(errors[0].startswith(f"{path}:{place}: error: "), done.stderr)
                self.assertIn(message, errors[0])

    def test_a_circle_of_formulas_is_told_wherever_one_enters_it(self):
        path, done = self.check("kpis:\n  a: {formula: b + 1}\n  b: {formula: 2 / c}\n  c: {formula: a}\n"
                                "  d: {formula: buyers / reached}")
        self.assertEqual(done.returncode, EX_CONFIG)
        self.assertEqual([line for line in done.stderr.splitlines() if ": error: " in line],
                         [f'{path}:{place}: error: the formula of "{name}" goes in a circle'
                          for place, name in (("2:16", "b"), ("3:20", "c"), ("4:16", "a"))])

    def test_what_is_hardly_meant_is_warned_of(self):
        for what, (text, place, message) in DOUBTFUL.items():
            with self.subTest(what):
                path, done = self.check(text)
                self.assertEqual(done.returncode, 0, done.stderr)
                warnings = [line for line in done.stderr.splitlines() if ": warning: " in line]
                self.assertEqual(len(warnings), 1, done.stderr)
                self.assertTrue(warnings[0].startswith(f"{path}:{place}: warning: "), done.stderr)
                self.assertIn(message, warnings[0])

    def test_what_only_looks_bad_is_taken(self):
        for what, text in FINE.items():
            with self.subTest(what):
                _, done = self.check(text)
                self.assertEqual((done.returncode, done.stderr), (0, ""))


