//! Target leakage: columns that hold the outcome itself, or what happened after the row's moment.

use crate::error::TrainerError;
use crate::prepare::sample;
use crate::rows::block::Block;
use crate::rows::column::TimeUnit;
use crate::rows::column::NO_TIME;
use crate::rows::data::Table;
use crate::rows::values::{Dictionary, Feature, Floats, Values};
use model::protocol::{EPOCH_DAYS, EPOCH_MICROSECONDS};
use model::recipe::Family;
use model::{metrics, Task};
use std::collections::HashMap;

/// A column gives the outcomes away if its values alone rank them this well, ascending or descending.
const TELLING_AUROC: f64 = 0.999;
/// A column gives a quantity away if their linear correlation is this close, whatever its sign.
const TELLING_CORRELATION: f64 = 0.9999;
/// With fewer rows of each outcome, or of a quantity, nothing can be said.
const FEWEST: usize = 20;
/// Fewest rows for each category: with fewer, outcomes are alike in all of them by chance.
const ROWS_OF_A_CATEGORY: usize = 10;
/// In this share of the rows a date or timestamp may be later than the row without a warning, as announced launches and
/// corrections are.
const LATER: f64 = 0.05;

const SECONDS_OF_A_DAY: f64 = 86_400.0;

/// Warnings about suspicious columns, from a sample of the training rows. `ordered` are all labelled rows by time.
pub fn warnings(
    table: &Table,
    ordered: &[u32],
    train: &[u32],
    task: Task,
) -> Result<Vec<String>, TrainerError> {
    let mut rows = sample(table, train);
    rows.sort_unstable();
    let moments = Moments::of(table, ordered);
    table.block(&rows, |block| {
        let labels = table.labels.of(block.rows);
        let outcome = block.features.iter().filter(|feature| tells(feature, block.places, &labels, task));
        let told = outcome.map(|feature| {
            format!(
                "Column \"{}\" alone tells the label: is it known before the outcome?",
                feature.source.name
            )
        });
        let later = block.features.iter().filter_map(|feature| moments.as_ref()?.later(feature, block));
        told.chain(later).collect()
    })
}

/// Whether a column's values, or which of them are missing, give the label away.
fn tells(feature: &Feature, places: &[u32], labels: &[f64], task: Task) -> bool {
    match &feature.values {
        Values::Category(dictionary) => task == Task::Binary && category_tells(dictionary, places, labels),
        Values::Numbers { width, floats } => {
            (0..*width).any(|position| number_tells(floats, places, labels, task, (*width, position)))
        }
    }
}

fn number_tells(
    floats: &Floats,
    places: &[u32],
    labels: &[f64],
    task: Task,
    (width, position): (usize, usize),
) -> bool {
    let value = |place: &u32| floats.get(*place as usize * width + position);
    let known: Vec<(f64, f64)> =
        places.iter().map(value).zip(labels.iter().copied()).filter(|(value, _)| value.is_finite()).collect();
    let missing = || places.iter().map(|place| f64::from(u8::from(!value(place).is_finite())));
    match task {
        Task::Binary => {
            let (values, known_labels): (Vec<f64>, Vec<f64>) = known.iter().copied().unzip();
            ranks(&values, &known_labels) || ranks(&missing().collect::<Vec<_>>(), labels)
        }
        Task::Regression => known.len() >= FEWEST && correlation(&known).abs() > TELLING_CORRELATION,
    }
}

/// Whether the values alone rank the outcomes.
fn ranks(values: &[f64], labels: &[f64]) -> bool {
    let labels: Vec<bool> = labels.iter().map(|label| *label == 1.0).collect();
    let positives = labels.iter().filter(|label| **label).count();
    let enough = positives.min(labels.len() - positives) >= FEWEST;
    enough && metrics::auroc(values, &labels).is_some_and(|auroc| auroc.max(1.0 - auroc) >= TELLING_AUROC)
}

/// Whether the rows of every category, NULL being one, have the same outcome, with many rows for each.
fn category_tells(dictionary: &Dictionary, places: &[u32], labels: &[f64]) -> bool {
    let mut outcomes: HashMap<u32, f64> = HashMap::new();
    let pure = places
        .iter()
        .zip(labels)
        .all(|(place, label)| *outcomes.entry(dictionary.codes[*place as usize]).or_insert(*label) == *label);
    let positives = labels.iter().filter(|label| **label == 1.0).count();
    pure && positives.min(labels.len() - positives) >= FEWEST
        && outcomes.len() * ROWS_OF_A_CATEGORY <= labels.len()
}

/// Pearson's correlation; 0 where either side is constant.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let rows = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / rows;
    let (a, b) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|(x, y)| of(x - a, y - b)).sum::<f64>();
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    if spread > 0.0 && spread.is_finite() {
        sum(&|x, y| x * y) / spread
    } else {
        0.0
    }
}

/// When each row's moment ends.
struct Moments<'a> {
    unit: TimeUnit,
    times: &'a [i64],
    /// The shortest distance of two times, in seconds: a row of a week knows what happened in the week.
    step: f64,
}

impl<'a> Moments<'a> {
    /// `None` where the times are not dates or timestamps.
    fn of(table: &'a Table, ordered: &[u32]) -> Option<Self> {
        let (unit, times) = table.times.as_ref()?;
        let (unit, least) = match unit {
            TimeUnit::Days => (*unit, SECONDS_OF_A_DAY),
            TimeUnit::Micros { .. } => (*unit, 0.0),
            TimeUnit::Integer | TimeUnit::Float => return None,
        };
        let distances = ordered
            .windows(2)
            .map(|pair| seconds(unit, times[pair[1] as usize]) - seconds(unit, times[pair[0] as usize]));
        let step = distances.filter(|distance| *distance > 0.0).fold(f64::INFINITY, f64::min);
        Some(Self { unit, times, step: if step.is_finite() { step.max(least) } else { least } })
    }

    /// A warning if a date or timestamp is often later than the end of its row's moment.
    fn later(&self, feature: &Feature, block: &Block) -> Option<String> {
        let unit = match feature.source.family {
            Family::Date => SECONDS_OF_A_DAY,
            Family::Timestamp => 1.0,
            _ => return None,
        };
        let Values::Numbers { floats, .. } = &feature.values else { return None };
        let (mut known, mut later) = (0, 0);
        for (row, place) in block.rows.iter().zip(block.places) {
            let (value, time) = (floats.get(*place as usize) * unit, self.times[*row as usize]);
            if value.is_finite() && time != NO_TIME {
                known += 1;
                later += usize::from(value >= seconds(self.unit, time) + self.step);
            }
        }
        (later as f64 > LATER * known as f64).then(|| {
            format!(
                "Column \"{}\" is later than the time of its row in {:.0} % of the rows: is it known by then?",
                feature.source.name,
                100.0 * later as f64 / known as f64
            )
        })
    }
}

/// A time in seconds since 2000-01-01.
fn seconds(unit: TimeUnit, time: i64) -> f64 {
    match unit {
        TimeUnit::Days => (time - i64::from(EPOCH_DAYS)) as f64 * SECONDS_OF_A_DAY,
        _ => time.saturating_sub(EPOCH_MICROSECONDS) as f64 / 1e6,
    }
}
