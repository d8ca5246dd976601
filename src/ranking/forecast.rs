//! The function `reco.forecast_products(region)`: for each product of a region, the probability that it is bought and the
//! expected units. `reco.forecast(region)` in sql/ranking.sql adds them up.

use super::newest::{newest_rows, Filling, Made};
use super::query::{Id, Of, RankingQuery, Wanted};
use crate::catalog::read::{self, VersionRow};
use crate::catalog::rights::{self, Privilege};
use crate::catalog::CHAMPION;
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::row_set::RowSet;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::tuples::Attributes;
use crate::pg::values::{with_text, Reader};
use crate::scoring::call::Resolved;
use crate::scoring::key_plan::recipe_columns;
use crate::scoring::model_cache::Decoded;
use crate::scoring::source::{Key, Source};
use model::Task;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::spi::quote_identifier;
use pgrx::{pg_sys, IntoDatum, Spi};

sql_function!(forecast_products, forecast_products);

/// (region text, model text, units_model text, by name, as_of date, version integer, units_version integer, plan
/// jsonb)
fn forecast_products(call: &Call) -> Returned {
    let mut rows = RowSet::begin(call)?;
    let Some(region) = call.datum(0) else { return Ok(None) };
    let wanted = Wanted {
        of: Of::ProductsOfRegion,
        given: (Key::Text, region),
        as_of: call.datum(4),
        candidates: None,
        plan: call.datum(7),
    };
    let (model, units) = (call.text(1), call.text(2));
    let (version, units_version) = (call.integer(5), call.integer(6));
    let models = Models::new(model.as_deref(), version, units.as_deref(), units_version)?;
    let by = call.name(3);
    // The memory context for the texts of a row. It is reset after each row.
    let mut scratch = PgMemoryContexts::new("pg_recommend forecast");
    models.forecast(by.as_deref(), &wanted, |product, forecast| {
        // SAFETY: the set copies the row, and nothing else lies in this memory context.
        unsafe {
            let put = scratch.switch_to(|_| rows.put(&fields(product, forecast)));
            scratch.reset();
            put
        }
    })?;
    Ok(None)
}

/// The fields of a row: product_id, category, week, probability, units, units_p10, units_p90.
fn fields(product: Id, forecast: Forecast) -> [Option<pg_sys::Datum>; 7] {
    let quantile = |n: usize| forecast.quantiles.map(|quantiles| quantiles[n]).into_datum();
    [
        product.to_string().into_datum(),
        forecast.category.as_deref().into_datum(),
        forecast.week,
        forecast.probability.into_datum(),
        forecast.units.into_datum(),
        quantile(0),
        quantile(2),
    ]
}

/// The forecast of a product.
#[derive(Default)]
struct Forecast {
    category: Option<Box<str>>,
    /// The Monday of the week of the product's newest row, as a date.
    week: Option<pg_sys::Datum>,
    probability: f64,
    units: Option<f64>,
    quantiles: Option<[f64; 3]>,
}

impl Made for Forecast {
    fn heap_bytes(&self) -> usize {
        self.category.as_ref().map_or(0, |category| category.len())
    }
}

/// The versions that a forecast is made with. Both score the same rows.
struct Models {
    probability: Resolved,
    units: Option<Resolved>,
}

impl Models {
    fn new(
        model: Option<&str>,
        version: Option<i32>,
        units: Option<&str>,
        units_version: Option<i32>,
    ) -> Result<Self, Error> {
        let probability = Resolved::serving(model, version)?;
        let of = &probability.decoded.version;
        if task(&probability) != Task::Binary {
            return Err(Error::InvalidArgument(
                format!("model \"{}\" predicts a quantity, not a probability", of.model),
                Some("Name it as units_model, and as model one whose label is true or false.".into()),
            ));
        }
        let units = match units {
            Some(name) => Some(Resolved::serving(Some(name), units_version)?),
            None if units_version.is_some() => {
                return Err(Error::invalid("units_version is that of a units_model, but none is named"))
            }
            None => units_of_the_same_rows(of)?,
        };
        if let Some(units) = &units {
            check_units(of, units)?;
        }
        Ok(Self { probability, units })
    }

    /// Calls `take` with each wanted product and its forecast. `by` is the source's column with the categories.
    fn forecast(
        self,
        by: Option<&str>,
        wanted: &Wanted,
        mut take: impl FnMut(Id, Forecast) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let decoded = self.probability.decoded.clone();
        let mut columns = recipe_columns(decoded.scorer.recipe());
        if let Some(units) = &self.units {
            let more = recipe_columns(units.decoded.scorer.recipe());
            let new: Vec<_> = more.into_iter().filter(|column| !columns.contains(column)).collect();
            columns.extend(new);
        }
        for resolved in [Some(&self.probability), self.units.as_ref()].into_iter().flatten() {
            let Decoded { version, scorer, .. } = &*resolved.decoded;
            Source::find(version)?.check(version, scorer.recipe())?;
        }
        let position = columns.len();
        columns.extend([week(&decoded.version), category(&decoded.version, by)?]);
        // SAFETY: the plan is a jsonb.
        let filling = |resolved| unsafe { Filling::new(resolved, wanted.plan) };
        let (mut probability, mut units) = (filling(self.probability)?, self.units.map(filling).transpose()?);
        // SAFETY: all rows of the query have this descriptor, and the query casts the category to text.
        let make = |descriptor, row: Attributes| unsafe {
            let units = units.as_mut().map(|units| units.fill(descriptor, row)).transpose()?;
            let (units, quantiles) = match units {
                Some(units) => {
                    let quantiles = units.decoded.quantiles(&mut units.inputs.row)?;
                    (Some(units.score()?), quantiles)
                }
                None => (None, None),
            };
            let value = |n: usize| (!row.nulls[n]).then_some(row.values[n]);
            let text = |datum| with_text(Reader::Text, datum, |text| text.into());
            Ok(Forecast {
                category: value(position + 1).map(text),
                week: value(position),
                probability: probability.fill(descriptor, row)?.score()?,
                units,
                quantiles,
            })
        };
        // The rows come in the order of the products, so that equal calls give equal sums.
        let query = RankingQuery::of_expressions(&decoded.version, columns, wanted)?;
        Spi::connect(|client| newest_rows(client, &query, make, &mut take))
    }
}

fn task(resolved: &Resolved) -> Task {
    resolved.decoded.scorer.task()
}

/// The model of quantities that belongs to a version: the only regression that has the same owner, whose champion was
/// trained on the same rows, and with which the caller may score. Models of other owners are never taken. A fault of
/// another model is no error here: then there are no units.
fn units_of_the_same_rows(of: &VersionRow) -> Result<Option<Resolved>, Error> {
    let owner = read::model_owner(&of.model)?;
    let mut found = Vec::new();
    for name in read::model_names()? {
        if name == of.model || read::model_owner(&name)? != owner {
            continue;
        }
        let champion = read::version_of_alias(&name, CHAMPION).and_then(|champion| {
            let task = read::task(&name, champion.version).ok().flatten();
            Ok((read::version(&name, champion.version)?, task))
        });
        match champion {
            Ok((version, task)) => {
                // If the task is not known, the decoded weights tell it below.
                let is_of_these = task != Some(Task::Binary) && are_of_the_same_rows(of, &version);
                if is_of_these && rights::may(&name, Privilege::Score)? {
                    found.push((name, version.number, task));
                }
            }
            Err(error) => whisper!("no units of model \"{name}\": {error}"),
        }
    }
    let unknown = found.iter().any(|(.., task)| task.is_none());
    let mut resolved = Vec::new();
    if unknown || found.len() == 1 {
        for (name, version, _) in found.drain(..) {
            match Resolved::new(Some(&name), Some(version)) {
                Ok(units) if task(&units) == Task::Regression => resolved.push(units),
                Ok(_) => {}
                Err(error) => warn!("there are no units in the forecast of model \"{}\": {error}", of.model),
            }
        }
    }
    let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
    let names: Vec<&str> = match names.is_empty() {
        true => resolved.iter().map(|units| units.decoded.version.model.as_str()).collect(),
        false => names,
    };
    if names.len() > 1 {
        return Err(Error::InvalidArgument(
            format!("there are {} models of quantities of the rows of \"{}\"", names.len(), of.model),
            Some(format!("Say which is meant with units_model: {}.", names.join(", "))),
        ));
    }
    Ok(resolved.pop())
}

fn are_of_the_same_rows(one: &VersionRow, other: &VersionRow) -> bool {
    one.source == other.source && one.keys == other.keys && one.time_column == other.time_column
}

fn check_units(of: &VersionRow, units: &Resolved) -> Result<(), Error> {
    let version = &units.decoded.version;
    if task(units) != Task::Regression {
        return Err(Error::InvalidArgument(
            format!("model \"{}\" predicts a probability, not a quantity", version.model),
            Some("units_model is one whose label is a quantity, such as units sold.".into()),
        ));
    }
    if !are_of_the_same_rows(of, version) {
        return Err(Error::InvalidArgument(
            format!("models \"{}\" and \"{}\" are not of the same rows", of.model, version.model),
            Some("Train both from the same relation, with the same keys and time column.".into()),
        ));
    }
    Ok(())
}

/// SQL for the Monday of a row's week.
fn week(version: &VersionRow) -> String {
    let Some(time) = &version.time_column else { return "NULL::pg_catalog.date".into() };
    format!(
        "pg_catalog.date_trunc('week', t.{}::pg_catalog.date::pg_catalog.timestamp)::pg_catalog.date",
        quote_identifier(time)
    )
}

/// SQL for a row's category.
fn category(version: &VersionRow, by: Option<&str>) -> Result<String, Error> {
    let Some(by) = by else { return Ok("NULL::pg_catalog.text".into()) };
    let source = Source::find(version)?;
    match source.relation.type_of(by) {
        Some(_) => Ok(format!("t.{}::pg_catalog.text", quote_identifier(by))),
        None => Err(Error::UndefinedColumn {
            message: format!("column \"{by}\" does not exist in {}", source.relation.name),
            hint: "by names the column of the products' categories.".into(),
        }),
    }
}
