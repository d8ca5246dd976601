//! The inputs of a feature view's rows where the caller names none: its regions are few and each has a taste of its own, and
//! its season says nothing until it comes again.

use crate::error::Error;
use crate::feature_view::registry::FeatureView;
use crate::pg::relations::Column;
use crate::pg::values;
use model::recipe::Family;
use model::Params;

/// The columns of `create_launch_features` that tell the time of the year.
const SEASON: [&str; 2] = ["season_sin", "season_cos"];
/// With fewer weeks the time of the year is hardly more than the date: what was learned of one spring has met no other.
const WEEKS_OF_TWO_YEARS: i32 = 104;

/// What a feature view decides. Without a view it is nothing.
#[derive(Default)]
pub struct ViewInputs {
    /// The region, if it is an input though it is a key.
    region: Option<String>,
    /// Columns that are no inputs.
    left_out: Vec<String>,
}

impl ViewInputs {
    /// What the caller includes or excludes by name stays as the caller has it.
    pub fn of(
        view: Option<&FeatureView>,
        columns: &[Column],
        keys: &[String],
        params: &Params,
    ) -> Result<Self, Error> {
        let Some(view) = view else { return Ok(Self::default()) };
        let is_wanted_text = |column: &&Column| {
            matches!(values::reader_of(column.type_oid), Some((Family::Text, _)))
                && !params.exclude.contains(&column.name)
        };
        let region = match keys {
            [_, region] => columns.iter().find(|column| column.name == *region).filter(is_wanted_text),
            _ => None,
        };
        let is_chosen =
            |name: &str| params.include.iter().chain(&params.exclude).any(|chosen| chosen == name);
        let season = columns.iter().map(|column| &column.name).filter(|name| SEASON.contains(&name.as_str()));
        let mut left_out: Vec<String> = season.filter(|name| !is_chosen(name)).cloned().collect();
        if !left_out.is_empty() && covers_two_years(view)? {
            left_out.clear();
        }
        Ok(Self { region: region.map(|column| column.name.clone()), left_out })
    }

    pub fn includes(&self, name: &str) -> bool {
        self.region.as_deref() == Some(name)
    }

    pub fn leaves_out(&self, name: &str) -> bool {
        self.left_out.iter().any(|left_out| left_out == name)
    }

    /// Tells the client what was left out, and why.
    pub fn tell(&self, model: &str) {
        if !self.left_out.is_empty() {
            say!(
                "{model}: no inputs, since fewer than two years of weeks cannot tell the season from the date: {}",
                self.left_out.join(", ")
            );
        }
    }
}

fn covers_two_years(view: &FeatureView) -> Result<bool, Error> {
    let weeks = view.filled_weeks()?;
    let span = weeks.first().zip(weeks.last()).map_or(0, |(first, last)| last.since(*first));
    Ok(span >= WEEKS_OF_TWO_YEARS)
}
