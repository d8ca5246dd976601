//! The aggregates `log_loss`, `brier`, `rmse` and `mae`, which are means of the losses of rows.

use super::state::{
    check_probability, check_quantity, damaged, score_and_boolean, score_and_number, words_of, words_to_bytea,
};
use crate::error::Error;
use crate::pg::aggregate::{combine, deserialize, finished, serialize, step, unchanged, State};
use crate::pg::call::{float, Call};
use crate::pg::sql_function::{sql_function, Returned};
use model::metrics::{brier_of_row, log_loss_of_row};
use pgrx::pg_sys;

sql_function!(probability_losses_step, |call| probability(call, score_and_boolean(call)));
sql_function!(probability_losses_step_number, |call| probability(call, score_and_number(call)?));
sql_function!(quantity_errors_step, quantity);
sql_function!(losses_combine, combine::<Losses>);
sql_function!(losses_serialize, serialize::<Losses>);
sql_function!(losses_deserialize, deserialize::<Losses>);
sql_function!(log_loss_final, |call| mean(call, |losses| losses.sums[0] / losses.rows as f64));
sql_function!(brier_final, |call| mean(call, |losses| losses.sums[1] / losses.rows as f64));
sql_function!(rmse_final, |call| mean(call, |errors| (errors.sums[0] / errors.rows as f64).sqrt()));
sql_function!(mae_final, |call| mean(call, |errors| errors.sums[1] / errors.rows as f64));

/// The number of rows, and the sums of two losses: log loss and Brier score for probabilities, squared and absolute error
/// for quantities.
#[derive(Clone, Copy, Default)]
struct Losses {
    rows: u64,
    sums: [f64; 2],
}

impl Losses {
    fn insert(&mut self, losses: [f64; 2]) {
        self.rows += 1;
        self.sums[0] += losses[0];
        self.sums[1] += losses[1];
    }
}

impl State for Losses {
    const IN_CONTEXT: bool = false;

    fn copied(&self) -> Result<Self, Error> {
        Ok(*self)
    }

    fn merge(&mut self, other: &Self) -> Result<(), Error> {
        self.rows += other.rows;
        self.sums[0] += other.sums[0];
        self.sums[1] += other.sums[1];
        Ok(())
    }

    fn stored(&self) -> pg_sys::Datum {
        let words = [self.rows, self.sums[0].to_bits(), self.sums[1].to_bits()];
        words_to_bytea(words.len(), |put| words.into_iter().for_each(put))
    }

    fn from_stored(bytes: &[u8]) -> Result<Self, Error> {
        let mut words = words_of(bytes);
        match (words.next(), words.next(), words.next()) {
            (Some(rows), Some(first), Some(second)) => {
                Ok(Self { rows, sums: [first, second].map(f64::from_bits) })
            }
            _ => Err(damaged()),
        }
    }
}

/// (state, score, label)
fn probability(call: &Call, row: Option<(f64, bool)>) -> Returned {
    match row {
        Some((score, label)) => step(call, |losses: &mut Losses| {
            check_probability(score)?;
            losses.insert([log_loss_of_row(score, label), brier_of_row(score, label)]);
            Ok(())
        }),
        None => unchanged(call),
    }
}

/// (state, prediction, value)
fn quantity(call: &Call) -> Returned {
    match (call.float(1), call.float(2)) {
        (Some(prediction), Some(value)) => step(call, |errors: &mut Losses| {
            check_quantity("prediction", prediction)?;
            check_quantity("value", value)?;
            let error = prediction - value;
            errors.insert([error * error, error.abs()]);
            Ok(())
        }),
        _ => unchanged(call),
    }
}

/// The mean; NULL if there are no rows.
fn mean(call: &Call, of: impl FnOnce(&Losses) -> f64) -> Returned {
    match finished::<Losses>(call)?.map(|losses| of(losses)) {
        Some(mean) if !mean.is_finite() => Err(Error::Overflow("the sum of the errors")),
        mean => Ok(mean.map(float)),
    }
}
