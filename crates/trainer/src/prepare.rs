//! From raw columns to the network's input: fits the recipe on the training rows, then encodes any rows with it.

use crate::data::{Feature, Table};
use crate::error::TrainerError;
use crate::trees;
use crate::values::{Dictionary, Floats, Values, NULL_CODE};
use model::protocol::SourceColumn;
use model::recipe::{
    CategoryFit, Column, Family, Input, NumberFit, Recipe, Scaling, Slot, MAX_INPUTS, NULL, UNSEEN,
};
use model::transform::{Transform, TransformChoice};
use model::Params;

/// A recipe, and how the columns of the table become its inputs.
pub struct Encoder<'a> {
    pub recipe: Recipe,
    pub warnings: Vec<String>,
    /// For each category in input order: whether NULL occurs in the training rows.
    pub null_seen: Vec<bool>,
    /// One for each column of the recipe.
    feeds: Vec<Feed<'a>>,
    dense_width: usize,
}

enum Feed<'a> {
    Numbers {
        width: usize,
        floats: &'a Floats,
    },
    /// `ids` holds the embedding row of each code of the dictionary.
    Category {
        dictionary: &'a Dictionary,
        ids: Vec<i32>,
        null: i32,
    },
}

/// Encoded rows.
pub struct Encoded {
    /// Row after row, as many numbers each as the recipe's dense width.
    pub dense: Vec<f32>,
    /// Category after category, one embedding row for each data row.
    pub ids: Vec<i32>,
}

/// Columns that deserve a warning.
#[derive(Default)]
struct Findings {
    empty: Vec<String>,
    constant: Vec<String>,
    rare: Vec<String>,
}

impl<'a> Encoder<'a> {
    /// Fits the recipe on the rows `train`, in their order.
    pub fn fit(table: &'a Table, train: &[u32], params: &Params) -> Result<Self, TrainerError> {
        let mut encoder = Self {
            recipe: Recipe { columns: Vec::new() },
            warnings: Vec::new(),
            null_seen: Vec::new(),
            feeds: Vec::new(),
            dense_width: 0,
        };
        let mut findings = Findings::default();
        for feature in &table.features {
            match &feature.values {
                // Nothing says how long the arrays of this column are: it cannot be an input.
                Values::Numbers { width: 0, .. } => findings.empty.push(feature.source.name.clone()),
                Values::Numbers { width, floats } => {
                    encoder.add_numbers(feature, *width, floats, train, params.transform, &mut findings)
                }
                Values::Category(dictionary) => {
                    encoder.add_category(feature, dictionary, train, params, &mut findings)
                }
            }
        }
        if findings.count() == table.features.len() {
            let mut error_hint = String::from("An input must have at least two values in the training rows.");
            findings.warnings(params).iter().for_each(|warning| {
                error_hint.push(' ');
                error_hint.push_str(warning);
            });
            return Err(TrainerError::data("no input tells the training rows apart", error_hint));
        }
        if encoder.recipe.width() > MAX_INPUTS {
            let message = format!("the model would have {} inputs", encoder.recipe.width());
            let hint = format!("At most {MAX_INPUTS} are allowed: leave columns out with \"exclude\".");
            return Err(TrainerError::data(message, hint));
        }
        encoder.dense_width = encoder.recipe.dense_width();
        encoder.warnings = findings.warnings(params);
        Ok(encoder)
    }

    fn add_numbers(
        &mut self,
        feature: &Feature,
        width: usize,
        floats: &'a Floats,
        train: &[u32],
        choice: TransformChoice,
        findings: &mut Findings,
    ) {
        let choice = match feature.source.family {
            Family::Number | Family::NumberArray => choice,
            _ => TransformChoice::None,
        };
        let mut fits: Vec<ScalingFit> = (0..width)
            .map(|position| ScalingFit::new(choice, train, |row| floats.get(row * width + position)))
            .collect();
        for row in train {
            let first = *row as usize * width;
            for (position, fit) in fits.iter_mut().enumerate() {
                fit.add(floats.get(first + position));
            }
        }
        let missing: u64 = fits.iter().map(|fit| fit.number.missing()).sum();
        let scalings: Vec<Scaling> = fits.into_iter().map(ScalingFit::finish).collect();
        let all_missing = missing == (train.len() * width) as u64;
        if all_missing {
            findings.empty.push(feature.source.name.clone());
        } else if scalings.iter().all(|s| s.is_constant() && !s.indicator) {
            findings.constant.push(feature.source.name.clone());
        }
        self.push(feature, Input::Numbers(scalings), Feed::Numbers { width, floats });
    }

    fn add_category(
        &mut self,
        feature: &Feature,
        dictionary: &'a Dictionary,
        train: &[u32],
        params: &Params,
        findings: &mut Findings,
    ) {
        let mut counts = vec![0; dictionary.texts.len()];
        let mut nulls = 0;
        for row in train {
            match dictionary.codes[*row as usize] {
                NULL_CODE => nulls += 1,
                code => counts[code as usize] += 1,
            }
        }
        let mut fit = CategoryFit::default();
        let seen = dictionary.texts.iter().zip(&counts).filter(|(_, count)| **count > 0);
        seen.clone().for_each(|(text, count)| fit.add(text, *count));
        let category = fit.finish(params.min_category_count, params.max_categories);

        let name = &feature.source.name;
        let distinct = seen.count();
        if nulls == train.len() {
            findings.empty.push(name.clone());
        } else if distinct == 1 && nulls == 0 {
            findings.constant.push(name.clone());
        } else if category.vocabulary.is_empty() && nulls == 0 {
            findings.rare.push(name.clone());
        }

        let known = category.embedding_rows();
        let row_of = |text: &str| known.get(text).copied().unwrap_or(UNSEEN) as i32;
        let ids = dictionary.texts.iter().map(|text| row_of(text)).collect();
        // A NULL that training never saw is something unseen; its embedding becomes a copy at the end.
        let null = if nulls > 0 { NULL as i32 } else { UNSEEN as i32 };
        self.null_seen.push(nulls > 0);
        self.push(feature, Input::Category(category), Feed::Category { dictionary, ids, null });
    }

    fn push(&mut self, feature: &Feature, input: Input, source: Feed<'a>) {
        let SourceColumn { name, sql_type, family, .. } = feature.source.clone();
        self.recipe.columns.push(Column { name, sql_type, family, input });
        self.feeds.push(source);
    }

    /// The network's input for `rows`, in their order.
    pub fn encode(&self, rows: &[u32]) -> Encoded {
        let stride = self.dense_width;
        let mut dense = vec![0.0; rows.len() * stride];
        let mut ids = Vec::with_capacity(rows.len() * self.null_seen.len());
        let scalings = self.recipe.scalings();
        let indicators = self.recipe.indicators();
        let seconds = self.recipe.seconds();
        let mut number = 0;
        for source in &self.feeds {
            match source {
                Feed::Numbers { width, floats } => {
                    for (position, slot) in (number..number + width).enumerate() {
                        let (scaling, indicator, second) = (scalings[slot], indicators[slot], seconds[slot]);
                        for (line, row) in dense.chunks_exact_mut(stride).zip(rows) {
                            let value = floats.get(*row as usize * width + position);
                            line[slot] = scaling.standardize(value);
                            if let (Some(at), false) = (indicator, value.is_finite()) {
                                line[at] = 1.0;
                            }
                            if let Some((second, at)) = second {
                                line[at] = second.standardize(value);
                            }
                        }
                    }
                    number += width;
                }
                Feed::Category { dictionary, ids: of_code, null } => {
                    ids.extend(rows.iter().map(|row| match dictionary.codes[*row as usize] {
                        NULL_CODE => *null,
                        code => of_code[code as usize],
                    }));
                }
            }
        }
        Encoded { dense, ids }
    }

    /// The raw columns as trees read them: all numbers, then all categories.
    pub fn columns(&self) -> Vec<trees::Column<'a>>
    where
        Self: 'a,
    {
        let (mut numbers, mut categories) = (Vec::new(), Vec::new());
        for feed in &self.feeds {
            match feed {
                Feed::Numbers { width, floats } => {
                    let number = |position| trees::Column::Number { floats, width: *width, position };
                    numbers.extend((0..*width).map(number));
                }
                Feed::Category { dictionary, ids, null } => {
                    let (codes, recipe_codes) = (&dictionary.codes[..], ids.clone());
                    categories.push(trees::Column::Category { codes, recipe_codes, null: *null });
                }
            }
        }
        numbers.extend(categories);
        numbers
    }

    /// The dense part of an encoded row.
    pub fn dense_width(&self) -> usize {
        self.dense_width
    }
}

/// The raw columns of a table behind the columns of a recipe: of the same name.
pub struct Source<'a> {
    columns: Vec<Raw<'a>>,
}

/// A raw column, and where it goes.
enum Raw<'a> {
    Numbers { width: usize, floats: &'a Floats, first: usize },
    Category { dictionary: &'a Dictionary, index: usize },
    Key(&'a [u64]),
}

impl<'a> Source<'a> {
    pub fn new(recipe: &Recipe, table: &'a Table) -> Self {
        let column = |(column, slot): (&Column, Slot)| {
            let values = || table.features.iter().find(|f| f.source.name == column.name).map(|f| &f.values);
            match slot {
                Slot::Key => table.first_key.as_deref().map(Raw::Key),
                Slot::Numbers { first, .. } => match values() {
                    Some(Values::Numbers { width, floats }) => {
                        Some(Raw::Numbers { width: *width, floats, first })
                    }
                    _ => None,
                },
                Slot::Category { index } => match values() {
                    Some(Values::Category(dictionary)) => Some(Raw::Category { dictionary, index }),
                    _ => None,
                },
            }
        };
        // The recipe was made from this table: it has every column.
        Self { columns: recipe.columns.iter().zip(recipe.slots()).filter_map(column).collect() }
    }

    /// Hands the raw values of one row to the receiver: numbers (`None` where missing) and texts, in input order.
    pub fn raw_row(&self, row: u32, receiver: &mut impl RawRow) {
        (0..self.columns.len()).for_each(|column| self.raw_value(column, row, receiver));
    }

    /// Hands over what one column has in one row.
    pub fn raw_value(&self, column: usize, row: u32, receiver: &mut impl RawRow) {
        match &self.columns[column] {
            Raw::Numbers { width, floats, first } => {
                for position in 0..*width {
                    let value = floats.get(row as usize * width + position);
                    receiver.number(first + position, value.is_finite().then_some(value));
                }
            }
            Raw::Category { dictionary, index } => {
                let text = match dictionary.codes[row as usize] {
                    NULL_CODE => None,
                    code => Some(&*dictionary.texts[code as usize]),
                };
                receiver.category(*index, text);
            }
            Raw::Key(keys) => receiver.key(keys[row as usize]),
        }
    }
}

/// Values that a transform is chosen by, at most.
const SAMPLE: usize = 20_000;

/// A number's scaling on its way.
struct ScalingFit {
    transform: Transform,
    number: NumberFit,
    second: Option<(Transform, NumberFit)>,
}

impl ScalingFit {
    /// The transforms are chosen by rows evenly spread over the training rows.
    fn new(choice: TransformChoice, train: &[u32], value: impl Fn(usize) -> f64) -> Self {
        let sample =
            train.iter().step_by(train.len().div_ceil(SAMPLE).max(1)).map(|row| value(*row as usize));
        let mut sample: Vec<f64> = sample.filter(|value| value.is_finite()).collect();
        let (transform, second) = Transform::fit(choice, &mut sample);
        let second = second.map(|transform| (transform, NumberFit::default()));
        Self { transform, number: NumberFit::default(), second }
    }

    fn add(&mut self, value: f64) {
        self.number.add(if value.is_finite() { self.transform.apply(value) } else { value });
        if let Some((transform, fit)) = self.second.as_mut().filter(|_| value.is_finite()) {
            fit.add(transform.apply(value));
        }
    }

    fn finish(self) -> Scaling {
        let second = self.second.map(|(transform, fit)| Box::new(Scaling { transform, ..fit.finish() }));
        Scaling { transform: self.transform, second, ..self.number.finish() }
    }
}

/// Takes the raw values of a row.
pub trait RawRow {
    fn number(&mut self, number: usize, value: Option<f64>);
    fn category(&mut self, category: usize, value: Option<&str>);
    /// By its hash.
    fn key(&mut self, key: u64);
}

impl Findings {
    fn count(&self) -> usize {
        self.empty.len() + self.constant.len() + self.rare.len()
    }

    fn warnings(&self, params: &Params) -> Vec<String> {
        let rare = format!(
            "have no value that occurs in at least {} training rows (min_category_count) and are ignored",
            params.min_category_count
        );
        let kinds = [
            (&self.empty, "are NULL in every training row and are ignored"),
            (&self.constant, "are constant in the training rows and are ignored"),
            (&self.rare, rare.as_str()),
        ];
        let told = kinds.iter().filter(|(names, _)| !names.is_empty());
        told.map(|(names, what)| format!("These columns {what}: {}.", quoted(names))).collect()
    }
}

/// Names in quotes, the first twenty of them.
fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("\"{name}\"")).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}
