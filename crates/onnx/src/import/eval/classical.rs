//! Operators of `ai.onnx.ml`.

use super::Given;
use crate::import::error::{refuse, ImportError, Result};
use crate::import::graph::Node;
use crate::import::tensor::{elements, Data, Kind, Tensor};
use crate::import::trees::{Ensemble, Post};
use crate::import::work::Work;
use std::collections::HashMap;

/// `None` for another operator.
pub fn evaluate(given: &Given, work: &Work) -> Option<Result<Vec<Tensor>>> {
    let one = match given.node.op.as_str() {
        "Scaler" => scaler(given),
        "Imputer" => imputer(given),
        "OneHotEncoder" => one_hot(given),
        "LabelEncoder" | "CategoryMapper" => label_encoder(given),
        "ArrayFeatureExtractor" => extract(given),
        "FeatureVectorizer" => vectorize(given),
        "ZipMap" => given.need(0).cloned(),
        "LinearRegressor" => linear(given, "targets", work),
        "LinearClassifier" => return Some(linear_classifier(given, work)),
        "TreeEnsembleRegressor" | "TreeEnsemble" => trees(given, work),
        "TreeEnsembleClassifier" => return Some(trees(given, work).map(|scores| vec![no_label(), scores])),
        _ => return None,
    };
    Some(one.map(|tensor| vec![tensor]))
}

/// What stands for a classifier's label, which no score needs.
fn no_label() -> Tensor {
    Tensor::list(Kind::Integer, Vec::new())
}

/// Rows and columns of a tensor of at most two dimensions.
fn table<'a>(given: &Given<'a>) -> Result<(usize, usize, &'a [f64], Kind)> {
    let tensor = given.need(0)?;
    let columns = match tensor.shape[..] {
        [_, columns] => columns,
        [_] => 1,
        _ => return refuse(format!("{} reads a tensor of shape {:?}", given.node, tensor.shape)),
    };
    Ok((tensor.shape[0], columns, tensor.values()?, tensor.kind()?))
}

/// The result kind of operators that give 32-bit floats.
fn floats(shape: Vec<usize>, values: impl Iterator<Item = f64>) -> Result<Tensor> {
    Tensor::numbers(shape, Kind::Float, values.map(|value| Kind::Float.round(value)).collect())
}

/// The element of a list of one or of as many as there are columns.
pub fn of_column(list: &[f64], column: usize, default: f64) -> Option<f64> {
    match list {
        [] => Some(default),
        [one] => Some(*one),
        several => several.get(column).copied(),
    }
}

fn misfit(node: &Node) -> ImportError {
    ImportError::new(format!("{node} has lists that do not fit its input"))
}

fn scaler(given: &Given) -> Result<Tensor> {
    let (rows, columns, values, _) = table(given)?;
    let (offsets, scales) = (given.node.floats("offset"), given.node.floats("scale"));
    let scaled = values.iter().enumerate().map(|(n, value)| {
        let offset = of_column(&offsets, n % columns.max(1), 0.0).ok_or_else(|| misfit(given.node))?;
        let scale = of_column(&scales, n % columns.max(1), 1.0).ok_or_else(|| misfit(given.node))?;
        Ok(Kind::Float.round(Kind::Float.round(value - offset) * scale))
    });
    floats(vec![rows, columns], scaled.collect::<Result<Vec<_>>>()?.into_iter())
}

/// What the imputer puts in place of a value of this column: the value itself unless it is the one to be replaced.
pub fn impute_value(node: &Node, column: usize, value: f64) -> Result<f64> {
    let integers: Vec<f64> = node.ints("imputed_value_int64s").iter().map(|value| *value as f64).collect();
    let floats = node.floats("imputed_value_floats");
    let (imputed, replaced) = match floats.is_empty() {
        true => (integers, node.int("replaced_value_int64", 0) as f64),
        false => (floats, node.float("replaced_value_float", 0.0)),
    };
    let imputed = of_column(&imputed, column, f64::NAN).ok_or_else(|| misfit(node))?;
    let goes = value == replaced || (value.is_nan() && replaced.is_nan());
    Ok(if goes { imputed } else { value })
}

fn imputer(given: &Given) -> Result<Tensor> {
    let (_, columns, values, kind) = table(given)?;
    let imputed =
        values.iter().enumerate().map(|(n, value)| impute_value(given.node, n % columns.max(1), *value));
    Tensor::numbers(given.need(0)?.shape.clone(), kind, imputed.collect::<Result<_>>()?)
}

fn one_hot(given: &Given) -> Result<Tensor> {
    let node = given.node;
    let tensor = given.need(0)?;
    let integers = node.ints("cats_int64s");
    let texts = node.strings("cats_strings")?;
    let positions: Vec<Option<usize>> = match &tensor.data {
        Data::Texts(values) => {
            let known: HashMap<&String, usize> = texts.iter().zip(0..).collect();
            values.iter().map(|value| known.get(value).copied()).collect()
        }
        Data::Numbers(_, values) => values
            .iter()
            .map(|value| integers.iter().position(|known| *known as f64 == value.trunc()))
            .collect(),
    };
    let count = integers.len().max(texts.len());
    if node.int("zeros", 1) == 0 && positions.contains(&None) {
        return refuse(format!("{node} does not know a value"));
    }
    let shape = [&tensor.shape[..], &[count]].concat();
    let mut values = vec![0.0; elements(&shape)?];
    for (n, position) in positions.into_iter().enumerate() {
        if let Some(position) = position {
            values[n * count + position] = 1.0;
        }
    }
    Tensor::numbers(shape, Kind::Float, values)
}

/// The keys of a map, as its node lists them.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelKeys {
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

/// The keys of LabelEncoder or CategoryMapper, their values, and the value of every other key. The values are a tensor of
/// one more element, the last of which is the default.
pub fn label_map(node: &Node, keys_are_texts: bool) -> Result<(LabelKeys, Tensor)> {
    if node.op == "CategoryMapper" || node.has("classes_strings") {
        return old_map(node, keys_are_texts);
    }
    let keys = match node.tensor("keys_tensor")? {
        Some(Tensor { data: Data::Texts(texts), .. }) => LabelKeys::Texts(texts),
        Some(tensor) => LabelKeys::Numbers(tensor.values()?.to_vec()),
        None if node.has("keys_strings") => LabelKeys::Texts(node.strings("keys_strings")?),
        None if node.has("keys_int64s") => {
            LabelKeys::Numbers(node.ints("keys_int64s").iter().map(|key| *key as f64).collect())
        }
        None => LabelKeys::Numbers(node.floats("keys_floats")),
    };
    let other = node.tensor("default_tensor")?;
    let number = |kind, mut values: Vec<f64>, default: f64| {
        let default = other.as_ref().map_or(Ok(default), Tensor::scalar)?;
        values.push(default);
        Ok::<_, ImportError>(Tensor::list(kind, values))
    };
    let text = |mut values: Vec<String>| {
        let default = match &other {
            Some(Tensor { data: Data::Texts(texts), .. }) => texts.first().cloned().unwrap_or_default(),
            _ => node.text("default_string", "_Unused"),
        };
        values.push(default);
        Tensor::texts(vec![values.len()], values)
    };
    let values = match node.tensor("values_tensor")? {
        Some(Tensor { data: Data::Texts(texts), .. }) => text(texts)?,
        Some(tensor) => {
            let default = if tensor.kind()? == Kind::Integer { -1.0 } else { 0.0 };
            number(tensor.kind()?, tensor.values()?.to_vec(), default)?
        }
        None if node.has("values_strings") => text(node.strings("values_strings")?)?,
        None if node.has("values_int64s") => {
            let values = node.ints("values_int64s").iter().map(|value| *value as f64).collect();
            number(Kind::Integer, values, node.int("default_int64", -1) as f64)?
        }
        None => number(Kind::Float, node.floats("values_floats"), node.float("default_float", 0.0))?,
    };
    checked_map(node, keys, values)
}

/// The forms of operator set 1: texts to positions, or the other way round.
fn old_map(node: &Node, keys_are_texts: bool) -> Result<(LabelKeys, Tensor)> {
    let (texts, integers) = match node.op == "CategoryMapper" {
        true => (node.strings("cats_strings")?, node.ints("cats_int64s").iter().map(|n| *n as f64).collect()),
        false => {
            let texts = node.strings("classes_strings")?;
            let positions = (0..texts.len()).map(|n| n as f64).collect::<Vec<_>>();
            (texts, positions)
        }
    };
    match keys_are_texts {
        true => {
            let mut values = integers;
            values.push(node.int("default_int64", -1) as f64);
            checked_map(node, LabelKeys::Texts(texts), Tensor::list(Kind::Integer, values))
        }
        false => {
            let mut values = texts;
            values.push(node.text("default_string", "_Unused"));
            checked_map(node, LabelKeys::Numbers(integers), Tensor::texts(vec![values.len()], values)?)
        }
    }
}

fn checked_map(node: &Node, keys: LabelKeys, values: Tensor) -> Result<(LabelKeys, Tensor)> {
    let count = match &keys {
        LabelKeys::Texts(texts) => texts.len(),
        LabelKeys::Numbers(numbers) => numbers.len(),
    };
    match count + 1 == values.len() {
        true => Ok((keys, values)),
        false => Err(misfit(node)),
    }
}

fn label_encoder(given: &Given) -> Result<Tensor> {
    let tensor = given.need(0)?;
    let (keys, values) = label_map(given.node, matches!(tensor.data, Data::Texts(_)))?;
    let other = values.len() - 1;
    let places: Vec<usize> = match (&tensor.data, &keys) {
        (Data::Texts(texts), LabelKeys::Texts(keys)) => {
            let known: HashMap<&String, usize> = keys.iter().zip(0..).collect();
            texts.iter().map(|text| known.get(text).copied().unwrap_or(other)).collect()
        }
        (Data::Numbers(_, numbers), LabelKeys::Numbers(keys)) => {
            let is = |key: &f64, number: &f64| key == number || (key.is_nan() && number.is_nan());
            let place = |number: &f64| keys.iter().position(|key| is(key, number)).unwrap_or(other);
            numbers.iter().map(place).collect()
        }
        _ => return refuse(format!("{} has keys of another type than its input", given.node)),
    };
    values.pick(tensor.shape.clone(), places.into_iter())
}

fn extract(given: &Given) -> Result<Tensor> {
    let (tensor, indices) = (given.need(0)?, given.need(1)?.integers()?);
    let (Some((length, _)), count) = (tensor.shape.split_last(), indices.len()) else {
        return refuse(format!("{} reads a tensor without dimensions", given.node));
    };
    let places: Vec<usize> =
        indices.iter().map(|index| super::axis_of(*index, *length)).collect::<Result<_>>()?;
    let rows = tensor.len() / (*length).max(1);
    let at = (0..rows).flat_map(|row| places.iter().map(move |place| row * length + place));
    tensor.pick(vec![rows, count], at)
}

fn vectorize(given: &Given) -> Result<Tensor> {
    let all = given.all()?;
    let rows = all.first().map_or(0, |tensor| tensor.shape.first().copied().unwrap_or(0));
    let mut values = Vec::new();
    let widths: Vec<usize> = all.iter().map(|tensor| tensor.len() / rows.max(1)).collect();
    for row in 0..rows {
        for (tensor, width) in all.iter().zip(&widths) {
            values.extend_from_slice(
                tensor.values()?.get(row * width..(row + 1) * width).ok_or_else(|| misfit(given.node))?,
            );
        }
    }
    floats(vec![rows, widths.iter().sum()], values.into_iter())
}

/// The sums of a linear model, one for each target, without its post transform.
fn linear(given: &Given, targets: &str, work: &Work) -> Result<Tensor> {
    let node = given.node;
    let (rows, columns, values, _) = table(given)?;
    let (coefficients, intercepts) = (node.floats("coefficients"), node.floats("intercepts"));
    let count = match targets {
        "" => coefficients.len() / columns.max(1),
        name => usize::try_from(node.int(name, 1)).unwrap_or(0),
    };
    if count == 0
        || count.checked_mul(columns) != Some(coefficients.len())
        || !(intercepts.is_empty() || intercepts.len() == count)
    {
        return Err(misfit(node));
    }
    work.take(&[rows, columns, count])?;
    let sums = (0..rows * count).map(|n| {
        let (row, target) = (n / count, n % count);
        let weights = &coefficients[target * columns..][..columns];
        let products =
            values[row * columns..][..columns].iter().zip(weights).map(|(value, weight)| value * weight);
        products.sum::<f64>() + intercepts.get(target).copied().unwrap_or(0.0)
    });
    floats(vec![rows, count], sums)
}

fn linear_classifier(given: &Given, work: &Work) -> Result<Vec<Tensor>> {
    let node = given.node;
    let sums = linear(given, "", work)?;
    let width = sums.shape[1];
    let scores = of_scores(sums, Post::of(node)?, width == 1, false)?;
    Ok(vec![no_label(), scores])
}

/// The scores of a classifier from its sums. Where only one class has a sum, the other gets what is left.
fn of_scores(sums: Tensor, post: Post, one_sided: bool, all_positive: bool) -> Result<Tensor> {
    let width = sums.shape[1].max(1);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut scores = Vec::new();
    for row in sums.values()?.chunks_exact(width) {
        match (post, one_sided) {
            (Post::Logistic, true) => scores.extend([sigmoid(-row[0]), sigmoid(row[0])]),
            (Post::Softmax, true) => scores.extend([sigmoid(-2.0 * row[0]), sigmoid(2.0 * row[0])]),
            (Post::None, true) if all_positive => scores.extend([1.0 - row[0], row[0]]),
            (Post::None, true) => scores.extend([-row[0], row[0]]),
            (Post::Logistic, false) => scores.extend(row.iter().map(|sum| sigmoid(*sum))),
            (Post::None, false) => scores.extend_from_slice(row),
            (Post::Softmax, false) => {
                let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|value| (value - most).exp()).sum();
                scores.extend(row.iter().map(|value| (value - most).exp() / sum));
            }
        }
    }
    let columns = if one_sided { 2 } else { width };
    floats(vec![sums.shape[0], columns], scores.into_iter())
}

fn trees(given: &Given, work: &Work) -> Result<Tensor> {
    let (rows, columns, values, _) = table(given)?;
    let ensemble = Ensemble::read(given.node)?;
    let Ensemble { post, one_sided, all_positive, targets, .. } = ensemble;
    work.take(&[rows, ensemble.trees.len(), 16])?;
    let sums = values.chunks_exact(columns.max(1)).map(|row| ensemble.sums(row));
    let sums = sums.collect::<Result<Vec<_>>>()?.concat();
    let sums = floats(vec![rows, targets], sums.into_iter())?;
    match given.node.op == "TreeEnsembleClassifier" || post != Post::None {
        true => of_scores(sums, post, one_sided, all_positive),
        false => Ok(sums),
    }
}
