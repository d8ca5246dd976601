//! What the catalog holds of a view of new products, whose rows the library computes without running the definition. The
//! definition says what they are, and computes them where the library cannot.

use features::launch::{Planned, Plans};
use features::weeks::MOST_WEEKS_BACK;
use serde::{Deserialize, Serialize};

/// Besides this the view has the weekly sales as its first input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Query for the products that are listed: `product_id`, `planned`, the week of its launch, `category`, and the
    /// attributes as `attribute_0` and so on.
    pub products: String,
    /// The view's columns that hold the attributes.
    pub attributes: Vec<String>,
    pub launch_weeks: i32,
    pub warm_up_weeks: i32,
    /// The tables of plans.
    #[serde(default)]
    pub plans: Vec<PlanTable>,
}

/// A table of plans.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanTable {
    /// Query with the first week ($1) and the last ($2) as parameters for what is planned: `product_id`, `region`, which is
    /// NULL for all of them, `week`, and a value for each column as `value_0` and so on.
    pub query: String,
    pub columns: Vec<PlanColumn>,
}

/// A column of a table of plans.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanColumn {
    pub is_share: bool,
    /// The view's columns that hold its features.
    pub features: Vec<String>,
}

impl PlanColumn {
    fn kind(&self) -> Planned {
        match self.is_share {
            true => Planned::Share,
            false => Planned::Number,
        }
    }
}

impl Engine {
    /// `None` if the text is not the JSON of an engine.
    pub fn parse(json: &str) -> Option<Self> {
        let engine: Self = serde_json::from_str(json).ok()?;
        let mut planned = engine.plans.iter().flat_map(|table| &table.columns);
        let is_possible = (1..=MOST_WEEKS_BACK).contains(&engine.launch_weeks)
            && (0..=MOST_WEEKS_BACK).contains(&engine.warm_up_weeks)
            && planned.all(|column| column.features.len() == column.kind().features());
        is_possible.then_some(engine)
    }

    /// The columns of the tables of plans.
    pub fn plans(&self) -> Plans {
        let tables = self.plans.iter();
        Plans(tables.map(|table| table.columns.iter().map(PlanColumn::kind).collect()).collect())
    }

    /// The view's columns that hold features of plans, in the order of the tables and their columns.
    pub fn planned_features(&self) -> impl Iterator<Item = &str> {
        self.plans
            .iter()
            .flat_map(|table| &table.columns)
            .flat_map(|column| &column.features)
            .map(String::as_str)
    }
}
