//! Files that we wrote: the artifact that one carries is taken as it is, once its graph has given the same scores.

use super::compare::{self, Inputs};
use super::error::{refuse, ImportError, Result};
use super::graph::{Graph, Input};
use super::tensor::Kind;
use super::units::Column;
use super::work::Work;
use crate::export::NULL_TEXT;
use model::conversion::Conversion;
use model::protocol::Comparison;
use model::recipe::{self, Recipe};
use model::transform::Transform;
use model::Artifact;

/// An error where the graph has other inputs or other scores than the artifact, or where the caller says what the file says itself.
pub fn check(graph: &Graph, artifact: &Artifact, conversion: &Conversion, work: &Work) -> Result<Comparison> {
    if conversion.names.is_some() || conversion.output.is_some() {
        return Err(ImportError::hinted(
            "the file was exported here, and says itself what its columns and its output are",
            "Leave the arguments columns and output out.",
        ));
    }
    let columns = columns(&artifact.recipe)?;
    check_inputs(&graph.inputs, &artifact.recipe)?;
    let inputs = Inputs { columns: &columns, null_text: NULL_TEXT };
    compare::compare(graph, &inputs, artifact, conversion, work)
}

/// The values of a row, an array's elements one by one.
fn columns(recipe: &Recipe) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for column in &recipe.columns {
        let of_kind = |kind| Column::new(column.name.clone(), kind);
        match &column.input {
            recipe::Input::Numbers(scalings) => {
                columns.extend(scalings.iter().map(|scaling| {
                    let mut column = of_kind(Some(Kind::Double));
                    let is_plain = scaling.transform == Transform::Identity;
                    column.scaling = is_plain.then_some((scaling.mean, scaling.scale));
                    column
                }));
            }
            recipe::Input::Category(category) => {
                let mut column = of_kind(None);
                column.texts = Some(category.vocabulary.iter().map(str::to_owned).collect());
                columns.push(column);
            }
            recipe::Input::Key => {
                return refuse("the file carries a popularity baseline, which no graph has")
            }
        }
    }
    Ok(columns)
}

fn check_inputs(inputs: &[Input], recipe: &Recipe) -> Result<()> {
    let told = inputs.iter().map(|input| (input.name.as_str(), input.kind, input.width));
    let expected = recipe.columns.iter().map(|column| match column.numbers() {
        0 => (column.name.as_str(), None, Some(1)),
        numbers => (column.name.as_str(), Some(Kind::Double), Some(numbers)),
    });
    match told.eq(expected) {
        true => Ok(()),
        false => refuse("the inputs of the graph are not those of the version that the file carries"),
    }
}
