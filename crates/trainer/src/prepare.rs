//! From raw columns to the network's input: fits the recipe on the training rows, then encodes any rows with it.
//!
//! | file | holds |
//! | --- | --- |
//! | `column_fit` | what is learned of each column from the training rows |
//! | `grain` | how finely values are told apart |
//! | `value_keys` | with how many keys each value of a category is seen |
//! | `raw_columns` | rows as a query has them, value by value |

mod column_fit;
mod grain;
mod raw_columns;
mod value_keys;

use crate::error::TrainerError;
use crate::rows::block::Block;
use crate::rows::data::Table;
use crate::rows::values::{Dictionary, Feature, Floats, Values, NULL_CODE};
use column_fit::{column_fits, histogram, ColumnFit, ScalingFit};
use model::drift::Histogram;
use model::number_bins::NumberBins;
use model::protocol::SourceColumn;
use model::recipe::{Category, CategoryFit, Column, Input, Recipe, Scaling, MAX_INPUTS, NULL, UNSEEN};
use model::Params;
use std::borrow::Cow;

pub use column_fit::sample;
pub use grain::Grain;
pub use raw_columns::{RawColumns, RawRow};

/// A recipe, and how the columns of the table become its inputs.
pub struct Encoder<'a> {
    pub recipe: Recipe,
    pub warnings: Vec<String>,
    /// What the training rows have in each column of the recipe.
    pub histograms: Vec<Histogram>,
    /// For each category in input order: whether NULL occurs in the training rows.
    pub null_seen: Vec<bool>,
    /// What it was made with.
    pub grain: Grain,
    table: &'a Table,
    threads: usize,
    /// One for each column of the recipe.
    feeds: Vec<Feed>,
    dense_width: usize,
}

/// How a feature of the table becomes an input.
struct Feed {
    feature: usize,
    kind: FeedKind,
}

enum FeedKind {
    Numbers {
        width: usize,
    },
    /// `ids` holds the embedding row of each code of the dictionary, if there is one dictionary for all rows.
    Category {
        ids: Option<Vec<i32>>,
        null: i32,
    },
}

/// The part of an encoder that every thread may use.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    recipe: &'a Recipe,
    feeds: &'a [Feed],
    dense_width: usize,
}

/// Encoded rows.
pub struct Encoded {
    /// Row after row, as many numbers each as the recipe's dense width.
    pub dense: Vec<f32>,
    /// Category after category, one embedding row for each data row.
    pub ids: Vec<i32>,
}

/// An input of the forest: all numbers first, then all categories, as the recipe numbers them.
#[derive(Debug, Clone)]
pub enum TreeInput<'a> {
    /// `floats` holds `width` numbers a row; this is the one at `position`. What is not finite is missing.
    Number { floats: &'a Floats, width: usize, position: usize },
    /// The code of a row in the dictionary of the table, the recipe's code for each of these, and for NULL.
    Category { codes: &'a [u32], recipe_codes: Vec<i32>, null: i32 },
}

/// Columns that deserve a warning.
#[derive(Default)]
struct Findings {
    empty: Vec<String>,
    constant: Vec<String>,
    rare: Vec<String>,
}

impl<'a> Encoder<'a> {
    /// Fits the recipe on the rows `train`, in their order. Fitting and encoding use this many threads.
    pub fn fit(
        table: &'a Table,
        train: &[u32],
        params: &Params,
        grain: Grain,
        threads: usize,
    ) -> Result<Self, TrainerError> {
        let mut encoder = Self {
            recipe: Recipe { columns: Vec::new() },
            warnings: Vec::new(),
            histograms: Vec::new(),
            null_seen: Vec::new(),
            grain,
            table,
            threads,
            feeds: Vec::new(),
            dense_width: 0,
        };
        let mut findings = Findings::default();
        let fits = column_fits(table, train, params, grain, threads)?;
        for (position, (feature, fit)) in table.features.iter().zip(fits).enumerate() {
            match fit {
                // Nothing says how long the arrays of this column are: it cannot be an input.
                ColumnFit::Numbers { fits, .. } if fits.is_empty() => {
                    findings.empty.push(feature.source.name.clone())
                }
                ColumnFit::Numbers { fits, counts } => {
                    encoder.histograms.push(counts.into_histogram());
                    encoder.add_numbers(position, fits, train.len(), &mut findings)
                }
                ColumnFit::Category { fit, nulls } => {
                    encoder.add_category(position, &fit, nulls, train.len(), params, &mut findings)
                }
            }
        }
        if findings.count() == table.features.len() {
            let mut error_hint = String::from("An input must have at least two values in the training rows.");
            findings.warnings(params, encoder.grain).iter().for_each(|warning| {
                error_hint.push(' ');
                error_hint.push_str(warning);
            });
            return Err(TrainerError::data("no input tells the training rows apart", error_hint));
        }
        if encoder.recipe.width() > MAX_INPUTS && params.number_bins.is_none() {
            encoder.leave_bins_out();
        }
        if encoder.recipe.width() > MAX_INPUTS {
            let message = format!("the model would have {} inputs", encoder.recipe.width());
            let fewer = if encoder.grain.bins > 0 { "take fewer \"number_bins\", or " } else { "" };
            let hint =
                format!("At most {MAX_INPUTS} are allowed: {fewer}leave columns out with \"exclude\".");
            return Err(TrainerError::data(message, hint));
        }
        encoder.dense_width = encoder.recipe.dense_width();
        encoder.warnings = findings.warnings(params, encoder.grain);
        Ok(encoder)
    }

    fn add_numbers(&mut self, position: usize, fits: Vec<ScalingFit>, rows: usize, findings: &mut Findings) {
        let name = &self.table.features[position].source.name;
        let all_missing = fits.iter().all(|fit| fit.missing() == rows as u64);
        let scalings: Vec<Scaling> = fits.into_iter().map(ScalingFit::finish).collect();
        if all_missing {
            findings.empty.push(name.clone());
        } else if scalings.iter().all(|s| s.is_constant() && !s.indicator) {
            findings.constant.push(name.clone());
        }
        let width = scalings.len();
        self.push(position, Input::Numbers(scalings), FeedKind::Numbers { width });
    }

    fn leave_bins_out(&mut self) {
        self.grain.bins = 0;
        for column in &mut self.recipe.columns {
            if let Input::Numbers(scalings) = &mut column.input {
                scalings.iter_mut().for_each(|scaling| scaling.bins = NumberBins::default());
            }
        }
    }

    fn add_category(
        &mut self,
        position: usize,
        fit: &CategoryFit,
        nulls: usize,
        rows: usize,
        params: &Params,
        findings: &mut Findings,
    ) {
        let category = fit.finish(params.min_category_count, params.max_categories);
        self.histograms.push(histogram(fit, &category, nulls, rows));
        let Feature { source, values } = &self.table.features[position];
        if nulls == rows {
            findings.empty.push(source.name.clone());
        } else if fit.is_single() && nulls == 0 {
            findings.constant.push(source.name.clone());
        } else if category.vocabulary.is_empty() && nulls == 0 {
            findings.rare.push(source.name.clone());
        }
        let ids = match values {
            Values::Category(dictionary) if self.table.stored.is_none() => {
                Some(embedding_rows(&category, dictionary))
            }
            _ => None,
        };
        // If training saw no NULL, NULL counts as unseen; after the training it gets a copy of that embedding.
        let null = if nulls > 0 { NULL as i32 } else { UNSEEN as i32 };
        self.null_seen.push(nulls > 0);
        self.push(position, Input::Category(category), FeedKind::Category { ids, null });
    }

    fn push(&mut self, feature: usize, input: Input, kind: FeedKind) {
        let SourceColumn { name, sql_type, family, .. } = self.table.features[feature].source.clone();
        self.recipe.columns.push(Column { name, sql_type, family, input });
        self.feeds.push(Feed { feature, kind });
    }

    /// How rows become the network's input.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs { recipe: &self.recipe, feeds: &self.feeds, dense_width: self.dense_width }
    }

    /// The raw columns as trees read them: all numbers, then all categories. `None` where they are not in memory.
    pub fn columns(&self) -> Option<Vec<TreeInput<'a>>> {
        let (mut numbers, mut categories) = (Vec::new(), Vec::new());
        for Feed { feature, kind } in &self.feeds {
            match (&self.table.features[*feature].values, kind) {
                (Values::Numbers { width, floats }, _) => {
                    let number = |position| TreeInput::Number { floats, width: *width, position };
                    numbers.extend((0..*width).map(number));
                }
                (Values::Category(dictionary), FeedKind::Category { ids: Some(ids), null }) => {
                    let (codes, recipe_codes) = (&dictionary.codes[..], ids.clone());
                    categories.push(TreeInput::Category { codes, recipe_codes, null: *null });
                }
                _ => return None,
            }
        }
        numbers.extend(categories);
        Some(numbers).filter(|_| self.table.stored.is_none())
    }

    /// The dense part of an encoded row.
    pub fn dense_width(&self) -> usize {
        self.dense_width
    }

    /// Bytes of an encoded row.
    pub fn row_bytes(&self) -> usize {
        4 * (self.dense_width + self.null_seen.len()).max(1)
    }

    pub fn table(&self) -> &'a Table {
        self.table
    }

    pub fn threads(&self) -> usize {
        self.threads
    }
}

impl Inputs<'_> {
    /// The network's input for the rows of a block, in their order.
    pub fn of(&self, block: &Block) -> Encoded {
        let stride = self.dense_width;
        let mut dense = vec![0.0; block.rows.len() * stride];
        let mut ids = Vec::new();
        let scalings = self.recipe.scalings();
        let indicators = self.recipe.indicators();
        let seconds = self.recipe.seconds();
        let bins = self.recipe.bins();
        let categories = self.recipe.categories();
        let (mut number, mut category) = (0, 0);
        for Feed { feature, kind } in self.feeds {
            match (kind, &block.features[*feature].values) {
                (FeedKind::Numbers { width }, Values::Numbers { floats, .. }) => {
                    for (position, slot) in (number..number + width).enumerate() {
                        let (scaling, indicator) = (scalings[slot], indicators[slot]);
                        let (second, bins) = (seconds[slot], bins[slot]);
                        for (line, place) in dense.chunks_exact_mut(stride).zip(block.places) {
                            let value = floats.get(*place as usize * width + position);
                            line[slot] = scaling.standardize(value);
                            if let (Some(at), false) = (indicator, value.is_finite()) {
                                line[at] = 1.0;
                            }
                            if let Some((second, at)) = second {
                                line[at] = second.standardize(value);
                            }
                            if let Some((bins, first)) = bins {
                                bins.encode(value, &mut line[first..first + bins.count()]);
                            }
                        }
                    }
                    number += width;
                }
                (FeedKind::Category { ids: known, null }, Values::Category(dictionary)) => {
                    let of_code = match known {
                        Some(known) => Cow::Borrowed(known),
                        None => Cow::Owned(embedding_rows(categories[category], dictionary)),
                    };
                    ids.extend(block.places.iter().map(|place| match dictionary.codes[*place as usize] {
                        NULL_CODE => *null,
                        code => of_code[code as usize],
                    }));
                    category += 1;
                }
                _ => unreachable!("a column's values are of one kind in every block"),
            }
        }
        Encoded { dense, ids }
    }
}

/// The embedding row of each text of a dictionary.
fn embedding_rows(category: &Category, dictionary: &Dictionary) -> Vec<i32> {
    dictionary.texts.iter().map(|text| category.embedding_row(Some(text)) as i32).collect()
}

impl Findings {
    fn count(&self) -> usize {
        self.empty.len() + self.constant.len() + self.rare.len()
    }

    fn warnings(&self, params: &Params, grain: Grain) -> Vec<String> {
        let keys = match grain.category_keys {
            0 | 1 => String::new(),
            keys => format!(" and with {keys} first keys (min_category_keys)"),
        };
        let rare = format!(
            "have no value that occurs in at least {} training rows (min_category_count){keys} and are ignored",
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
