//! The function `reco.backtest(source, …)`: it scores past weeks as they could have been scored then, with models that are
//! trained only on what was known before each of them. Nothing is stored.

use crate::catalog::read::VersionRow;
use crate::error::{or_raise, Error};
use crate::evaluation::evaluate::evaluate_with;
use crate::evaluation::subject::{Subject, Weeks};
use crate::feature_view::registry::FeatureView;
use crate::pg::call::Call;
use crate::pg::values::given;
use crate::scoring::call::Resolved;
use crate::training::attempt::fit;
use crate::training::read::read_source;
use crate::training::request::{Arguments, Request};
use features::weeks::{Week, DAYS_A_WEEK, MOST_WEEKS_REPLAYED};
use model::params::Metric;
use model::{Quality, Scorer};
use pgrx::datum::Date;
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The name that stands for the model in messages.
const NAME: &str = "backtest";

/// Declared in sql/retraining.sql.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn backtest(
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(week, Date),
        name!(trained_before, Date),
        name!(rows, i64),
        name!(mean_label, f64),
        name!(mean_score, f64),
        name!(auroc, Option<f64>),
        name!(average_precision, Option<f64>),
        name!(log_loss, Option<f64>),
        name!(rmse, Option<f64>),
        name!(mae, Option<f64>),
    ),
> {
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let replayed = Backtest::read(unsafe { &Call::new(fcinfo) }).and_then(|mut backtest| backtest.run());
    if let Err(Error::Interrupted) = replayed {
        pgrx::check_for_interrupts!();
    }
    let row = |replayed: Replayed| {
        let of = |metric| replayed.quality.value(metric);
        let (rows, mean_label, mean_score) = match &replayed.quality {
            Quality::Binary(m) => (m.rows, m.positives as f64 / m.rows as f64, m.mean_score()),
            Quality::Regression(m) => (m.rows, m.mean_label, m.mean_prediction),
        };
        (
            date(replayed.week.monday()),
            date(replayed.trained_before),
            rows as i64,
            mean_label,
            mean_score,
            of(Metric::Auroc),
            of(Metric::AveragePrecision),
            of(Metric::LogLoss),
            of(Metric::Rmse),
            of(Metric::Mae),
        )
    };
    TableIterator::new(or_raise(replayed).into_iter().map(row))
}

fn date(day: i32) -> Date {
    // SAFETY: any number of days is a date, and this one is a Monday near a date argument.
    unsafe { Date::from_pg_epoch_days(day) }
}

/// A week that was scored.
struct Replayed {
    week: Week,
    /// The model was trained only on rows from before this day.
    trained_before: i32,
    quality: Quality,
}

/// The arguments, which are checked.
struct Backtest {
    request: Request,
    source: pg_sys::Oid,
    weeks: Vec<Week>,
    every: usize,
    /// How many days before a week the rows end whose labels were known then.
    unknown_days: i32,
}

impl Backtest {
    fn read(call: &Call) -> Result<Self, Error> {
        let week = |n, name| {
            let day = given(call.datum(n), name)?.value() as i32;
            match day {
                i32::MIN | i32::MAX => Err(Error::invalid(format!("{name} must not be infinite"))),
                day => Ok(Week::of_day(day)),
            }
        };
        let source = given(call.oid(0), "source")?;
        let (from, to) = (week(1, "from_week")?, week(2, "to_week")?);
        let every: i32 = given(call.integer(3), "every")?;
        let count = (to.monday() - from.monday()) / 7 + 1;
        if every < 1 {
            return Err(Error::invalid("every is a number of weeks, 1 or more"));
        }
        if !(1..=MOST_WEEKS_REPLAYED).contains(&count) {
            return Err(Error::invalid(format!(
                "from_week to to_week are 1 to {MOST_WEEKS_REPLAYED} weeks, not {count}"
            )));
        }
        let view = FeatureView::find(source)?;
        let horizon = match call.integer(9) {
            Some(weeks) if !(0..=MOST_WEEKS_REPLAYED).contains(&weeks) => {
                return Err(Error::invalid(format!(
                    "horizon is a number of weeks from 0 to {MOST_WEEKS_REPLAYED}"
                )))
            }
            Some(weeks) => weeks,
            None => view.map_or(1, |view| view.horizon.min(MOST_WEEKS_REPLAYED as usize) as i32),
        };
        let mut params = given(call.json(6, "params")?, "params")?;
        if let Some(params) = params.as_object_mut() {
            // The test rows are the weeks that are replayed, so the training itself needs none.
            params.entry("test_share").or_insert(0.into());
        }
        let request = Request::new(Arguments {
            model: NAME.into(),
            source,
            label: call.name(4),
            algorithm: given(call.text(5), "algorithm")?,
            params: params.to_string(),
            keys: call.names(7)?,
            time_column: call.name(8),
            promote: false,
        })?;
        if request.time_column.is_none() {
            return Err(Error::InvalidArgument(
                format!("{} has no time column, so its past cannot be replayed", request.source),
                Some("Name it: time_column => '…'.".into()),
            ));
        }
        Ok(Self {
            request,
            source,
            weeks: (0..count).map(|n| from.plus(n)).collect(),
            every: every as usize,
            unknown_days: DAYS_A_WEEK * (horizon.max(1) - 1),
        })
    }

    fn run(&mut self) -> Result<Vec<Replayed>, Error> {
        let mut replayed = Vec::new();
        for weeks in std::mem::take(&mut self.weeks).chunks(self.every) {
            let trained_before = weeks[0].monday() - self.unknown_days;
            let mut resolved = self.trained(trained_before)?;
            for week in weeks {
                let subject = Subject {
                    model: None,
                    version: None,
                    source: self.source,
                    label: None,
                    by: None,
                    weeks: Weeks { from: Some(week.monday()), until: Some(week.plus(1).monday()) },
                    by_day: false,
                    deadline: None,
                };
                // A week without labels gives no row.
                let parts = evaluate_with(&mut resolved, &subject)?.into_iter().take(1);
                replayed.extend(parts.map(|part| Replayed {
                    week: *week,
                    trained_before,
                    quality: part.measured,
                }));
            }
            say!(
                "{}: trained before {}, {} weeks replayed",
                self.request.source,
                date(trained_before),
                replayed.len()
            );
        }
        Ok(replayed)
    }

    /// A model that is trained only on rows from before this day.
    fn trained(&mut self, before: i32) -> Result<Resolved, Error> {
        self.request.before = Some(before);
        let (data, _) = Spi::connect(|_| read_source(&self.request))?;
        let artifact = fit(&self.request.spec, &data)?;
        let version = VersionRow {
            model: NAME.into(),
            number: 0,
            artifact_id: pgrx::Uuid::from_bytes([0; 16]),
            source: self.request.version_source(),
            keys: self.request.keys.clone(),
            time_column: self.request.time_column.clone(),
            label: Some(self.request.label.clone()),
        };
        Ok(Resolved::unstored(version, Scorer::new(&artifact)?))
    }
}
