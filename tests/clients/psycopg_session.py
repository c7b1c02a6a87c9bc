"""psycopg 3 against a running server: parameters, types, transactions, errors. usage: psycopg_session.py HTTP_PORT PG_PORT"""
import sys
from datetime import datetime

import psycopg

DSN = f"host=127.0.0.1 port={sys.argv[2]} user=admin password=quest dbname=qdb"
checks = 0


def check(seen, want):
    global checks
    checks += 1
    assert seen == want, f"check {checks}: {seen!r}, not {want!r}"


with psycopg.connect(DSN, autocommit=True) as c:
    check(c.execute("select 1").fetchall(), [(1,)])
    c.execute(
        "create table psy (ts timestamp, k symbol, b boolean, s short, i int, l long, d double, v varchar) "
        "timestamp(ts) partition by day"
    )
    insert = "insert into psy values (%s, %s, %s, %s, %s, %s, %s, %s)"
    at = [datetime(2024, 1, 1, 10, minute) for minute in range(4)]
    c.execute(insert, (at[0], "one", True, 7, 70_000, 7_000_000_000, 1.5, "größe 'x'"))
    c.execute(insert, (at[1], None, False, -1, None, None, None, None))
    with c.cursor() as cursor:
        cursor.executemany(insert, [(at[n], f"k{n}", True, n, n, n, n / 4, f"row {n}") for n in (2, 3)])
    check(
        c.execute("select * from psy").fetchall(),
        [
            (at[0], "one", True, 7, 70_000, 7_000_000_000, 1.5, "größe 'x'"),
            (at[1], None, False, -1, None, None, None, None),
            (at[2], "k2", True, 2, 2, 2, 0.5, "row 2"),
            (at[3], "k3", True, 3, 3, 3, 0.75, "row 3"),
        ],
    )
    check(c.execute("select count() from psy where k = %s", ("one",)).fetchall(), [(1,)])
    check(c.execute("select l from psy where i > %s order by l", (2,)).fetchall(), [(3,), (7_000_000_000,)])
    check(c.execute("select v from psy where ts = %s", (at[3],)).fetchall(), [("row 3",)])
    # The same statement often: psycopg names it after five runs.
    for n in range(8):
        check(c.execute("select i from psy where s = %s", (3,)).fetchone(), (3,))
    try:
        c.execute("select nothing from psy")
        check("no error", "an error")
    except psycopg.Error as error:
        check("nothing" in str(error), True)
    check(c.execute("select count() from psy").fetchone(), (4,))

with psycopg.connect(DSN) as c:
    c.execute("insert into psy values (%s, 'x', true, 1, 1, 1, 1, 'rolled back')", (at[0],))
    c.rollback()
    check(c.execute("select count() from psy").fetchone(), (4,))
    c.execute("insert into psy values (%s, 'x', true, 1, 1, 1, 1, 'kept')", (at[0],))
    c.commit()
    check(c.execute("select count() from psy").fetchone(), (5,))
    c.rollback()

with psycopg.connect(DSN, autocommit=True, cursor_factory=psycopg.ClientCursor) as c:
    check(c.execute("select v from psy where v = %s", (r"C:\new 'x'",)).fetchall(), [])
    c.execute("insert into psy values (%s, %s, %s, 5, 5, 5, 5, %s)", (at[0], "k", True, r"C:\new 'x'"))
    check(c.execute("select v from psy where s = 5").fetchall(), [(r"C:\new 'x'",)])

with psycopg.connect(DSN, autocommit=True) as c:
    with c.cursor().copy("copy (select x, 'a,b' s from long_sequence(2)) to stdout (format binary)") as copy:
        copy.set_types(["int8", "varchar"])
        check(list(copy.rows()), [(1, "a,b"), (2, "a,b")])
    with c.cursor().copy("copy (select 1 x from long_sequence(0)) to stdout (format binary)") as copy:
        copy.set_types(["int4"])
        check(list(copy.rows()), [])
    with c.cursor().copy("copy psy (s, v) to stdout with csv header") as copy:
        check(b"".join(map(bytes, copy)).splitlines()[0], b"s,v")

with psycopg.connect(DSN, autocommit=True) as c:
    c.execute("drop table if exists psy_in")
    c.execute("create table psy_in (ts timestamp, s symbol, x int, d double, v varchar) timestamp(ts) partition by day")
    with c.cursor().copy("copy psy_in from stdin") as copy:
        for n in range(1000):
            copy.write_row((at[0], None if n % 2 else "k\t", n, n / 4, "line\nbreak"))
    check(c.execute("select count(), count(s), sum(d) from psy_in where v like '%break'").fetchone(), (1000, 500, 124875.0))
    with c.cursor().copy("copy psy_in (ts, x) from stdin (format binary)") as copy:
        copy.set_types(["timestamp", "int4"])
        copy.write_row((at[0], 7))
    check(c.execute("select count() from psy_in where x = 7 and s is null and v is null").fetchone(), (1,))
    try:
        with c.cursor().copy("copy psy_in (ts, x) from stdin csv") as copy:
            copy.write("2024-01-01,1\n2024-01-01,one\n")
        check("no error", "an error")
    except psycopg.errors.InvalidTextRepresentation as error:
        check("line 2" in str(error), True)
    check(c.execute("select count() from psy_in").fetchone(), (1001,))
    c.execute("drop table psy_in")

print(f"psycopg {psycopg.__version__}: {checks} checks passed")
