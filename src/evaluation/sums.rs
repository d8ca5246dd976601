//! The aggregates `log_loss`, `brier`, `rmse` and `mae`: means of what each row loses.

use super::state::{
    check_probability, check_quantity, combine, deserialize, float, score_and_boolean, score_and_number,
    serialize, state, step, State,
};
use crate::error::Error;
use crate::pg::sql_function::{sql_function, Returned};
use model::metrics::{brier_of_row, log_loss_of_row};
use pgrx::{pg_sys, IntoDatum};

sql_function!(probability_losses_step, |fcinfo| { probability(fcinfo, score_and_boolean(fcinfo)) });
sql_function!(probability_losses_step_number, |fcinfo| { probability(fcinfo, score_and_number(fcinfo)?) });
sql_function!(quantity_errors_step, |fcinfo| quantity(fcinfo));
sql_function!(losses_combine, |fcinfo| combine::<Losses>(fcinfo));
sql_function!(losses_serialize, |fcinfo| serialize::<Losses>(fcinfo));
sql_function!(losses_deserialize, |fcinfo| deserialize::<Losses>(fcinfo));
sql_function!(log_loss_final, |fcinfo| mean(fcinfo, |losses| losses.sums[0] / losses.rows as f64));
sql_function!(brier_final, |fcinfo| mean(fcinfo, |losses| losses.sums[1] / losses.rows as f64));
sql_function!(rmse_final, |fcinfo| mean(fcinfo, |errors| (errors.sums[0] / errors.rows as f64).sqrt()));
sql_function!(mae_final, |fcinfo| mean(fcinfo, |errors| errors.sums[1] / errors.rows as f64));

/// How many rows there were, and the sums of two losses: log loss and Brier score of probabilities, squared and absolute
/// error of quantities.
#[derive(Default)]
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
    fn merge(&mut self, other: &Self) -> Result<(), Error> {
        self.rows += other.rows;
        self.sums[0] += other.sums[0];
        self.sums[1] += other.sums[1];
        Ok(())
    }

    fn words(&self) -> usize {
        3
    }

    fn write(&self, put: impl FnMut(u64)) {
        [self.rows, self.sums[0].to_bits(), self.sums[1].to_bits()].into_iter().for_each(put);
    }

    fn read(words: &mut impl ExactSizeIterator<Item = u64>) -> Result<Self, Error> {
        match (words.next(), words.next(), words.next()) {
            (Some(rows), Some(first), Some(second)) => {
                Ok(Self { rows, sums: [first, second].map(f64::from_bits) })
            }
            _ => Err(super::state::damaged()),
        }
    }
}

/// (state, score, label)
unsafe fn probability(fcinfo: pg_sys::FunctionCallInfo, row: Option<(f64, bool)>) -> Returned {
    match row {
        Some((score, label)) => step(fcinfo, |losses: &mut Losses| {
            check_probability(score)?;
            losses.insert([log_loss_of_row(score, label), brier_of_row(score, label)]);
            Ok(())
        }),
        None => Ok(crate::pg::call_site::argument(fcinfo, 0)),
    }
}

/// (state, prediction, value)
unsafe fn quantity(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    match (float(fcinfo, 1), float(fcinfo, 2)) {
        (Some(prediction), Some(value)) => step(fcinfo, |errors: &mut Losses| {
            check_quantity("prediction", prediction)?;
            check_quantity("value", value)?;
            let error = prediction - value;
            errors.insert([error * error, error.abs()]);
            Ok(())
        }),
        _ => Ok(crate::pg::call_site::argument(fcinfo, 0)),
    }
}

/// NULL without rows.
unsafe fn mean(fcinfo: pg_sys::FunctionCallInfo, of: impl FnOnce(&Losses) -> f64) -> Returned {
    let Some(losses) = state::<Losses>(fcinfo, 0) else { return Ok(None) };
    match of(&*losses) {
        mean if mean.is_finite() => Ok(mean.into_datum()),
        _ => Err(Error::Overflow("the sum of the errors")),
    }
}
