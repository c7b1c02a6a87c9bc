"""SQLAlchemy 2 over psycopg 3 and pg8000: tables found and reflected, rows in and out, cursors. usage: sqlalchemy_tables.py HTTP_PORT PG_PORT"""
import sys
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

checks = 0


def check(seen, want):
    global checks
    checks += 1
    assert seen == want, f"check {checks}: {seen!r}, not {want!r}"


at = datetime(2024, 1, 1, 10)
for driver in ("psycopg", "pg8000"):
    engine = sa.create_engine(f"postgresql+{driver}://admin:quest@127.0.0.1:{sys.argv[2]}/qdb", pool_pre_ping=True)
    with engine.connect() as c:
        c.execute(sa.text("create table if not exists alch (ts timestamp, i int, v varchar) timestamp(ts) partition by day"))
        c.execute(sa.text("truncate table alch"))
        c.execute(sa.text("insert into alch values (:ts, :i, :v)"), [{"ts": at, "i": n, "v": f"row {n}"} for n in range(50)])
        c.commit()
        check(c.execute(sa.text("select count() from alch where v = :v"), {"v": "row 7"}).scalar(), 1)
        # What pandas does for a query, too: it looks whether the text names a table.
        check(sa.inspect(c).has_table("alch"), True)
        check(sa.inspect(c).has_table("nope"), False)
        check(c.execute(sa.text("select v from alch where i = 3")).scalar(), "row 3")
    key = sa.Column("id", sa.Integer, primary_key=True, autoincrement=False)
    columns = [sa.Column("ts", sa.TIMESTAMP, index=True), sa.Column("f", sa.Float(53)), sa.Column("s", sa.String(20), unique=True)]
    table = sa.Table(f"made_{driver}", sa.MetaData(), key, *columns, sa.Column("n", sa.Numeric(10, 2), nullable=False))
    table.create(engine)
    with engine.begin() as c:
        c.execute(table.insert(), [{"id": n, "ts": at, "f": n / 2, "s": f"s{n}", "n": Decimal(n) / 4} for n in range(3)])
    with engine.connect() as c:
        check(c.execute(sa.select(table.c.f).where(table.c.ts == at)).scalars().all(), [0, 0.5, 1])
        check(c.execute(sa.select(table.c.s, table.c.n).where(table.c.id == 1)).all(), [("s1", Decimal("0.25"))])
    table.drop(engine)
    inspector = sa.inspect(engine)
    check(inspector.get_table_names(), ["alch"])
    columns = {c["name"]: str(c["type"]) for c in inspector.get_columns("alch")}
    check(columns, {"ts": "TIMESTAMP", "i": "INTEGER", "v": "VARCHAR"})
    check((inspector.get_pk_constraint("alch")["constrained_columns"], inspector.get_indexes("alch")), ([], []))
    check((inspector.get_foreign_keys("alch"), inspector.get_unique_constraints("alch")), ([], []))
    reflected = sa.Table("alch", sa.MetaData(), autoload_with=engine)
    with engine.connect() as c:
        check(c.execute(sa.select(reflected.c.v).where(reflected.c.i > 47).order_by(reflected.c.i)).scalars().all(), ["row 48", "row 49"])
    if driver == "psycopg":
        with engine.connect().execution_options(stream_results=True, yield_per=7) as c:
            check(sum(row.x for row in c.execute(sa.text("select x from long_sequence(100)"))), 5050)

print(f"sqlalchemy {sa.__version__}: {checks} checks passed")
