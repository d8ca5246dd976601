//! What the catalog holds of a view of new products, whose rows the library computes without running the definition. The
//! definition says what they are, and computes them where the library cannot.

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
}

impl Engine {
    /// `None` if the text is not the JSON of an engine.
    pub fn parse(json: &str) -> Option<Self> {
        let engine: Self = serde_json::from_str(json).ok()?;
        let is_possible = (1..=MOST_WEEKS_BACK).contains(&engine.launch_weeks)
            && (0..=MOST_WEEKS_BACK).contains(&engine.warm_up_weeks);
        is_possible.then_some(engine)
    }
}
