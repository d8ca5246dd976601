//! The function `reco.calibrate(…)`: a version's scores become probabilities anew, fitted to rows that it has not learned
//! from. The result is another version, with the same recipe and the same weights.

use super::card::version_or_champion;
use crate::catalog::parent::{parent, Parent};
use crate::catalog::read::{self, VersionRow};
use crate::catalog::weights;
use crate::catalog::write::{check_may_train, copy_profiles, store_version, NewVersion, StoredVersion};
use crate::error::{or_raise, Error};
use crate::evaluation::measure::labelled_rows;
use crate::evaluation::subject::{EvaluationQuery, Slicing, Subject, Weeks};
use crate::pg::call::Call;
use crate::pg::relations::{qualified_name, Relation};
use crate::pg::two_versions::require_writable;
use crate::pg::values::{self, given, Reader};
use crate::scoring::call::Resolved;
use crate::scoring::check_columns;
use model::calibration::Platt;
use model::recalibration::{held_out_loss, loss_of, Method, Sample};
use model::recipe::Family;
use model::stored::moment::Moment;
use model::{Artifact, Output, Scorer, Task};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::{json, Value};
use std::time::Instant;

/// The most rows that are fitted to, a random sample of more. They take 130 MB while the fit runs.
const MOST_ROWS: usize = 1 << 22;

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn calibrate(fcinfo: pg_sys::FunctionCallInfo) -> i32 {
    require_writable(c"reco.calibrate()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    or_raise(Calibration::read(unsafe { &Call::new(fcinfo) }).and_then(Calibration::store))
}

/// The arguments of a calibration.
struct Calibration {
    began: Instant,
    model: String,
    version: Option<i32>,
    source: pg_sys::Oid,
    label: Option<String>,
    method: Method,
    weeks: Weeks,
    promote: bool,
}

/// What was read of the rows.
struct Read {
    sample: Sample,
    /// The newest day of a row, as ISO 8601, if the version has a time column and the source has it.
    newest: Option<String>,
    /// The qualified name of the source, and the column of the label.
    source: String,
    label: String,
}

/// The losses of the rows before and after.
struct Losses {
    before: f64,
    after: Option<f64>,
}

impl Calibration {
    fn read(call: &Call) -> Result<Self, Error> {
        let method = given(call.text(4), "method")?;
        Ok(Self {
            began: Instant::now(),
            model: given(call.text(0), "model")?,
            version: call.integer(1),
            source: given(call.oid(2), "source")?,
            label: call.name(3),
            method: Method::from_name(&method).ok_or_else(|| {
                Error::InvalidArgument(
                    format!("unknown method \"{method}\""),
                    Some(format!("The methods are: {}.", Method::ALL.map(Method::name).join(", "))),
                )
            })?,
            weeks: Weeks::of(call.date(5), call.date(6)),
            promote: given(call.boolean(7), "promote")?,
        })
    }

    fn store(self) -> Result<i32, Error> {
        check_may_train(&self.model, self.promote)?;
        let base = read::version(&self.model, version_or_champion(&self.model, self.version)?)?;
        let parent = parent(&base)?;
        let mut artifact = Artifact::from_bytes(&weights::read(&base)?)?;
        if artifact.task() == Task::Regression {
            return Err(Error::InvalidArgument(
                format!("version {} of model \"{}\" predicts a quantity", base.number, base.model),
                Some("Probabilities alone are calibrated: models whose label is true, false, 1 or 0.".into()),
            ));
        }
        let weeks = self.unseen_weeks(&base, &parent)?;
        let before = std::mem::replace(&mut artifact.output, Output::Platt(Platt::IDENTITY));
        let read = self.rows(&base, &artifact, weeks)?;
        artifact.output = self.fitted(&read)?;
        let losses = self.losses(&before, &read.sample);
        let stored = self.store_as(&base, &parent, &artifact, &read, &losses)?;
        self.announce(&base, &read, &losses, &stored);
        Ok(stored.version)
    }

    /// The weeks that are asked for, as far as the version has not learned from them. The lineage knows that of its own
    /// source alone: rows of another relation are taken for new ones, and so are those of a version that was made elsewhere.
    fn unseen_weeks(&self, base: &VersionRow, parent: &Parent) -> Result<Weeks, Error> {
        let own = base.source.if_there(&base.model, pg_sys::AccessShareLock)?;
        if !parent.was_trained() || own.is_none_or(|(relation, _)| relation != self.source) {
            return Ok(self.weeks);
        }
        let unseen = parent.data.unseen_from().filter(|_| base.time_column.is_some());
        let Some(unseen) = unseen else { return Err(self.unknown_rows(base)?) };
        match self.weeks.from {
            Some(from) if from < unseen => Err(self.seen_rows(base, unseen)?),
            Some(_) => Ok(self.weeks),
            None => Ok(Weeks { from: Some(unseen), ..self.weeks }),
        }
    }

    fn unknown_rows(&self, base: &VersionRow) -> Result<Error, Error> {
        Ok(Error::InvalidArgument(
            format!(
                "it is not known which rows of {} version {} of model \"{}\" has learned from",
                qualified_name(self.source)?,
                base.number,
                base.model
            ),
            Some(
                "Name a table or a view of rows that it has not learned from; with a time column, training keeps the \
                 last weeks apart."
                    .into(),
            ),
        ))
    }

    fn seen_rows(&self, base: &VersionRow, unseen: i32) -> Result<Error, Error> {
        // SAFETY: the day was a date when the version was stored.
        let first = unsafe { pgrx::datum::Date::from_pg_epoch_days(unseen) };
        Ok(Error::InvalidArgument(
            format!(
                "version {} of model \"{}\" may have learned from rows of {} before {first}",
                base.number,
                base.model,
                qualified_name(self.source)?
            ),
            Some(
                "Leave from_week out: then the rows begin on the first day that it has not learned from."
                    .into(),
            ),
        ))
    }

    /// The numbers that the predictor puts out for the rows that have a label, read with the caller's rights.
    fn rows(&self, base: &VersionRow, artifact: &Artifact, weeks: Weeks) -> Result<Read, Error> {
        check_columns(&base.model, &artifact.recipe, self.source)?;
        let subject = Subject {
            model: None,
            version: None,
            source: self.source,
            label: self.label.clone(),
            by: self.day_column(base)?,
            weeks,
            by_day: true,
            deadline: None,
        };
        let query = EvaluationQuery::new(&subject, Slicing::By, base, &artifact.recipe, Task::Binary)?;
        let mut resolved = Resolved::unstored(base.clone(), Scorer::new(artifact)?);
        let (mut sample, mut newest) = (Sample::new(MOST_ROWS), None::<String>);
        Spi::connect(|_| {
            labelled_rows(&query, &mut resolved, None, |decoded, inputs, row, label| {
                let number = decoded.scorer.margin(&mut inputs.row);
                let number = decoded.number(if number.is_finite() { number } else { f64::NAN })?;
                sample.insert(number, label == 1.0);
                let Some(day) = query.slice.filter(|day| !row.nulls[*day]) else { return Ok(()) };
                let later =
                    |day: &str| newest.as_deref().is_none_or(|newest| newest < day).then(|| day.to_owned());
                // SAFETY: the layout of the query is checked, so that the slice is a text.
                let later = unsafe { values::with_text(Reader::Text, row.values[day], later) };
                newest = later.or(newest.take());
                Ok(())
            })
        })?;
        Ok(Read { sample, newest, source: query.source, label: query.label.name })
    }

    /// The version's time column, if the source has it as a date or a timestamp.
    fn day_column(&self, base: &VersionRow) -> Result<Option<String>, Error> {
        let relation = Relation::of(self.source)?;
        let is_day = |name: &&String| {
            let family = relation.type_of(name).and_then(values::reader_of).map(|(family, _)| family);
            matches!(family, Some(Family::Date | Family::Timestamp))
        };
        Ok(base.time_column.as_ref().filter(is_day).cloned())
    }

    fn fitted(&self, Read { sample, source, label, .. }: &Read) -> Result<Output, Error> {
        let (rows, positives, fewest) = (sample.rows, sample.positives, self.method.fewest());
        if (positives.min(rows - positives) as usize) < fewest {
            return Err(Error::Data {
                message: format!(
                    "{rows} rows of {source} can be calibrated on, of which {positives} are positive in column \"{label}\""
                ),
                hint: format!(
                    "The method {} needs {fewest} rows of each outcome that the version has not learned from: wait for \
                     more outcomes, or name another source.",
                    self.method.name()
                ),
            });
        }
        self.method.fit(&sample.numbers, &sample.labels).ok_or_else(|| Error::Data {
            message: format!("column \"{label}\" of {source} does not become more frequent with the scores"),
            hint: "A calibration keeps the ranking, which is wrong on these rows: see reco.evaluate(…)."
                .into(),
        })
    }

    fn losses(&self, before: &Output, Sample { numbers, labels, .. }: &Sample) -> Losses {
        Losses {
            before: loss_of(before, numbers, labels).unwrap_or(f64::NAN),
            after: held_out_loss(numbers, labels, |numbers, labels| self.method.fit(numbers, labels)),
        }
    }

    fn store_as(
        &self,
        base: &VersionRow,
        parent: &Parent,
        artifact: &Artifact,
        read: &Read,
        losses: &Losses,
    ) -> Result<StoredVersion, Error> {
        let bytes = artifact.to_bytes()?;
        let stored = store_version(&NewVersion {
            model: &self.model,
            action: "calibrated",
            run_id: None,
            algorithm: artifact.algorithm.name(),
            source: Some(&base.source).filter(|source| !source.is_empty()),
            keys: &base.keys,
            time_column: base.time_column.as_deref(),
            label: Some(base.label.as_deref().unwrap_or(&read.label)),
            parameters: parent.parameters.clone(),
            recipe: serde_json::to_string(&artifact.recipe)?,
            metrics: parent.importance(),
            data: self.data(base, parent, read, losses).to_string(),
            libraries: parent.libraries.clone(),
            seconds: self.began.elapsed().as_secs_f64(),
            artifact: &bytes.as_slice(),
            measured: None,
            profiles: &[],
            promote: self.promote,
        })?;
        copy_profiles(&self.model, base.number, stored.version)?;
        Ok(stored)
    }

    /// The lineage: that of the version, and what the calibration was fitted to. Its test rows are no longer rows that it has
    /// not seen.
    fn data(&self, base: &VersionRow, parent: &Parent, read: &Read, losses: &Losses) -> Value {
        let mut data = parent.data.all.clone();
        data.remove("test_from");
        let newest = read.newest.as_deref().and_then(|text| Some((text, Moment::parse(text)?)));
        if let Some(((text, newest), known)) = newest.zip(parent.data.time_to) {
            if newest.day > known.day {
                data.insert("time_to".into(), json!(text));
            }
        }
        let calibration = json!({
            "from_version": base.number, "method": self.method.name(), "source": read.source, "label": read.label,
            "rows": read.sample.rows, "positives": read.sample.positives, "newest": read.newest,
            "log_loss_before": losses.before, "log_loss_after": losses.after,
        });
        data.insert("calibration".into(), calibration);
        data.into()
    }

    fn announce(&self, base: &VersionRow, read: &Read, losses: &Losses, stored: &StoredVersion) {
        let Sample { rows, positives, .. } = read.sample;
        let after = losses.after.map_or("not known".to_owned(), |loss| format!("{loss:.4}"));
        say!(
            "{}: version {} is version {} calibrated ({}) on {rows} rows, {positives} of them positive: log loss {:.4}, \
             now {after}{}",
            self.model,
            stored.version,
            base.number,
            self.method.name(),
            losses.before,
            if stored.champion { ", champion" } else { "" }
        );
    }
}
