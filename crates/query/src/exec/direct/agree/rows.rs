//! Rows and filters.

use super::{Plan, agree, agree_in_order};

#[test]
fn filtered_rows_are_those_of_the_plain_plan() {
    agree_in_order(&[
        ("select * from t", Plan::Any),
        ("select ts, s, d from t where s = 's1'", Plan::Any),
        ("select * from t where s in ('s1', 's4', 'nowhere') and d > 20", Plan::Any),
    ]);
    agree(&[("select count() from t where k like 'k1%' or k is null", Plan::Any)]);
}
