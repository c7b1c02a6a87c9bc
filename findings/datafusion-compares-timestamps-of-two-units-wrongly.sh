#!/usr/bin/env bash
# version:   datafusion 55.0.0 (PyPI, with pyarrow 26.0.1)
# behaviour: A column of milliseconds beside a constant of microseconds: the optimizer takes the cast from the column and gives
#            the constant the column's unit instead, which cuts it to whole milliseconds. So = finds rows that are not equal,
#            < and >= say of the millisecond in which the constant lies the contrary of what they should; in the list of
#            results it is the same, and EXPLAIN shows the cut constant. For whole numbers the same rule leaves the cast
#            alone where the constant does not fit the column's type; one would expect it here. Rows of another unit than
#            the constant are rounded by whoever plans the comparison (up for < and >=, down for <= and >), or cast by
#            a function that the rule does not know.
# output:    ms = x.000999:  [0] though no row has that time
#            ms < x.000001:  [] though row 0 (x.000000) is before it
#            ms >= x.000001: [0, 1] though row 0 is before it
#            two columns, = < >=: [] [0] [1]
#            whole numbers, = 2^40 + 7 in a column of 32 bits: []
# Needs python3 with venv, and PyPI. Exits 1 when one of them changes: then look at this finding again.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet datafusion==55.0.0 pyarrow==26.0.1
cat > "$work/ask.py" <<'PY'
import datafusion, pyarrow as pa, sys
ctx = datafusion.SessionContext()
x_ms = 1768262400000
rows = pa.table({
    "k": pa.array([0, 1]),
    "ms": pa.array([x_ms, x_ms + 1], pa.timestamp("ms")),
    "bound": pa.array([x_ms * 1000 + 1] * 2, pa.timestamp("us")),
    "small": pa.array([7, 8], pa.int32()),
})
ctx.register_record_batches("t", [rows.to_batches()])
micros = lambda us: f"arrow_cast({x_ms * 1000 + us}, 'Timestamp(Microsecond, None)')"
def ask(condition):
    batches = ctx.sql(f"select k from t where {condition} order by k").collect()
    return [k for batch in batches for k in batch.to_pydict()["k"]]
found = [
    ("ms = x.000999: ", ask(f"ms = {micros(999)}"), [0]),
    ("ms < x.000001: ", ask(f"ms < {micros(1)}"), []),
    ("ms >= x.000001:", ask(f"ms >= {micros(1)}"), [0, 1]),
    ("two columns, =:", ask("ms = bound"), []),
    ("two columns, <:", ask("ms < bound"), [0]),
    ("two columns, >=:", ask("ms >= bound"), [1]),
    ("whole numbers, =:", ask(f"small = {2**40 + 7}"), []),
]
for what, answer, _ in found:
    print(what, answer)
print("datafusion", datafusion.__version__)
sys.exit(any(answer != expected for _, answer, expected in found))
PY
"$work/venv/bin/python" "$work/ask.py"
