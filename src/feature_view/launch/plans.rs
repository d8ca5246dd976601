//! Tables of plans: what is known of a week before it begins, such as promotions and prices. Their columns become features of
//! the week that the label looks at, and history.

use super::planned::Planned;
use super::sql::{days, substitute};
use super::table::{comparable, Table};
use crate::error::Error;
use crate::feature_view::create::describe;
use crate::feature_view::engine::PlanTable;
use features::launch::{HORIZON, QUARTER};
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};
use serde::Deserialize;

const PLAN: &str = include_str!("plan.sql");
const CHECKS: &str = include_str!("plan_checks.sql");
const JOINS: &str = include_str!("plan_joins.sql");
const HISTORY: &str = include_str!("plan_history.sql");
const HISTORY_JOINS: &str = include_str!("plan_history_joins.sql");

/// One table of plans, as the caller describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    table: String,
    product_id: Option<String>,
    store_id: Option<String>,
    region: Option<String>,
    week: Option<String>,
    from: Option<String>,
    until: Option<String>,
    known_at: Option<String>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    shares: Vec<String>,
}

/// The tables of the template that plans are joined with, and the names of its keys, which are also the plans' unless they say
/// otherwise.
pub struct Template<'a> {
    pub sales: &'a Table,
    pub stores: &'a Table,
    pub product_id: &'a str,
    pub store_id: &'a str,
    pub region: &'a str,
    /// The first plausible day, and the one after the last.
    pub days: [&'a str; 2],
}

impl Template<'_> {
    /// The region of the row `t` of stores, as text.
    fn region_of_store(&self) -> String {
        self.stores.text(&format!("t.{}", quote_identifier(self.region)), self.region)
    }
}

/// A table of plans whose columns were checked.
pub struct Plan {
    table: Table,
    product_id: String,
    place: Place,
    time: Time,
    known_at: Option<String>,
    columns: Vec<Planned>,
}

/// What a row of the table is about, besides its product.
enum Place {
    Store(String),
    Region(String),
    Everywhere,
}

enum Time {
    /// A day of the planned week.
    Week(String),
    /// The first and the last day; an end that is NULL is open.
    Days(String, String),
}

/// Tables have room for so many columns.
const MOST_PLANS: usize = 32;

/// Reads the argument `plans`, an object or an array of objects.
pub fn read(plans: serde_json::Value, template: &Template) -> Result<Vec<Plan>, Error> {
    let list = match plans {
        serde_json::Value::Array(list) => list,
        serde_json::Value::Null => Vec::new(),
        one => vec![one],
    };
    if list.len() > MOST_PLANS {
        return Err(Error::invalid(format!("plans names {} tables; {MOST_PLANS} is the most", list.len())));
    }
    list.into_iter().map(|plan| Plan::open(Description::parse(plan)?, template)).collect()
}

impl Description {
    fn parse(plan: serde_json::Value) -> Result<Self, Error> {
        let unreadable = |why: String| {
            Error::InvalidArgument(
                format!("plans cannot be read: {why}"),
                Some("For example: plans => '{\"table\": \"promotions\", \"columns\": [\"display\", \"price\"]}'".into()),
            )
        };
        if !plan.is_object() {
            return Err(unreadable("each of them is an object".into()));
        }
        serde_json::from_value(plan).map_err(|error| unreadable(error.to_string()))
    }
}

impl Plan {
    fn open(described: Description, template: &Template) -> Result<Self, Error> {
        let table = Table::open(relation(&described.table)?)?;
        let plan = Self {
            product_id: described.product_id.unwrap_or_else(|| template.product_id.to_owned()),
            place: Place::of(&table, described.store_id, described.region, template)?,
            time: Time::of(&table, described.week, described.from, described.until)?,
            known_at: described.known_at,
            columns: Vec::new(),
            table,
        };
        let named = described.columns.into_iter().map(|name| (name, false));
        let columns = named.chain(described.shares.into_iter().map(|name| (name, true)));
        let columns = columns
            .map(|(name, is_share)| Planned::of(&plan.table, name, is_share))
            .collect::<Result<Vec<_>, _>>()?;
        plan.check(template)?;
        if columns.is_empty() {
            return Err(Error::InvalidArgument(
                format!("plans names no column of {}", plan.table.name()),
                Some(plan.table.columns_hint()),
            ));
        }
        Ok(Self { columns, ..plan })
    }

    fn check(&self, template: &Template) -> Result<(), Error> {
        let moment: &[_] = &[Family::Date, Family::Timestamp];
        let table = &self.table;
        table.check(&self.product_id, "product_id", &[])?;
        comparable((template.sales, template.product_id), (table, &self.product_id), "product_id")?;
        match &self.place {
            Place::Store(store) => {
                table.check(store, "store_id", &[])?;
                comparable((template.stores, template.store_id), (table, store), "store_id")?;
            }
            Place::Region(region) => table.check(region, "region", &[])?,
            Place::Everywhere => {}
        }
        match &self.time {
            Time::Week(week) => table.check(week, "week", moment)?,
            Time::Days(from, until) => {
                table.check(from, "from", moment)?;
                table.check(until, "until", moment)?;
            }
        }
        self.known_at.iter().try_for_each(|known| table.check(known, "known_at", moment))
    }

    /// The names of the features that hold what is planned.
    pub fn planned_columns(&self) -> impl Iterator<Item = String> + '_ {
        self.columns.iter().map(Planned::feature)
    }

    fn has_history(&self) -> bool {
        self.columns.iter().any(Planned::has_history)
    }

    /// The steps of the query that compute the features. `n` counts the tables of plans, `zone` is a quoted time zone, and
    /// `values` are those of the template.
    pub fn steps(&self, n: usize, template: &Template, zone: &str, values: &[(&str, String)]) -> String {
        let everywhere =
            ("r.region", "CROSS JOIN (SELECT DISTINCT region FROM {weekly} WHERE week <= $2) AS r");
        let own = [
            ("{n}", n.to_string()),
            ("{plan}", self.query(everywhere, template, zone, values)),
            ("{since}", self.list(Planned::since)),
            ("{of_sale}", self.list(Planned::of_sale)),
            ("{sold}", substitute(&self.list(Planned::sold), values)),
            ("{lift}", self.list(Planned::lift)),
        ];
        let all: Vec<_> = own.into_iter().chain(values.iter().cloned()).collect();
        let history = if self.has_history() { HISTORY } else { "" };
        substitute(&format!(", plan_{{n}} AS MATERIALIZED (\n{{plan}})\n{history}"), &all)
    }

    /// How the library computes the features.
    pub fn engine(&self, template: &Template, zone: &str, values: &[(&str, String)]) -> PlanTable {
        PlanTable {
            query: self.query(("NULL::text", ""), template, zone, values),
            columns: self.columns.iter().map(Planned::engine).collect(),
        }
    }

    /// The query for what is planned. `everywhere` says which region a plan for all of them has, and what gives it.
    fn query(
        &self,
        everywhere: (&str, &str),
        template: &Template,
        zone: &str,
        values: &[(&str, String)],
    ) -> String {
        let stores = template.stores.name();
        let store_id = quote_identifier(template.store_id);
        let region_of_store = template.region_of_store();
        let (place, region, places) = match &self.place {
            Place::Store(store) => (
                format!("p.{}", quote_identifier(store)),
                region_of_store.clone(),
                format!(
                    "JOIN {stores} AS t ON t.{store_id} = p.place \
                     JOIN (SELECT {region_of_store} AS region, count(t.{store_id})::float8 AS stores FROM {stores} AS t GROUP BY 1) AS here \
                     ON here.region = {region_of_store} GROUP BY 1, 2, 3"
                ),
            ),
            Place::Region(region) => {
                (self.text(region), "p.place".to_owned(), "WHERE p.place IS NOT NULL".to_owned())
            }
            Place::Everywhere => {
                let (region, given) = everywhere;
                ("NULL::text".to_owned(), region.to_owned(), substitute(given, values))
            }
        };
        let own = [
            ("{table}", self.table.name()),
            ("{product_id}", quote_identifier(&self.product_id)),
            ("{place}", place),
            ("{region}", region),
            ("{places}", places),
            ("{in_week}", self.in_week(zone)),
            ("{known}", self.known(zone)),
            ("{values}", self.list(Planned::value)),
            ("{planned}", self.list(|column, i| column.planned(i, matches!(self.place, Place::Store(_))))),
        ];
        let all: Vec<_> = own.into_iter().chain(values.iter().cloned()).collect();
        substitute(PLAN, &all)
    }

    /// The condition that a row of the table was known before the week `w`.
    fn known(&self, zone: &str) -> String {
        let moment =
            |column: &str| self.table.moment(&format!("p.{}", quote_identifier(column)), column, zone);
        match &self.known_at {
            // A day is over when the next one begins.
            Some(column) if self.table.family(column) == Some(Family::Date) => {
                format!("{} < w.week", moment(column))
            }
            Some(column) => format!("{} <= w.week", moment(column)),
            None => "true".to_owned(),
        }
    }

    /// Whether an id of the plan's is one of the view's products without a loss: `listed` and `sold` are where these are from.
    pub fn has_ids_of(&self, sold: (&Table, &str), listed: (&Table, &str)) -> Result<bool, Error> {
        let id = |(table, column): (&Table, &str)| {
            format!("(SELECT t.{} FROM {} AS t LIMIT 1)", quote_identifier(column), table.name())
        };
        let ids = format!("{}, {}", id(sold), id(listed));
        let planned = id((&self.table, &self.product_id));
        let both = format!("SELECT coalesce({ids}) AS known, coalesce({ids}, {planned}) AS planned");
        let columns = describe(&both, "query for products")?;
        Ok(matches!(columns.as_slice(), [known, planned] if known.sql_type() == planned.sql_type()))
    }

    /// The condition that a row of the table is a plan of a week that a label or a row from $1 to $2 looks at.
    fn in_weeks(&self, zone: &str) -> String {
        let column = |name: &str| format!("p.{}", quote_identifier(name));
        let [first, end] = ["$1".to_owned(), format!("($2 + {})", days(2 * HORIZON))];
        match &self.time {
            Time::Week(name) => {
                let [first, end] = [first, end].map(|day| self.table.instant(&day, name, zone));
                format!("({0} >= {first} AND {0} < {end})", column(name))
            }
            Time::Days(from, until) => {
                let [begins, ends] = [from, until].map(|name| self.table.moment(&column(name), name, zone));
                format!("(coalesce({begins} < {end}, true) AND coalesce({ends} >= {first}, true))")
            }
        }
    }

    /// The condition that a row of the table is a plan of the week `w`. Days are also compared as they are stored, so that an
    /// index on them can be used, and none that is infinite gets as far as its week.
    fn in_week(&self, zone: &str) -> String {
        let column = |name: &str| format!("p.{}", quote_identifier(name));
        match &self.time {
            Time::Week(name) => {
                let [first, end] =
                    [format!("($1 - {})", days(QUARTER - 1)), format!("($2 + {})", days(2 * HORIZON))];
                let [first, end] = [first, end].map(|day| self.table.instant(&day, name, zone));
                let moment = self.table.moment(&column(name), name, zone);
                format!("w.week = reco.week({moment}) AND {0} >= {first} AND {0} < {end}", column(name))
            }
            Time::Days(from, until) => {
                let begins = self.table.moment(&column(from), from, zone);
                let ends = self.table.moment(&column(until), until, zone);
                // A day lasts until the next one begins.
                let day =
                    if self.table.family(until) == Some(Family::Date) { " + interval '1 day'" } else { "" };
                format!(
                    "coalesce({begins}, '-infinity') < w.week + 7 AND coalesce({ends}{day}, 'infinity') > w.week \
                     AND coalesce({begins} < {ends}{day}, true)"
                )
            }
        }
    }

    fn text(&self, column: &str) -> String {
        self.table.text(&format!("p.{}", quote_identifier(column)), column)
    }

    /// The checks of the table, each after a UNION ALL.
    pub fn checks(&self, template: &Template, zone: &str, values: &[(&str, String)]) -> String {
        let column = |name: &str| format!("p.{}", quote_identifier(name));
        let listed =
            |of: &str, from: String| format!("(SELECT {of} FROM {from} AS t WHERE {of} IS NOT NULL)");
        let (stores, region) = (template.stores.name(), template.region_of_store());
        let store_id = format!("t.{}", quote_identifier(template.store_id));
        let place = match &self.place {
            Place::Store(store) => format!("{} IN {}", column(store), listed(&store_id, stores)),
            Place::Region(name) => format!("{} IN {}", self.text(name), listed(&region, stores)),
            Place::Everywhere => "true".to_owned(),
        };
        let time = match &self.time {
            Time::Week(name) => self.table.is_between(&column(name), name, template.days, zone),
            Time::Days(from, until) => format!("coalesce({} <= {}, true)", column(from), column(until)),
        };
        let known =
            self.known_at.as_ref().map_or("true".to_owned(), |name| format!("{} IS NOT NULL", column(name)));
        let shares = self.columns.iter().filter_map(Planned::is_share_in_range);
        let own = [
            ("{table}", self.table.name()),
            ("{table_name}", quote_literal(self.table.name())),
            ("{product_id}", quote_identifier(&self.product_id)),
            ("{listed_id}", quote_identifier(template.product_id)),
            ("{in_weeks}", self.in_weeks(zone)),
            ("{has_time}", time.clone()),
            ("{usable}", [place, time, known].into_iter().chain(shares).collect::<Vec<_>>().join(" AND ")),
        ];
        let all: Vec<_> = own.into_iter().chain(values.iter().cloned()).collect();
        substitute(CHECKS, &all)
    }

    /// What the steps are joined by.
    pub fn joins(&self, n: usize, values: &[(&str, String)]) -> String {
        let history = if self.has_history() { HISTORY_JOINS } else { "" };
        let own = [("{n}", n.to_string())];
        let all: Vec<_> = own.into_iter().chain(values.iter().cloned()).collect();
        substitute(&format!("{JOINS}{history}"), &all)
    }

    /// The features, each after a comma.
    pub fn features(&self, n: usize) -> String {
        self.list(|column, i| column.features(n, i))
    }

    fn list(&self, written: impl Fn(&Planned, usize) -> String) -> String {
        let all = self.columns.iter().enumerate().map(|(i, column)| written(column, i));
        all.filter(|text| !text.is_empty()).map(|text| format!(", {text}")).collect()
    }

    /// What the features are, for people.
    pub fn comments(&self) -> Vec<(String, &'static str)> {
        let columns = self.columns.iter();
        columns.flat_map(|column| column.names().into_iter().zip(column.abouts().iter().copied())).collect()
    }
}

impl Place {
    fn of(
        table: &Table,
        store_id: Option<String>,
        region: Option<String>,
        template: &Template,
    ) -> Result<Self, Error> {
        match (store_id, region) {
            (Some(_), Some(_)) => {
                Err(Error::invalid("plans are of stores or of regions: name one of store_id and region"))
            }
            (Some(store), None) => Ok(Self::Store(store)),
            (None, Some(region)) => Ok(Self::Region(region)),
            (None, None) if table.has(template.store_id) => Ok(Self::Store(template.store_id.to_owned())),
            (None, None) if table.has(template.region) => Ok(Self::Region(template.region.to_owned())),
            (None, None) => Ok(Self::Everywhere),
        }
    }
}

impl Time {
    fn of(
        table: &Table,
        week: Option<String>,
        from: Option<String>,
        until: Option<String>,
    ) -> Result<Self, Error> {
        match (week, from, until) {
            (Some(week), None, None) => Ok(Self::Week(week)),
            (None, Some(from), Some(until)) => Ok(Self::Days(from, until)),
            (None, None, None) if table.has("week") => Ok(Self::Week("week".into())),
            _ => Err(Error::InvalidArgument(
                format!("plans do not say when those of {} are", table.name()),
                Some("Name the column week, or both from and until.".into()),
            )),
        }
    }
}

/// The relation with this name, as SQL would find it.
fn relation(name: &str) -> Result<pg_sys::Oid, Error> {
    let found = Spi::get_one_with_args::<pg_sys::Oid>(
        "SELECT pg_catalog.to_regclass($1)::pg_catalog.oid",
        &[name.into()],
    )?;
    found.ok_or_else(|| Error::invalid(format!("plans names the table {name}, which does not exist")))
}
