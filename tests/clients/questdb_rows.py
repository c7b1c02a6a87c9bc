"""The Python client `questdb` over ILP/HTTP against a running server. usage: questdb_rows.py HTTP_PORT PG_PORT"""
import json
import sys
import urllib.parse
import urllib.request
from datetime import datetime, timezone

import questdb
from questdb import QuestDBError, Sender, TimestampMicros, TimestampNanos

PORT = sys.argv[1]
checks = 0


def check(seen, want):
    global checks
    checks += 1
    assert seen == want, f"check {checks}: {seen!r}, not {want!r}"


def sql(text):
    url = f"http://127.0.0.1:{PORT}/exec?" + urllib.parse.urlencode({"query": text})
    return json.load(urllib.request.urlopen(url))["dataset"]


START = 1_704_067_200_000_000
with Sender.from_conf(f"http::addr=127.0.0.1:{PORT};auto_flush=off;") as sender:
    for n in range(1000):
        sender.row(
            "readings",
            symbols={"device": f"d{n % 7}"},
            columns={"n": n, "value": n / 8, "lit": n % 2 == 0, "note": f'a "quoted", ü {n}'},
            at=TimestampNanos((START + n * 1_000_000) * 1000),
        )
check(sql("select count(), sum(n), sum(value) from readings"), [[1000, 499500, 62437.5]])
# Nanoseconds make a column of nanoseconds, as QuestDB does.
check(sql("select device, n, value, lit, note, timestamp from readings limit 1"),
      [["d0", 0, 0.0, True, 'a "quoted", ü 0', "2024-01-01T00:00:00.000000000Z"]])
check(sql("select count_distinct(device) from readings"), [[7]])

with Sender.from_conf(f"http::addr=127.0.0.1:{PORT};auto_flush=off;") as sender:
    # A column that is new, a row without it, a time as a column, and an older row.
    sender.row("readings", symbols={"device": "new"}, columns={"extra": 1.5, "seen": TimestampMicros(START)},
               at=datetime(2024, 1, 2, tzinfo=timezone.utc))
    sender.row("readings", symbols={"device": "old"}, columns={"n": -1}, at=TimestampNanos((START - 86_400_000_000) * 1000))
    sender.flush()
    check(sql("select device, n, extra, seen from readings where extra is not null"),
          [["new", None, 1.5, "2024-01-01T00:00:00.000000Z"]])
    check(sql("select device, timestamp from readings limit 1"), [["old", "2023-12-31T00:00:00.000000000Z"]])

    # A value that does not fit: nothing of that request is stored, later ones are.
    sender.row("readings", symbols={"device": "half"}, columns={"n": 1}, at=TimestampNanos(START * 1000))
    sender.row("readings", symbols={"device": "half"}, columns={"n": "text"}, at=TimestampNanos(START * 1000))
    try:
        sender.flush()
        check("no error", "an error")
    except QuestDBError as error:
        check("readings" in str(error) or "n" in str(error), True)
check(sql("select count() from readings where device = 'half'"), [[0]])
check(sql("select count() from readings"), [[1002]])

print(f"questdb {questdb.__version__}: {checks} checks passed")
