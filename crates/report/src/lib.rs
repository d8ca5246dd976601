//! The page that `reco.report(model)` returns: one model in HTML and SVG, for a browser, for paper and for a screen reader.
//!
//! It takes plain values and gives a text. Nothing in the page runs and nothing is fetched: it says so to the browser
//! itself, by a Content-Security-Policy that allows one style sheet, named by its digest. Every text is escaped: in HTML by
//! `maud`, in SVG by `svg`, whose attributes hold numbers and our own words only, because it does not escape quotes there.
//!
//! | file | holds |
//! | --- | --- |
//! | `page` | the frame, and the order of the parts |
//! | `model_parts` | the card, the leaderboard, the importance of columns, promotions, lineage |
//! | `measured_parts` | what the version is worth on its test rows: curves, calibration, lift, weeks, regions |
//! | `monitoring_parts` | status, judged weeks, drift |
//! | `test_parts` | A/B tests |
//! | `curves` | the points of curves, of ranked scores |
//! | `figure` | a chart with its title, legend and table |
//! | `plot`, `bars` | charts with two axes; charts with a row for each name |
//! | `words` | numbers, dates and lists as people read them |

mod bars;
mod curves;
mod figure;
mod measured_parts;
mod model_parts;
mod monitoring_parts;
mod page;
mod plot;
mod test_parts;
mod words;

pub use page::page;

use model::card::Card;
use model::charts::{LiftBucket, RocPoint};
use model::metrics::CalibrationBin;
use model::Quality;

/// A part of the page, or the reason why the reader does not see it, as a sentence.
pub type Part<T> = Result<T, String>;

/// The first rows of a list, and how many it has in all.
#[derive(Debug, Clone, PartialEq)]
pub struct First<T> {
    pub rows: Vec<T>,
    pub all: u64,
}

impl<T> Default for First<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), all: 0 }
    }
}

/// Everything that a page shows.
#[derive(Debug, Clone)]
pub struct Report {
    /// When it was made, as ISO 8601, and for which role.
    pub at: String,
    pub reader: String,
    pub card: Card,
    pub leaderboard: Part<First<Contender>>,
    pub measured: Part<Measured>,
    pub monitored: Part<Monitored>,
    pub tests: Part<First<Test>>,
    pub promotions: Part<First<Promotion>>,
}

/// A line of the leaderboard.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contender {
    pub version: Option<i32>,
    pub algorithm: String,
    pub champion: bool,
    pub auroc: Option<f64>,
    pub average_precision: Option<f64>,
    pub rmse: Option<f64>,
    pub test_auroc: Option<f64>,
    pub test_average_precision: Option<f64>,
    pub test_rmse: Option<f64>,
    pub seconds: Option<f64>,
    pub error: Option<String>,
}

/// A version on its test rows.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The first and the last day.
    pub from: String,
    pub to: String,
    pub quality: Quality,
    /// Of probabilities only.
    pub curves: Option<Curves>,
    /// Beside the curves.
    pub popularity: Part<Baseline>,
    pub weeks: Part<First<Slice>>,
    /// By the key column that has this name.
    pub regions: Option<(String, Part<First<Slice>>)>,
}

/// The curves of one ranking: ROC in points, and precision by recall.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curves {
    pub roc: Vec<RocPoint>,
    /// Recall and precision, from the highest threshold down.
    pub precision_recall: Vec<(f64, f64)>,
    pub calibration: Vec<CalibrationBin>,
    pub lift: Vec<LiftBucket>,
}

/// The popularity baseline on the same rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    pub auroc: Option<f64>,
    pub average_precision: Option<f64>,
    pub roc: Vec<RocPoint>,
    pub precision_recall: Vec<(f64, f64)>,
}

/// The rows that have one value of a column.
#[derive(Debug, Clone)]
pub struct Slice {
    pub name: Option<String>,
    pub quality: Quality,
}

/// What monitoring has found of the model.
#[derive(Debug, Clone)]
pub struct Monitored {
    /// `None` of a model that was never monitored.
    pub health: Option<Health>,
    /// The newest ones, the earliest first.
    pub weeks: Part<First<JudgedWeek>>,
    /// `None` where none was measured.
    pub drift: Part<Option<Drift>>,
}

/// How the model is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    pub status: String,
    pub since: Option<String>,
    /// `None` if the reader does not see them.
    pub reasons: Option<First<Reason>>,
    pub weeks_judged: i64,
    pub weeks_waiting: i64,
    pub features_weeks_behind: Option<i64>,
    pub champion_age_weeks: Option<i64>,
    pub monitored_by: Option<String>,
    pub monitored_at: Option<String>,
}

/// Why a model is not ok.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reason {
    pub level: String,
    pub words: String,
}

/// A week whose outcome is known, of all regions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JudgedWeek {
    pub week: String,
    pub version: Option<i32>,
    pub rows: u64,
    pub mean_label: Option<f64>,
    pub auroc: Option<f64>,
    pub test_auroc: Option<f64>,
    pub rmse: Option<f64>,
    pub test_rmse: Option<f64>,
    pub calibration_error: Option<f64>,
    pub test_calibration_error: Option<f64>,
    pub note: Option<String>,
}

/// How far the newest week is from training.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drift {
    pub week: String,
    pub version: i32,
    pub columns: First<DriftedColumn>,
}

/// A column, or the scores where there is no name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DriftedColumn {
    pub name: Option<String>,
    pub importance: Option<f64>,
    pub psi: Option<f64>,
    /// The most that it was in weeks in which the model was good.
    pub usual: Option<f64>,
    pub chance: Option<f64>,
    pub jensen_shannon: Option<f64>,
    pub nulls: Option<f64>,
    pub nulls_trained: Option<f64>,
    pub unseen: Option<f64>,
    pub outside: Option<f64>,
    /// Of what it is a reason: `warning` or `alarm`.
    pub level: Option<String>,
    pub note: Option<String>,
}

/// An A/B test.
#[derive(Debug, Clone)]
pub struct Test {
    pub name: String,
    pub status: String,
    pub unit: String,
    pub started_at: String,
    pub stopped_at: Option<String>,
    pub winner: Option<String>,
    pub why: Option<String>,
    pub arms: Part<Vec<Arm>>,
}

/// An arm over all regions; the first one is the control.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arm {
    pub arm: String,
    pub version: i32,
    pub share: f64,
    pub exposures: i64,
    pub outcomes: i64,
    pub purchases: i64,
    pub rate: Option<f64>,
    pub lift: Option<f64>,
    /// The interval that is valid however often one looks.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub p_value: Option<f64>,
    pub warning: Option<String>,
}

/// A move of the champion.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Promotion {
    pub at: String,
    pub action: String,
    pub from: Option<i32>,
    pub to: Option<i32>,
    pub by: String,
    pub why: Option<String>,
}
