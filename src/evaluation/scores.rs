//! The aggregates that keep every score: `auroc`, `average_precision`, and those that charts are drawn from.

use super::chart::Chart;
use super::rows::{array, row};
use super::state::{
    check_probability, combine, damaged, deserialize, score_and_boolean, score_and_number, serialize, state,
    step, State,
};
use super::{too_many_rows, MAX_ROWS};
use crate::error::Error;
use crate::pg::call_site::argument;
use crate::pg::memory::Palloc;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::values::given;
use model::metrics::{auroc_of, average_precision_of};
use model::ranking::{Ranked, Ranking};
use pgrx::{pg_sys, IntoDatum};

sql_function!(scores_step, |fcinfo| insert(fcinfo, score_and_boolean(fcinfo)));
sql_function!(scores_step_number, |fcinfo| insert(fcinfo, score_and_number(fcinfo)?));
sql_function!(roc_points_step, |fcinfo| insert_for(fcinfo, Chart::RocCurve));
sql_function!(confusion_step, |fcinfo| insert_for(fcinfo, Chart::Confusion));
sql_function!(calibration_bins_step, |fcinfo| insert_for(fcinfo, Chart::Calibration));
sql_function!(lift_buckets_step, |fcinfo| insert_for(fcinfo, Chart::Lift));
sql_function!(scores_combine, |fcinfo| combine::<Scores>(fcinfo));
sql_function!(scores_serialize, |fcinfo| serialize::<Scores>(fcinfo));
sql_function!(scores_deserialize, |fcinfo| deserialize::<Scores>(fcinfo));
sql_function!(auroc_final, |fcinfo| number(fcinfo, auroc_of));
sql_function!(average_precision_final, |fcinfo| number(fcinfo, average_precision_of));
sql_function!(roc_points_final, |fcinfo| chart(fcinfo, Chart::RocCurve));
sql_function!(confusion_final, |fcinfo| chart(fcinfo, Chart::Confusion));
sql_function!(calibration_bins_final, |fcinfo| chart(fcinfo, Chart::Calibration));
sql_function!(lift_buckets_final, |fcinfo| chart(fcinfo, Chart::Lift));

/// All scores by outcome, and the option of the chart that they are for; NaN where there is none.
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

    /// Takes the option of a row, the same as that of all others.
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

    fn words(&self) -> usize {
        2 + self.ranking.len()
    }

    fn write(&self, mut put: impl FnMut(u64)) {
        let [positives, negatives] = self.ranking.scores();
        put(self.option.to_bits());
        put(positives.len() as u64);
        positives.iter().chain(negatives).for_each(|score| put(score.to_bits()));
    }

    fn read(words: &mut impl ExactSizeIterator<Item = u64>) -> Result<Self, Error> {
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
unsafe fn insert(fcinfo: pg_sys::FunctionCallInfo, row: Option<(f64, bool)>) -> Returned {
    match row {
        Some((score, label)) => step(fcinfo, |scores: &mut Scores| scores.insert(score, label)),
        None => Ok(argument(fcinfo, 0)),
    }
}

/// (state, score, label, the chart's option)
unsafe fn insert_for(fcinfo: pg_sys::FunctionCallInfo, chart: Chart) -> Returned {
    let Some((score, label)) = score_and_boolean(fcinfo) else { return Ok(argument(fcinfo, 0)) };
    let option = chart.option(given(argument(fcinfo, 3), chart.option_name())?)?;
    if matches!(chart, Chart::Calibration) {
        check_probability(score)?;
    }
    step(fcinfo, |scores: &mut Scores| {
        scores.agree(option, chart.option_name())?;
        scores.insert(score, label)
    })
}

unsafe fn number(fcinfo: pg_sys::FunctionCallInfo, of: impl FnOnce(Ranked) -> Option<f64>) -> Returned {
    Ok(state::<Scores>(fcinfo, 0).and_then(|scores| of((*scores).ranking.sorted()).into_datum()))
}

/// NULL without rows, and where the chart has none.
unsafe fn chart(fcinfo: pg_sys::FunctionCallInfo, chart: Chart) -> Returned {
    let Some(scores) = state::<Scores>(fcinfo, 0) else { return Ok(None) };
    let rows = chart.of((*scores).ranking.sorted(), (*scores).option);
    match (chart, rows.as_slice()) {
        (_, []) => Ok(None),
        (Chart::Confusion, [cells, ..]) => row(fcinfo, cells),
        _ => array(fcinfo, &rows),
    }
}
