//! One input for each column of the source: numbers side by side, and the codes of categories.

use super::graph::{int, ints, texts, Graph, Value};
use super::{ExportError, ML};
use crate::proto::element;
use model::recipe::{Category, Column, Family, Input, Recipe, FIRST_VALUE, NULL, UNSEEN};

/// The text that stands for NULL, which a tensor of strings has no place for.
pub const NULL_TEXT: &str = "<NULL>";

/// The values of the rows.
pub struct Inputs {
    pub numbers: Option<Numbers>,
    /// The code of each category as in [`model::recipe`], shape `(rows)`, of 64-bit integers.
    pub codes: Vec<Value>,
}

/// All numbers of the recipe, shape `(rows, count)`.
pub struct Numbers {
    pub count: usize,
    /// Doubles; 0 where one is missing.
    pub filled: Value,
    /// Which are missing: NaN or infinite.
    pub missing: Value,
}

impl Inputs {
    pub fn of(recipe: &Recipe, graph: &mut Graph) -> Result<Self, ExportError> {
        let (mut numbers, mut categories) = (Vec::new(), Vec::new());
        for column in &recipe.columns {
            match &column.input {
                Input::Numbers(scalings) => {
                    let input =
                        graph.input(&column.name, element::DOUBLE, scalings.len(), describe(column))?;
                    numbers.push(input);
                }
                Input::Category(category) => {
                    let input = graph.input(&column.name, element::STRING, 1, describe(column))?;
                    categories.push((column, category, input));
                }
                // The predictor is refused.
                Input::Key => {}
            }
        }
        // Only once all inputs have their names can others be given.
        let numbers = match numbers.is_empty() {
            true => None,
            false => Some(Numbers::of(&numbers, recipe.scalings().len(), graph)?),
        };
        let codes = categories.iter().map(|(column, category, input)| codes(column, category, input, graph));
        Ok(Self { numbers, codes: codes.collect::<Result<_, _>>()? })
    }
}

impl Numbers {
    fn of(inputs: &[Value], count: usize, graph: &mut Graph) -> Result<Self, ExportError> {
        let raw = graph.concat("numbers", inputs);
        let nan = graph.node("IsNaN", "numbers/nan", &[&raw], vec![]);
        let infinite = graph.node("IsInf", "numbers/infinite", &[&raw], vec![]);
        let missing = graph.node("Or", "numbers/missing", &[&nan, &infinite], vec![]);
        let zero = graph.scalar("numbers/zero", 0.0_f64)?;
        let filled = graph.node("Where", "numbers/filled", &[&missing, &zero, &raw], vec![]);
        Ok(Self { count, filled, missing })
    }
}

/// The codes of a category's texts.
fn codes(
    column: &Column,
    category: &Category,
    input: &Value,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    if category.vocabulary.position(NULL_TEXT).is_some() {
        return Err(ExportError::unsupported(format!(
            "the values of column \"{}\" include {NULL_TEXT}, which stands for NULL there",
            column.name
        )));
    }
    let name = &column.name;
    graph.take_room(category.vocabulary.iter().map(|text| text.len() + size_of::<i64>()).sum())?;
    let known = category.vocabulary.iter().map(|text| text.as_bytes().to_vec());
    let keys = std::iter::once(NULL_TEXT.as_bytes().to_vec()).chain(known);
    let codes = std::iter::once(NULL).chain(FIRST_VALUE..).map(i64::from).take(category.vocabulary.len() + 1);
    let settings = vec![
        texts("keys_strings", keys.collect()),
        ints("values_int64s", codes.collect()),
        int("default_int64", UNSEEN.into()),
    ];
    let found = graph.node_of(ML, "LabelEncoder", &format!("{name}/code"), &[input], settings);
    let axis = graph.constant(&format!("{name}/axis"), &[1], [1_i64])?;
    Ok(graph.node("Squeeze", &format!("{name}/codes"), &[&found, &axis], vec![]))
}

/// What a caller gives for a column.
fn describe(column: &Column) -> String {
    let sql_type = &column.sql_type;
    match column.family {
        Family::Number => format!("{sql_type}; NaN for NULL"),
        Family::Boolean => "1 for true, 0 for false, NaN for NULL".to_owned(),
        Family::Date => "days since 2000-01-01; NaN for NULL".to_owned(),
        Family::Timestamp => format!("{sql_type}: seconds since 2000-01-01 00:00 (UTC); NaN for NULL"),
        Family::NumberArray => format!("{sql_type}, its elements; NaN for NULL"),
        Family::Text => format!("{sql_type}, without padding; {NULL_TEXT} for NULL"),
    }
}
