//! The columns of a table of plans: the SQL that makes features of each. `i` counts the columns of a table, `n` the tables.

use super::table::Table;
use crate::error::Error;
use crate::feature_view::engine::PlanColumn;
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// The features of a plan are named after its column: `category_NAME_lift` is the longest, with `NAME_weeks_since`.
const LONGEST_NAME: usize = pg_sys::NAMEDATALEN as usize - 1 - "category__lift".len();

/// A column of a table of plans.
pub struct Planned {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A boolean; its feature is the share of the region's stores for which it is true.
    Flag,
    /// A number from 0 to 1: how much of the region or of the week it is planned for.
    Share,
    /// Any other number, such as a price.
    Number,
}

impl Planned {
    /// It is an error if the table has no such column, or its type cannot be planned.
    pub fn of(table: &Table, name: String, is_share: bool) -> Result<Self, Error> {
        let argument = if is_share { "shares" } else { "columns" };
        let families: &[_] = if is_share { &[Family::Number] } else { &[Family::Boolean, Family::Number] };
        table.check(&name, argument, families)?;
        if name.len() > LONGEST_NAME {
            return Err(Error::invalid(format!(
                "the name of a planned column has at most {LONGEST_NAME} bytes, since its features' names are longer; \
                 \"{name}\" has {}",
                name.len()
            )));
        }
        let kind = match table.family(&name) {
            Some(Family::Boolean) => Kind::Flag,
            _ if is_share => Kind::Share,
            _ => Kind::Number,
        };
        Ok(Self { name, kind })
    }

    /// The name of the feature that holds what is planned.
    pub fn feature(&self) -> String {
        format!("planned_{}", self.name)
    }

    pub fn has_history(&self) -> bool {
        self.kind != Kind::Number
    }

    /// How the library computes its features.
    pub fn engine(&self) -> PlanColumn {
        PlanColumn { is_share: self.has_history(), features: self.names() }
    }

    pub fn value(&self, i: usize) -> String {
        let column = quote_identifier(&self.name);
        match self.kind {
            Kind::Flag => format!("bool_or(p.{column})::integer::float8 AS value_{i}"),
            Kind::Share => {
                format!("(avg(p.{column}) FILTER (WHERE p.{column} BETWEEN 0 AND 1))::float8 AS value_{i}")
            }
            Kind::Number => format!("avg(p.{column})::float8 AS value_{i}"),
        }
    }

    /// Stores of a region without a plan count as those with none; they have no price. Other places have one value each.
    pub fn planned(&self, i: usize, of_stores: bool) -> String {
        match (self.kind, of_stores) {
            (Kind::Flag | Kind::Share, true) => {
                format!("(sum(p.value_{i}) / max(here.stores))::real AS value_{i}")
            }
            (Kind::Number, true) => format!("avg(p.value_{i})::real AS value_{i}"),
            _ => format!("p.value_{i}::real AS value_{i}"),
        }
    }

    /// The condition that a row's share is one; `None` if the column is none.
    pub fn is_share_in_range(&self) -> Option<String> {
        let column = quote_identifier(&self.name);
        (self.kind == Kind::Share).then(|| format!("coalesce(p.{column} BETWEEN 0 AND 1, true)"))
    }

    fn if_history(&self, text: impl FnOnce() -> String) -> String {
        if self.has_history() {
            text()
        } else {
            String::new()
        }
    }

    pub fn since(&self, i: usize) -> String {
        self.if_history(|| {
            format!("((c.week - max(p.week) FILTER (WHERE p.value_{i} > 0)) / 7)::real AS since_{i}")
        })
    }

    pub fn of_sale(&self, i: usize) -> String {
        self.if_history(|| format!("coalesce(p.value_{i}, 0) > 0 AS has_{i}"))
    }

    /// Sums are those of summaries, which do not depend on the order of the rows.
    pub fn sold(&self, i: usize) -> String {
        let of = |which: &str, condition: &str| {
            format!(
                "reco.sales_summary(s.quantity, {{no_more}}) FILTER (WHERE {condition}s.has_{i}) AS {which}_{i}, \
                 count(*) FILTER (WHERE {condition}s.has_{i}) AS times_{which}_{i}"
            )
        };
        self.if_history(|| format!("{}, {}", of("with", ""), of("without", "NOT ")))
    }

    /// The mean quantity of the weeks with a plan over that of the others.
    pub fn lift(&self, i: usize) -> String {
        let mean = |what: &str| {
            format!(
                "reco.total_sales(reco.rollup(s.{what}_{i})) / nullif(sum(s.times_{what}_{i}), 0)::float8"
            )
        };
        self.if_history(|| format!("({} / nullif({}, 0))::real AS lift_{i}", mean("with"), mean("without")))
    }

    pub fn features(&self, n: usize, i: usize) -> String {
        let values = match self.has_history() {
            false => vec![format!("p{n}.value_{i}"), format!("p{n}_now.value_{i}")],
            true => vec![
                format!("coalesce(p{n}.value_{i}, 0)::real"),
                format!("coalesce(p{n}_now.value_{i}, 0)::real"),
                format!("p{n}_since.since_{i}"),
                format!("p{n}_product.lift_{i}"),
                format!("p{n}_category.lift_{i}"),
                format!("p{n}_region.lift_{i}"),
            ],
        };
        let named = values.iter().zip(self.names());
        named
            .map(|(value, name)| format!("{value} AS {}", quote_identifier(name)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The names of the features, in order.
    pub fn names(&self) -> Vec<String> {
        let name = &self.name;
        let mut names = vec![self.feature(), format!("planned_{name}_1w")];
        if self.has_history() {
            names.extend([
                format!("{name}_weeks_since"),
                format!("{name}_lift"),
                format!("category_{name}_lift"),
                format!("region_{name}_lift"),
            ]);
        }
        names
    }

    pub fn abouts(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Number => &["Planned for the week after; NULL where nothing is", "What was planned for this week"],
            _ => &[
                "Planned for the week after: the share of the region, 0 where nothing is",
                "What was planned for this week",
                "Weeks since it was planned last in the region, 0: for this week; NULL if not in 13 weeks",
                "Mean quantity of the product in weeks with it over that in the others, 13 weeks, weeks with sales",
                "The same of the category in the region",
                "The same of all products in the region",
            ],
        }
    }
}
