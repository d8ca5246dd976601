//! How the parts of a blend add up.

/// What the outputs of each part are multiplied by, and what is added to their sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    pub factors: Vec<f64>,
    pub offset: f64,
}

impl Mix {
    /// The weighted sum of the parts' outputs, which are equally many of each.
    pub fn of<T: AsRef<[f64]>>(&self, parts: &[T]) -> Vec<f64> {
        let rows = parts.first().map_or(0, |part| part.as_ref().len());
        let mut sum = vec![self.offset; rows];
        for (part, factor) in parts.iter().zip(&self.factors) {
            sum.iter_mut().zip(part.as_ref()).for_each(|(sum, output)| *sum += factor * output);
        }
        sum
    }
}
