"""DuckDB as a peer of `cargo xtask bench`: a line of JSON in, a line of JSON out.

    duckdb_peer.py FILE.duckdb THREADS

In:  {"sql": "select …", "rows": true}     rows: whether the answer's rows are wanted, or only its time
Out: {"ms": 1.5, "rows": […]}  or {"error": "…"}

The time is that of the statement and of fetching its rows into Python; writing them as JSON is not part of it.
"""
import datetime
import json
import sys
import time

import duckdb


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def answer(connection, question):
    start = time.perf_counter()
    rows = connection.execute(question["sql"]).fetchall()
    ms = (time.perf_counter() - start) * 1000
    out = {"ms": ms}
    if question.get("rows"):
        out["rows"] = [[plain(value) for value in row] for row in rows]
    return out


def main():
    connection = duckdb.connect(sys.argv[1], config={"threads": int(sys.argv[2])})
    for line in sys.stdin:
        try:
            out = answer(connection, json.loads(line))
        except duckdb.Error as error:
            out = {"error": str(error)}
        print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
