//! How much may be computed for one model, so that a small file cannot ask for hours.

use super::error::{refuse, Result};
use std::cell::Cell;

/// What is left to be computed, in multiplications.
#[derive(Debug)]
pub struct Work(Cell<u64>);

impl Work {
    pub fn new(most: u64) -> Self {
        Self(Cell::new(most))
    }

    pub fn left(&self) -> u64 {
        self.0.get()
    }

    /// Takes this product off; an error once nothing is left.
    pub fn take(&self, factors: &[usize]) -> Result<()> {
        let product = factors.iter().try_fold(1_u64, |product, factor| product.checked_mul(*factor as u64));
        match product.and_then(|product| self.left().checked_sub(product)) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => refuse("the model needs more computation than a large network does"),
        }
    }
}
