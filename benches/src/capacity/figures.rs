//! The raw figures of a run: one value per round, by a name that ends with its unit.

use anyhow::ensure;

use crate::measure::{median, spread};

/// The values of one figure over all rounds.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
}

impl Series {
    pub(super) fn median(&self) -> f64 {
        median(self.values.iter().copied())
    }

    /// The difference between the highest and the lowest value, as a fraction of the median.
    pub(super) fn spread(&self) -> f64 {
        spread(self.values.iter().copied())
    }
}

/// All figures, in the order in which they were first measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    all: Vec<Series>,
    rounds: usize,
    /// Remarks on figures for the reader of the report.
    notes: Vec<String>,
}

impl Figures {
    /// Adds the value of this round.
    pub(super) fn add(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        match self.all.iter_mut().find(|series| series.name == name) {
            Some(series) => series.values.push(value),
            None => self.all.push(Series {
                name,
                values: vec![value],
            }),
        }
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// # Errors
    /// If a figure was not measured exactly once per round: then rounds cannot be compared.
    pub(super) fn end_round(&mut self) -> anyhow::Result<()> {
        self.rounds += 1;
        for Series { name, values } in &self.all {
            ensure!(
                values.len() == self.rounds,
                "{name}: {} values in {} rounds",
                values.len(),
                self.rounds
            );
        }
        Ok(())
    }

    pub(super) fn all(&self) -> &[Series] {
        &self.all
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn get(&self, name: &str) -> Option<&Series> {
        self.all.iter().find(|series| series.name == name)
    }

    /// The value of the last round.
    pub(super) fn last(&self, name: &str) -> Option<f64> {
        self.get(name)?.values.last().copied()
    }

    /// The median over the rounds of the ratio of two figures of the same round.
    pub(super) fn ratio(&self, numerator: &str, denominator: &str) -> Option<f64> {
        let (numerator, denominator) = (self.get(numerator)?, self.get(denominator)?);
        let pairs = numerator.values.iter().zip(&denominator.values);
        let ratios: Vec<f64> = pairs
            .map(|(numerator, denominator)| numerator / denominator)
            .collect();
        let ratio = median(ratios.into_iter());
        ratio.is_finite().then_some(ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let mut figures = Figures::default();
        for (muster, limit) in [(10.0, 100.0), (40.0, 80.0), (30.0, 100.0)] {
            figures.add("muster", muster);
            figures.add("limit", limit);
            figures.end_round().unwrap();
        }
        assert_eq!(figures.ratio("muster", "limit"), Some(0.3));
        assert_eq!(figures.ratio("muster", "nothing"), None);
        assert_eq!(figures.last("muster"), Some(30.0));
        let muster = figures.get("muster").unwrap();
        assert_eq!((muster.median(), muster.spread()), (30.0, 1.0));
    }

    #[test]
    fn a_figure_that_is_missing_in_a_round_is_an_error() {
        let mut figures = Figures::default();
        figures.add("often", 1.0);
        figures.end_round().unwrap();
        figures.add("seldom", 1.0);
        figures.add("often", 1.0);
        let error = figures.end_round().unwrap_err().to_string();
        assert_eq!(error, "seldom: 1 values in 2 rounds");
    }
}
