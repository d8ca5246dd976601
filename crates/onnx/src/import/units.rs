//! What a graph computes, as sums over units: each value of a row is a bias plus weighted units, and a unit is a number of the
//! row, a function of a text of the row, the output of an activation, or a sum of trees.

use super::error::{refuse, Result};
use super::graph::Input;
use super::tensor::Kind;
use super::trees::Ensemble;
use super::work::Work;
use model::network::Activation;
use std::collections::HashMap;
use std::rc::Rc;

/// A weighted sum of units and a bias. Each unit stands there once, in ascending order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sum {
    pub terms: Vec<(usize, f64)>,
    pub bias: f64,
}

impl Sum {
    pub fn unit(unit: usize) -> Self {
        Self { terms: vec![(unit, 1.0)], bias: 0.0 }
    }

    /// `factor * self + addend`.
    pub fn line(&self, factor: f64, addend: f64) -> Self {
        let terms = self.terms.iter().map(|(unit, weight)| (*unit, weight * factor));
        Self {
            terms: terms.filter(|(_, weight)| *weight != 0.0).collect(),
            bias: self.bias * factor + addend,
        }
    }

    /// The sum of several sums, each with a factor.
    pub fn of<'a>(parts: impl Iterator<Item = (f64, &'a Sum)>, bias: f64, work: &Work) -> Result<Self> {
        let (mut terms, mut total) = (Vec::new(), bias);
        for (factor, part) in parts.filter(|(factor, _)| *factor != 0.0) {
            work.take(&[part.terms.len() + 1])?;
            total += factor * part.bias;
            terms.extend(part.terms.iter().map(|(unit, weight)| (*unit, factor * weight)));
        }
        terms.sort_by_key(|(unit, _)| *unit);
        terms.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0.0 };
            same
        });
        terms.retain(|(_, weight)| *weight != 0.0);
        Ok(Self { terms, bias: total })
    }
}

/// A step on the way from a number of the row to a value, in the arithmetic of the graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    Add(f64),
    SubtractFrom(f64),
    Times(f64),
    Over(f64),
    Round(Kind),
    /// What is put in place of NaN.
    Impute(f64),
}

impl Step {
    pub fn apply(self, value: f64) -> f64 {
        match self {
            Self::Add(addend) => value + addend,
            Self::SubtractFrom(minuend) => minuend - value,
            Self::Times(factor) => value * factor,
            Self::Over(divisor) => value / divisor,
            Self::Round(kind) => kind.round(value),
            Self::Impute(imputed) if value.is_nan() => imputed,
            Self::Impute(_) => value,
        }
    }
}

/// A value that depends on one column, to the last bit.
#[derive(Debug, Clone, PartialEq)]
pub enum Exact {
    Number { column: usize, steps: Vec<Step> },
    Text(ByText<f64>),
}

/// A function of a column's text: by code, and of every other text.
#[derive(Debug, Clone, PartialEq)]
pub struct ByText<T> {
    pub column: usize,
    pub known: Vec<(usize, T)>,
    pub other: T,
}

/// One value of a row.
#[derive(Debug, Clone)]
pub enum Cell {
    /// The number of a column as the graph gets it, at most cast: it may yet turn out to be a category.
    Raw {
        column: usize,
        steps: Vec<Step>,
    },
    Number {
        sum: Sum,
        exact: Option<Exact>,
    },
    /// A text: `None` is the column's own.
    Text(ByText<Option<String>>),
}

/// The values of a row, with their dimensions.
#[derive(Debug, Clone)]
pub struct Cells {
    /// Without the rows' own dimension, which is the first.
    pub shape: Vec<usize>,
    pub cells: Vec<Cell>,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Unit {
    /// The number of a column, and what stands for a missing one.
    Number {
        column: usize,
        imputed: Option<f64>,
    },
    /// 1 where the number of a column is missing, else 0.
    Missing {
        column: usize,
    },
    Text(Rc<ByText<f64>>),
    Hidden {
        layer: usize,
    },
    /// A target of an ensemble, base value included.
    Trees {
        ensemble: usize,
        target: usize,
    },
    /// The product of two sums.
    Product {
        layer: usize,
        factors: Rc<(Sum, Sum)>,
    },
}

/// The function that a layer applies to its sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    Activation(Activation),
    /// Half of a Gelu.
    Erf,
    /// Pairs of sums are multiplied.
    Product,
}

#[derive(Debug)]
pub struct Layer {
    pub function: Function,
    pub sums: Vec<Sum>,
    pub first_unit: usize,
}

#[derive(Debug)]
pub struct Trees {
    pub ensemble: Ensemble,
    /// What each feature is; `None` if it is not the function of one column.
    pub features: Vec<Option<Exact>>,
}

/// What is known of an input column.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub kind: Option<Kind>,
    /// The texts that the graph knows, in order of their codes; `None` as long as nothing reads it as text.
    pub texts: Option<Vec<String>>,
    codes: HashMap<String, usize>,
    pub is_number: bool,
    /// Mean and deviation, if the graph scales it.
    pub scaling: Option<(f64, f64)>,
}

/// Everything that a graph reads and computes on the way.
#[derive(Debug)]
pub struct Units {
    pub columns: Vec<Column>,
    pub units: Vec<Unit>,
    pub layers: Vec<Layer>,
    pub trees: Vec<Trees>,
    known: HashMap<(usize, Option<u64>), usize>,
}

/// Most units: what all layers of a network may have together, and more.
const MAX_UNITS: usize = 1 << 20;

impl Units {
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, units: Vec::new(), layers: Vec::new(), trees: Vec::new(), known: HashMap::new() }
    }

    pub fn add(&mut self, unit: Unit) -> Result<usize> {
        if self.units.len() >= MAX_UNITS {
            return refuse(format!("the model has more than {MAX_UNITS} units"));
        }
        self.units.push(unit);
        Ok(self.units.len() - 1)
    }

    /// The unit of a column's number.
    pub fn number(&mut self, column: usize, imputed: Option<f64>) -> Result<usize> {
        let known = &mut self.columns[column];
        known.is_number = true;
        if known.texts.is_some() {
            return refuse(format!("column \"{}\" is read as a number and as a category", known.name));
        }
        let key = (column, imputed.map(f64::to_bits));
        if let Some(unit) = self.known.get(&key) {
            return Ok(*unit);
        }
        let unit = self.add(Unit::Number { column, imputed })?;
        self.known.insert(key, unit);
        Ok(unit)
    }

    /// The unit of a function of a text.
    pub fn by_text(&mut self, values: ByText<f64>) -> Result<usize> {
        self.add(Unit::Text(Rc::new(values)))
    }

    /// The code of a text of a column, which is a category from then on.
    pub fn code(&mut self, column: usize, text: &str) -> Result<usize> {
        let known = &mut self.columns[column];
        if known.is_number {
            return refuse(format!("column \"{}\" is read as a number and as a category", known.name));
        }
        let texts = known.texts.get_or_insert_default();
        if let Some(code) = known.codes.get(text) {
            return Ok(*code);
        }
        texts.push(text.to_owned());
        known.codes.insert(text.to_owned(), texts.len() - 1);
        Ok(texts.len() - 1)
    }

    /// A layer that applies a function to sums; returns its units.
    pub fn layer(&mut self, function: Function, sums: Vec<Sum>) -> Result<Vec<Sum>> {
        let layer = self.layers.len();
        let first_unit = self.units.len();
        let units = (0..sums.len()).map(|_| self.add(Unit::Hidden { layer }).map(Sum::unit));
        let units = units.collect::<Result<Vec<_>>>()?;
        self.layers.push(Layer { function, sums, first_unit });
        Ok(units)
    }

    /// Products of pairs of sums.
    pub fn products(&mut self, pairs: Vec<(Sum, Sum)>) -> Result<Vec<Sum>> {
        let layer = self.layers.len();
        let first_unit = self.units.len();
        self.layers.push(Layer { function: Function::Product, sums: Vec::new(), first_unit });
        let units = pairs
            .into_iter()
            .map(|pair| self.add(Unit::Product { layer, factors: Rc::new(pair) }).map(Sum::unit));
        units.collect()
    }
}

impl Column {
    pub fn new(name: String, kind: Option<Kind>) -> Self {
        let texts = if kind.is_none() { Some(Vec::new()) } else { None };
        Self { name, kind, texts, codes: HashMap::new(), is_number: false, scaling: None }
    }
}

/// The columns of the graph's inputs and the cells that they are: one column for each input, or the named ones for an
/// input of several values.
pub fn read_inputs(inputs: &[Input], names: Option<&[String]>) -> Result<(Vec<Column>, Vec<Cells>)> {
    let mut columns = Vec::new();
    let mut values = Vec::new();
    let total = inputs.iter().try_fold(0_usize, |sum, input| input.width.map(|width| sum + width));
    let mut left = names.map(<[String]>::iter);
    for input in inputs {
        let width = match (input.width, names) {
            (Some(width), _) => width,
            (None, Some(names)) if inputs.len() == 1 => names.len(),
            (None, _) => 1,
        };
        if width == 0 || width > model::recipe::MAX_INPUTS {
            return refuse(format!("input \"{}\" has {width} values in a row", input.name));
        }
        let first = columns.len();
        for _ in 0..width {
            let name = match &mut left {
                Some(left) => left.next().cloned().ok_or_else(|| not_named(total, names)),
                None if width == 1 => Ok(input.name.clone()),
                None => Err(super::error::ImportError::hinted(
                    format!(
                        "input \"{}\" has {width} values in a row, and nothing says which columns they are",
                        input.name
                    ),
                    "Name them: columns => '{…}', in the order of the values.",
                )),
            };
            columns.push(Column::new(name?, input.kind));
        }
        values.push(Cells {
            shape: if input.rank == 0 { Vec::new() } else { vec![width] },
            cells: (first..columns.len()).map(|column| own_cell(column, input.kind)).collect(),
            kind: input.kind.unwrap_or(Kind::Integer),
        });
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = columns.iter().find(|column| !seen.insert(&column.name)) {
        return refuse(format!("column \"{}\" is named twice", twice.name));
    }
    match left.is_some_and(|mut left| left.next().is_some()) {
        true => Err(not_named(total, names)),
        false => Ok((columns, values)),
    }
}

fn not_named(total: Option<usize>, names: Option<&[String]>) -> super::error::ImportError {
    let named = names.map_or(0, <[String]>::len);
    let total = total.map_or("another number of".to_owned(), |total| total.to_string());
    super::error::ImportError::new(format!(
        "{named} columns are named, and the model reads {total} values in a row"
    ))
}

fn own_cell(column: usize, kind: Option<Kind>) -> Cell {
    match kind {
        None => Cell::Text(ByText { column, known: Vec::new(), other: None }),
        Some(kind) => Cell::Raw { column, steps: vec![Step::Round(kind)] },
    }
}
