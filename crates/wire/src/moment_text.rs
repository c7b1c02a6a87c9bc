//! Moments as text: calendar and clock of a count since 1970, far beyond the years that calendar libraries know.
//!
//! JSON and PostgreSQL differ in what stands between date and time, and in how years before 1 are counted; both write
//! the years 0 to 9999 by [`Fields::put`].

use crate::number_text::put_digits;

/// A moment taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    pub year: i64,
    pub month: u64,
    pub day: u64,
    /// Since midnight.
    pub second: u64,
    /// In parts of a second, as many as the caller counts by.
    pub fraction: u64,
}

impl Fields {
    /// Takes a count since 1970 of parts of a second apart.
    #[inline]
    pub fn of<const PER_SECOND: i64>(count: i64) -> Fields {
        let (seconds, fraction) = (count.div_euclid(PER_SECOND), count.rem_euclid(PER_SECOND) as u64);
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u64);
        let (year, month, day) = civil(days);
        Fields { year, month, day, second, fraction }
    }

    /// Returns whether the year has four digits and needs no sign.
    #[inline]
    pub fn is_common(&self) -> bool {
        (1..=9999).contains(&self.year)
    }

    /// Fills a place with `2024-01-01T00:00:00.000000`: `between` stands after the date, and the fraction takes what is
    /// left behind the twenty characters before it. The year must be common.
    #[inline]
    pub fn put(&self, place: &mut [u8], between: u8) {
        put_digits(&mut place[..4], self.year as u64);
        let parts = [
            (b'-', self.month),
            (b'-', self.day),
            (between, self.second / 3_600),
            (b':', self.second / 60 % 60),
            (b':', self.second % 60),
        ];
        for (i, (before, value)) in parts.into_iter().enumerate() {
            let at = 4 + 3 * i;
            place[at] = before;
            put_digits(&mut place[at + 1..at + 3], value);
        }
        place[19] = b'.';
        put_digits(&mut place[20..], self.fraction);
    }
}

/// Returns year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
/// After Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
#[inline]
pub fn civil(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097) as u64;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era as i64 + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_fills_its_place() {
        let mut place = [0u8; 26];
        Fields::of::<1_000_000>(1_704_164_645_123_456).put(&mut place, b'T');
        assert_eq!(&place, b"2024-01-02T03:04:05.123456");
        let mut place = [0u8; 23];
        Fields::of::<1_000>(-1).put(&mut place, b' ');
        assert_eq!(&place, b"1969-12-31 23:59:59.999");
        assert!(!Fields::of::<1_000_000>(i64::MAX).is_common() && !Fields::of::<1_000_000>(i64::MIN).is_common());
    }

    proptest! {
        #[test]
        fn days_follow_each_other(days in -100_000_000i64..100_000_000) {
            let (year, month, day) = civil(days);
            let next = civil(days + 1);
            let expected_same_month = (year, month, day + 1);
            let expected_next_month = if month == 12 { (year + 1, 1, 1) } else { (year, month + 1, 1) };
            prop_assert!(next == expected_same_month || (day >= 28 && next == expected_next_month));
        }
    }
}
