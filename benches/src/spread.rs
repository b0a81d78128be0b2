//! What repeated measurements of one thing say.

/// Quartiles of measurements. What others do on the machine only ever makes a round worse, so the better quartile
/// tells more than the mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// A quarter is not above it.
    pub lower: f64,
    /// Half is not above it.
    pub median: f64,
    /// Three quarters are not above it.
    pub upper: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of these; zeros without any.
    pub fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let at = |quarters: usize| {
            let place = values.len().saturating_sub(1) * quarters / 4;
            values.get(place).copied().unwrap_or_default()
        };
        Self {
            least: at(0),
            lower: at(1),
            median: at(2),
            upper: at(3),
            most: at(4),
        }
    }
}

/// The value that so many of a hundred do not exceed; of sorted ones.
pub fn percentile(sorted: &[u32], hundredths: usize) -> u32 {
    let place = (sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Spread, percentile};

    #[test]
    fn quartiles_stand_in_the_sorted_row() {
        let spread = Spread::of(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        let expected = Spread {
            least: 1.0,
            lower: 2.0,
            median: 3.0,
            upper: 4.0,
            most: 5.0,
        };
        assert_eq!(spread, expected);
        assert_eq!(Spread::of(&[]), Spread::default());
    }

    #[test]
    fn the_last_of_a_hundred_is_within() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&values, 50), 51);
        assert_eq!(percentile(&values, 99), 100);
        assert_eq!(percentile(&values, 100), 100);
        assert_eq!(percentile(&[], 50), 0);
    }
}
