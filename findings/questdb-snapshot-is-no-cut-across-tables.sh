#!/usr/bin/env bash
# version:   QuestDB 9.3.4 (org.questdb:questdb:9.3.4 from Maven Central), JDK 17
# behaviour: Each request writes the same rows into two tables. A snapshot taken meanwhile, copied and restored, holds
#            different numbers of rows in the two: it is a moment of each table, not one of the database. One would expect
#            both tables to hold the same rows, since no request ever left them different.
# output:    round 3: a has 15630 rows, b has 15660
#            round 4: a has 21050 rows, b has 22010
#            QuestDB 9.3.4: the tables came back apart in 4 of 5 rounds
# Needs java 17, mvn, python3, curl, cp. Exits 1 when all rounds come back equal: then look at this finding again.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$work"' EXIT
version=9.3.4
mvn -q -B dependency:get -Dmaven.repo.local="$work/m2" -Dartifact="org.questdb:questdb:$version" -Dtransitive=false
jar="$work/m2/org/questdb/questdb/$version/questdb-$version.jar"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

start() { # ROOT
  QDB_TELEMETRY_ENABLED=false QDB_HTTP_BIND_TO="127.0.0.1:$port" QDB_PG_ENABLED=false QDB_LINE_TCP_ENABLED=false \
    QDB_HTTP_MIN_ENABLED=false java -Xmx1g --add-exports java.base/jdk.internal.math=io.questdb -p "$jar" \
    -m io.questdb/io.questdb.ServerMain -d "$1" > "$1.out" 2>&1 &
  server=$!
  until curl -fs "http://127.0.0.1:$port/exec?query=select+1" > /dev/null; do sleep 0.2; done
}
sql() { curl -fsS -G "http://127.0.0.1:$port/exec" --data-urlencode "query=$1"; }

number() { sql "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["dataset"][0][0])'; }

cat > "$work/writer.py" <<'PY'
import http.client, sys
server, n = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1])), 0
while True:
    rows = range(n, n + 10)
    lines = "".join(f"{t} n={i}i {1704067200000000000 + i * 1000000}\n" for t in "ab" for i in rows)
    server.request("POST", "/write", lines)
    answer = server.getresponse()
    answer.read()
    assert answer.status == 204, answer.status
    n += 10
PY

apart=0
for round in 1 2 3 4 5; do
  root="$work/root$round" copy="$work/copy$round"
  mkdir -p "$root"
  start "$root"
  python3 "$work/writer.py" "$port" &
  writer=$!
  sleep 2
  sql "SNAPSHOT PREPARE" > /dev/null
  kill $writer
  cp -a "$root" "$copy"
  sql "SNAPSHOT COMPLETE" > /dev/null
  kill $server
  wait $server || true
  touch "$copy/_restore"
  start "$copy"
  # What is restored is applied in the background: wait until nothing is left to apply.
  until [ "$(number "select count() from wal_tables() where writerTxn <> sequencerTxn or bufferedTxnSize > 0")" = 0 ]; do
    sleep 0.2
  done
  a=$(number "select count() from a") b=$(number "select count() from b")
  echo "round $round: a has $a rows, b has $b"
  [ "$a" = "$b" ] || apart=$((apart + 1))
  kill $server
  wait $server || true
done
echo "QuestDB $version: the tables came back apart in $apart of 5 rounds"
[ "$apart" -gt 0 ]
