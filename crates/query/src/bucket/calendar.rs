//! The proleptic Gregorian calendar in plain integers: days, months and clamped month arithmetic on microseconds.
//!
//! It never knows of time zones. Right for every year that an `i64` of microseconds can hold; the seconds before a new
//! year belong to the old one, also before 1970. Algorithms: Howard Hinnant, "chrono-compatible low-level date
//! algorithms". Next file: `stride.rs`.

use types::time::US_PER_DAY;

/// Returns the number of days from 1970-01-01 to the first of `month` (1-12) of `year`, plus `day - 1`.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Returns year, month (1-12) and day (1-31) of the day that lies `days` after 1970-01-01.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days - era * 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Returns how many days `month` (1-12) of `year` has.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Returns the number of months from 1970-01 to the month that holds `ts_us`.
pub fn month_number(ts_us: i64) -> i64 {
    let (year, month, _) = civil_from_days(ts_us.div_euclid(US_PER_DAY));
    (year - 1970) * 12 + month - 1
}

/// Returns the first microsecond of the month that lies `months` after 1970-01; saturates at the ends of `i64`.
pub fn month_start_us(months: i64) -> i64 {
    let days = days_from_civil(1970 + months.div_euclid(12), months.rem_euclid(12) + 1, 1);
    days.saturating_mul(US_PER_DAY)
}

/// Returns `ts_us` moved by `months`, with the day clamped to the length of the new month and the time of day kept.
pub fn add_months(ts_us: i64, months: i64) -> i64 {
    let (days, time_us) = (ts_us.div_euclid(US_PER_DAY), ts_us.rem_euclid(US_PER_DAY));
    let (year, month, day) = civil_from_days(days);
    let total = (year * 12 + month - 1).saturating_add(months);
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
    if year.abs() > 300_000 {
        // Beyond what an i64 of microseconds can name.
        return if months > 0 { i64::MAX } else { i64::MIN };
    }
    let day = day.min(days_in_month(year, month));
    days_from_civil(year, month, day).saturating_mul(US_PER_DAY).saturating_add(time_us)
}

/// Returns the weekday of the day `days` after 1970-01-01: 0 is Monday, 6 is Sunday.
pub fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

/// Returns the day number of the Monday with which ISO week 1 of `year` begins.
pub fn iso_year_start(year: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - weekday(fourth)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks the calendar day by day from its own rules, without the formulas under test.
    #[test]
    fn every_day_from_1600_to_2300_keeps_its_date() {
        let (mut year, mut month, mut day) = (1600, 1, 1);
        let mut days = days_from_civil(1600, 1, 1);
        assert_eq!(days, -135_140);
        while year <= 2300 {
            assert_eq!(civil_from_days(days), (year, month, day), "{year}-{month}-{day}");
            assert_eq!(days_from_civil(year, month, day), days);
            days += 1;
            day += 1;
            if day > days_in_month(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn months_are_added_with_the_day_clamped() {
        let at = |y, m, d| days_from_civil(y, m, d) * US_PER_DAY + 7;
        assert_eq!(add_months(at(2024, 1, 31), 1), at(2024, 2, 29));
        assert_eq!(add_months(at(2024, 2, 29), 1), at(2024, 3, 29));
        assert_eq!(add_months(at(2024, 2, 29), 12), at(2025, 2, 28));
        assert_eq!(add_months(at(1970, 1, 31), -2), at(1969, 11, 30));
        assert_eq!(add_months(i64::MAX, 1), i64::MAX);
    }

    #[test]
    fn weeks_begin_on_monday() {
        assert_eq!(weekday(0), 3, "1970-01-01 was a Thursday");
        assert_eq!(civil_from_days(iso_year_start(2024)), (2024, 1, 1));
        assert_eq!(civil_from_days(iso_year_start(2020)), (2019, 12, 30));
    }
}
