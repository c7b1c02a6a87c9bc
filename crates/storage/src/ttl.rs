//! Which partitions are too old: [`expired_before`].
//!
//! A partition goes when its end + TTL is at or before both the newest row and the clock. Every commit looks, and what
//! it finds goes with its own frame ([`crate::record::CatalogChange::Expire`]), so a row that comes too late is never seen.

use chrono::{DateTime, Months};
use types::time::US_PER_HOUR;
use types::{PartitionBy, Ttl};

/// Returns the start of the oldest partition that stays; all before it are too old. Both times in microseconds.
pub fn expired_before(by: PartitionBy, ttl: Ttl, newest_us: i64, now_us: i64) -> Option<i64> {
    if by == PartitionBy::None {
        return None;
    }
    let limit_us = newest_us.min(now_us);
    // A partition whose end is this moment is the last that goes, so the one that begins there or holds it stays.
    let end_us = match ttl {
        Ttl::Hours(hours) => limit_us.checked_sub(i64::from(hours) * US_PER_HOUR)?,
        Ttl::Months(months) => {
            let back = DateTime::from_timestamp_micros(limit_us)?.checked_sub_months(Months::new(months))?;
            // The days that a short month lacks: 31 March is a month behind every end up to 28 February.
            let mut end_us = back.timestamp_micros();
            let next_us = by.range(by.key(end_us)).end_us;
            let later = DateTime::from_timestamp_micros(next_us)?.checked_add_months(Months::new(months))?;
            if later.timestamp_micros() <= limit_us {
                end_us = next_us;
            }
            end_us
        }
    };
    Some(by.key(end_us).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    fn check(by: PartitionBy, ttl: Ttl, newest: &str, now: &str, before: &str) {
        assert_eq!(expired_before(by, ttl, us(newest), us(now)), Some(us(before)), "{by:?} {ttl:?} {newest} {now}");
    }

    #[test]
    fn a_partition_goes_when_its_end_is_as_old_as_the_ttl() {
        use PartitionBy::*;
        let late = "2030-01-01T00:00:00Z";
        check(Day, Ttl::Hours(24), "2024-01-03T00:00:00Z", late, "2024-01-02T00:00:00Z");
        check(Day, Ttl::Hours(24), "2024-01-02T23:59:59.999999Z", late, "2024-01-01T00:00:00Z");
        check(Hour, Ttl::Hours(1), "2024-01-01T05:30:00Z", late, "2024-01-01T04:00:00Z");
        check(Month, Ttl::Months(1), "2024-03-31T00:00:00Z", late, "2024-02-01T00:00:00Z");
        check(Day, Ttl::Months(1), "2024-03-31T00:00:00Z", late, "2024-02-29T00:00:00Z");
    }

    #[test]
    fn rows_from_the_future_take_nothing_away_before_the_clock_does() {
        check(PartitionBy::Day, Ttl::Hours(24), "2099-01-01T00:00:00Z", "2024-01-03T00:00:00Z", "2024-01-02T00:00:00Z");
    }
}
