//! The aggregates that keep every score: `auroc`, `average_precision`, and those that charts are drawn from.

use super::charts::Chart;
use super::rows::array;
use super::state::{
    check_probability, damaged, score_and_boolean, score_and_number, words_of, words_to_bytea,
};
use super::{too_many_rows, MAX_ROWS};
use crate::error::Error;
use crate::pg::aggregate::{combine, deserialize, finished, serialize, step, unchanged, State};
use crate::pg::call::{float, Call};
use crate::pg::memory::Palloc;
use crate::pg::sql_function::{sql_function, Returned};
use model::metrics::{auroc_of, average_precision_of};
use model::ranking::{Ranked, Ranking};
use pgrx::pg_sys;

sql_function!(scores_step, |call| insert(call, score_and_boolean(call)));
sql_function!(scores_step_number, |call| insert(call, score_and_number(call)?));
sql_function!(roc_points_step, |call| insert_for(call, Chart::RocCurve));
sql_function!(confusion_step, |call| insert_for(call, Chart::Confusion));
sql_function!(calibration_bins_step, |call| insert_for(call, Chart::Calibration));
sql_function!(lift_buckets_step, |call| insert_for(call, Chart::Lift));
sql_function!(scores_combine, combine::<Scores>);
sql_function!(scores_serialize, serialize::<Scores>);
sql_function!(scores_deserialize, deserialize::<Scores>);
sql_function!(auroc_final, |call| number(call, auroc_of));
sql_function!(average_precision_final, |call| number(call, average_precision_of));
sql_function!(roc_points_final, |call| chart(call, Chart::RocCurve));
sql_function!(confusion_final, |call| chart(call, Chart::Confusion));
sql_function!(calibration_bins_final, |call| chart(call, Chart::Calibration));
sql_function!(lift_buckets_final, |call| chart(call, Chart::Lift));

/// All scores by outcome, and the option of the chart that they are for. If they are for no chart, the option is NaN.
struct Scores {
    ranking: Ranking<Palloc>,
    option: f64,
}

impl Default for Scores {
    fn default() -> Self {
        Self { ranking: Ranking::new_in(Palloc), option: f64::NAN }
    }
}

impl Scores {
    fn insert(&mut self, score: f64, label: bool) -> Result<(), Error> {
        if self.ranking.len() >= MAX_ROWS {
            return Err(too_many_rows());
        }
        self.ranking.insert(score, label);
        Ok(())
    }

    /// Takes the option of a row. It is an error if it differs from that of another row.
    fn agree(&mut self, option: f64, name: &str) -> Result<(), Error> {
        if self.option.is_nan() {
            self.option = option;
        }
        match self.option == option {
            true => Ok(()),
            false => Err(Error::invalid(format!("{name} must be the same in every row"))),
        }
    }
}

impl State for Scores {
    const IN_CONTEXT: bool = true;

    fn copied(&self) -> Result<Self, Error> {
        let mut copy = Self::default();
        copy.merge(self)?;
        Ok(copy)
    }

    fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if !other.option.is_nan() {
            self.agree(other.option, "the option of a chart")?;
        }
        if self.ranking.len() + other.ranking.len() > MAX_ROWS {
            return Err(too_many_rows());
        }
        self.ranking.merge(&other.ranking);
        Ok(())
    }

    fn stored(&self) -> pg_sys::Datum {
        let [positives, negatives] = self.ranking.scores();
        words_to_bytea(2 + self.ranking.len(), |put| {
            put(self.option.to_bits());
            put(positives.len() as u64);
            positives.iter().chain(negatives).for_each(|score| put(score.to_bits()));
        })
    }

    fn from_stored(bytes: &[u8]) -> Result<Self, Error> {
        let mut words = words_of(bytes);
        let (option, positives) = words.next().zip(words.next()).ok_or_else(damaged)?;
        let mut read = Self { option: f64::from_bits(option), ..Self::default() };
        if positives > words.len() as u64 {
            return Err(damaged());
        }
        for (n, score) in (0..).zip(words) {
            read.insert(f64::from_bits(score), n < positives)?;
        }
        Ok(read)
    }
}

/// (state, score, label)
fn insert(call: &Call, row: Option<(f64, bool)>) -> Returned {
    match row {
        Some((score, label)) => step(call, |scores: &mut Scores| scores.insert(score, label)),
        None => unchanged(call),
    }
}

/// (state, score, label, the chart's option)
fn insert_for(call: &Call, chart: Chart) -> Returned {
    let Some((score, label)) = score_and_boolean(call) else { return unchanged(call) };
    let option = chart.option(call, 3)?;
    if matches!(chart, Chart::Calibration) {
        check_probability(score)?;
    }
    step(call, |scores: &mut Scores| {
        scores.agree(option, chart.option_name())?;
        scores.insert(score, label)
    })
}

fn number(call: &Call, of: impl FnOnce(Ranked) -> Option<f64>) -> Returned {
    Ok(finished::<Scores>(call)?.and_then(|scores| of(scores.ranking.sorted())).map(float))
}

/// The chart; NULL if there are no rows or the chart is empty.
fn chart(call: &Call, chart: Chart) -> Returned {
    let Some(scores) = finished::<Scores>(call)? else { return Ok(None) };
    let rows = chart.of(scores.ranking.sorted(), scores.option);
    match (chart, rows.as_slice()) {
        (_, []) => Ok(None),
        (Chart::Confusion, [cells, ..]) => call.composite(cells),
        _ => array(call, &rows),
    }
}
