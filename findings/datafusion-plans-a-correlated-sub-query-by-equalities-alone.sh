#!/usr/bin/env bash
# version:   datafusion 55.0.0 (PyPI, with pyarrow 26.0.1)
# behaviour: A sub-query for a value that looks outwards is planned when it is an aggregate and all that it says of the outer
#            row are equalities with columns of its own. One more condition on the outer row alone (AND a.flag), a comparison
#            other than =, or LIMIT 1 in place of the aggregate, and it is refused when it is run, not when it is planned:
#            logical plan and EXPLAIN's first lines look right. EXISTS is planned in WHERE and refused in the list of
#            results. One would expect the conditions of a decorrelated join to be any conditions, as in a join. Tools write
#            such questions to a catalogue (SQLAlchemy's for columns has an outer condition within the sub-query); to move the
#            outer condition out into CASE, and to ask count(*) > 0 for EXISTS, is what works.
# output:    planned: equality, aggregate
#            planned: equality and a condition on the inner row
#            refused: equality and a condition on the outer row
#            refused: greater than
#            refused: equality, LIMIT 1
#            planned: EXISTS in WHERE
#            refused: EXISTS in the list
# Needs python3 with venv, and PyPI. Exits 1 when one of them changes: then look at this finding again.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet datafusion==55.0.0 pyarrow==26.0.1
cat > "$work/ask.py" <<'PY'
import datafusion, sys
ctx = datafusion.SessionContext()
ctx.sql("create table a(k int, flag boolean) as values (1, true), (2, false)").collect()
ctx.sql("create table d(k int, x int) as values (1, 10), (2, 20)").collect()
value = "select a.k, ({}) from a order by 1"
asked = [
    ("equality, aggregate", value.format("select max(d.x) from d where d.k = a.k"), True),
    ("equality and a condition on the inner row", value.format("select max(d.x) from d where d.k = a.k and d.x > 5"), True),
    ("equality and a condition on the outer row", value.format("select max(d.x) from d where d.k = a.k and a.flag"), False),
    ("greater than", value.format("select max(d.x) from d where d.x > a.k"), False),
    ("equality, LIMIT 1", value.format("select d.x from d where d.k = a.k limit 1"), False),
    ("EXISTS in WHERE", "select a.k from a where exists (select 1 from d where d.k = a.k) order by 1", True),
    ("EXISTS in the list", "select a.k, exists (select 1 from d where d.k = a.k) from a order by 1", False),
]
changed = 0
for what, sql, expected in asked:
    frame = ctx.sql(sql)  # nothing is refused here
    try:
        frame.collect()
        planned = True
    except Exception as error:
        planned = False
        assert "Physical plan does not support logical expression" in str(error), error
    print("planned:" if planned else "refused:", what)
    changed += planned != expected
print("datafusion", datafusion.__version__)
sys.exit(changed > 0)
PY
"$work/venv/bin/python" "$work/ask.py"
