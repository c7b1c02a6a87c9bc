//! What is said of a series of measurements: its median, its range, its percentiles.

/// A series in the order in which it was taken. It is never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Series(Vec<f64>);

impl Series {
    /// Returns the series, or none where nothing was measured.
    pub fn new(values: Vec<f64>) -> Option<Series> {
        (!values.is_empty() && values.iter().all(|value| value.is_finite())).then_some(Series(values))
    }

    /// Returns the middle value, of an even number the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    /// Returns the value below or at which a share of the series lies (nearest rank).
    pub fn percentile(&self, share: f64) -> f64 {
        let sorted = self.sorted();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted[rank.clamp(1, sorted.len()) - 1]
    }

    /// Returns the smallest value.
    pub fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Returns the greatest value.
    pub fn greatest(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// Returns the geometric mean of positive numbers, none of no numbers.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::new(values.to_vec()).expect("values")
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(series(&[9.0, 1.0, 5.0]).median(), 5.0);
        assert_eq!(series(&[9.0, 1.0, 5.0, 6.0]).median(), 5.5);
        assert_eq!(series(&[2.0]).median(), 2.0);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred = series(&(1..=100).rev().map(f64::from).collect::<Vec<_>>());
        assert_eq!((hundred.percentile(0.5), hundred.percentile(0.99), hundred.percentile(1.0)), (50.0, 99.0, 100.0));
        assert_eq!(series(&[3.0]).percentile(0.99), 3.0);
        assert_eq!(hundred.percentile(0.0), 1.0);
    }

    #[test]
    fn the_range_is_least_and_greatest() {
        let some = series(&[4.0, 2.0, 8.0]);
        assert_eq!((some.least(), some.greatest()), (2.0, 8.0));
    }

    #[test]
    fn nothing_and_what_is_no_number_make_no_series() {
        assert_eq!(Series::new(vec![]), None);
        assert_eq!(Series::new(vec![1.0, f64::NAN]), None);
    }

    #[test]
    fn the_geometric_mean_lets_a_half_undo_a_double() {
        assert!((geometric_mean(&[2.0, 0.5]).expect("numbers") - 1.0).abs() < 1e-12);
        assert!((geometric_mean(&[1.0, 10.0, 100.0]).expect("numbers") - 10.0).abs() < 1e-9);
        assert_eq!(geometric_mean(&[]), None);
    }
}
