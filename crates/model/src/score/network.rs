//! The weights of networks, and a plain forward pass, against which the fast one is tested.

use crate::error::ModelError;
use crate::stored::recipe::{Recipe, UNSEEN};
use ndarray::{Array1, Array2};

pub use super::activation::Activation;

/// Most linear layers a network may have, the last among them.
pub const MAX_LAYERS: usize = 65;
/// Most outputs of a layer.
pub const MAX_OUTPUTS: usize = 4096;
/// Most cross layers.
pub const MAX_CROSSES: usize = 8;

/// One linear layer: `y = weight · x + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Shape (outputs, inputs).
    pub weight: Array2<f32>,
    /// Shape (outputs).
    pub bias: Array1<f32>,
}

/// One cross layer of low rank (DCN-v2, Wang et al. 2021): `x' = x₀ ⊙ (up · (down · x) + bias) + x`, where `x₀` is
/// the network's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Cross {
    /// Shape (rank, width).
    pub down: Array2<f32>,
    /// Shape (width, rank).
    pub up: Array2<f32>,
    /// Shape (width).
    pub bias: Array1<f32>,
}

/// Embeddings, then two paths from the same input: cross layers, if there are any, and hidden layers, if
/// there are any. The last linear layer reads what the crosses put out followed by what the hidden layers put out, and
/// has one output for each of [`crate::Output::outputs`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    /// One table for each category of the recipe, shape (rows, dimension).
    pub embeddings: Vec<Array2<f32>>,
    pub crosses: Vec<Cross>,
    /// The hidden layers and the last.
    pub layers: Vec<Dense>,
    /// One for each hidden layer; empty if all are ReLU.
    pub activations: Vec<Activation>,
}

impl Network {
    /// Checks that the shapes agree with the recipe and with each other, that there are `outputs` outputs, at most [`MAX_LAYERS`] layers of at most [`MAX_OUTPUTS`] outputs, at most [`MAX_CROSSES`] cross layers, and
    /// no weight that is NaN or infinite.
    pub fn check(&self, recipe: &Recipe, outputs: usize) -> Result<(), ModelError> {
        self.check_embeddings(recipe)?;
        self.check_crosses(recipe.width())?;
        self.check_layers(recipe.width(), outputs)
    }

    /// Multiplies every output by a factor.
    pub fn scale(&mut self, factor: f64) {
        let scaled = |weight: f32| (f64::from(weight) * factor) as f32;
        if let Some(Dense { weight, bias }) = self.layers.last_mut() {
            weight.mapv_inplace(scaled);
            bias.mapv_inplace(scaled);
        }
    }

    fn check_embeddings(&self, recipe: &Recipe) -> Result<(), ModelError> {
        let categories = recipe.categories();
        if self.embeddings.len() != categories.len() {
            let (has, needs) = (self.embeddings.len(), categories.len());
            return Err(ModelError::artifact(format!("{has} embedding tables for {needs} categories")));
        }
        for (i, (table, category)) in self.embeddings.iter().zip(categories).enumerate() {
            let expected = (category.rows(), category.dimension);
            if table.dim() != expected {
                let shape = table.dim();
                return Err(ModelError::artifact(format!("embedding {i} is {shape:?}, not {expected:?}")));
            }
            if !is_finite(table) {
                return Err(ModelError::artifact(format!("embedding {i} holds a number that is not finite")));
            }
        }
        Ok(())
    }

    fn check_crosses(&self, width: usize) -> Result<(), ModelError> {
        if self.crosses.len() > MAX_CROSSES {
            return Err(ModelError::artifact(format!("{} cross layers", self.crosses.len())));
        }
        for (k, Cross { down, up, bias }) in self.crosses.iter().enumerate() {
            let rank = down.nrows();
            let fits = (1..=MAX_OUTPUTS).contains(&rank)
                && down.dim() == (rank, width)
                && up.dim() == (width, rank)
                && bias.len() == width;
            if !fits {
                let shapes = (down.dim(), up.dim(), bias.len());
                return Err(ModelError::artifact(format!(
                    "cross layer {k} is {shapes:?} for {width} inputs"
                )));
            }
            if !is_finite(down.iter().chain(up).chain(bias)) {
                return Err(ModelError::artifact(format!(
                    "cross layer {k} holds a weight that is not finite"
                )));
            }
        }
        Ok(())
    }

    fn check_layers(&self, width: usize, outputs: usize) -> Result<(), ModelError> {
        if self.layers.is_empty() || self.layers.len() > MAX_LAYERS {
            return Err(ModelError::artifact(format!("{} layers, not 1 to {MAX_LAYERS}", self.layers.len())));
        }
        let last = self.layers.len() - 1;
        let fits = self.activations.is_empty() || self.activations.len() == last;
        if !fits || !self.activations.iter().all(|activation| activation.fits()) {
            return Err(ModelError::artifact("the activations of its layers"));
        }
        let mut inputs = width;
        for (k, layer) in self.layers.iter().enumerate() {
            let outputs = if k == last { outputs } else { layer.bias.len() };
            if k == last {
                inputs = self.last_inputs(width, inputs);
            }
            if !(1..=MAX_OUTPUTS).contains(&outputs) {
                return Err(ModelError::artifact(format!("layer {k} has {outputs} outputs")));
            }
            if layer.weight.dim() != (outputs, inputs) || layer.bias.len() != outputs {
                let (weight, bias) = (layer.weight.dim(), layer.bias.len());
                return Err(ModelError::artifact(format!(
                    "layer {k} is {weight:?} with {bias} biases, not {:?}",
                    (outputs, inputs)
                )));
            }
            if !is_finite(layer.weight.iter().chain(&layer.bias)) {
                return Err(ModelError::artifact(format!("layer {k} holds a weight that is not finite")));
            }
            inputs = outputs;
        }
        Ok(())
    }

    /// The activation of a hidden layer.
    pub fn activation(&self, layer: usize) -> Activation {
        self.activations.get(layer).copied().unwrap_or_default()
    }

    /// The number of inputs of the last layer, where the layer before it has `hidden` outputs.
    fn last_inputs(&self, width: usize, hidden: usize) -> usize {
        match (self.crosses.is_empty(), self.layers.len()) {
            (true, _) => hidden,
            (false, 1) => width,
            (false, _) => width + hidden,
        }
    }

    /// Weights, biases and embeddings: how many numbers training fits.
    pub fn parameters(&self) -> usize {
        let tables: usize = self.embeddings.iter().map(|table| table.len()).sum();
        let crosses: usize = self.crosses.iter().map(|c| c.down.len() + c.up.len() + c.bias.len()).sum();
        let layers: usize = self.layers.iter().map(|layer| layer.weight.len() + layer.bias.len()).sum();
        tables + crosses + layers
    }

    /// The outputs (not calibrated) of one row: the plain reference that faster code is tested against.
    ///
    /// `dense` is the standardized `[numbers | indicators]` part of the input (see [`crate::recipe`]);
    /// `categories` holds one embedding row for each category, where a row the table does not have counts as
    /// [`UNSEEN`].
    ///
    /// # Panics
    /// If the network does not pass [`Network::check`], or the lengths do not fit its recipe.
    pub fn outputs(&self, dense: &[f32], categories: &[u32]) -> Vec<f32> {
        assert_eq!(categories.len(), self.embeddings.len(), "one embedding row for each category");
        let mut input = dense.to_vec();
        for (table, row) in self.embeddings.iter().zip(categories) {
            let row = if (*row as usize) < table.nrows() { *row } else { UNSEEN };
            input.extend(table.row(row as usize));
        }
        let input = Array1::from_vec(input);
        let mut crossed = input.clone();
        for Cross { down, up, bias } in &self.crosses {
            crossed = &input * &(up.dot(&down.dot(&crossed)) + bias) + &crossed;
        }
        let (last, hidden) = self.layers.split_last().expect("a network has a last layer");
        let mut values = input;
        for (k, layer) in hidden.iter().enumerate() {
            let activation = self.activation(k);
            values = (layer.weight.dot(&values) + &layer.bias)
                .mapv_into(|v| activation.with_slope(v.into()).0 as f32);
        }
        let read = match (self.crosses.is_empty(), hidden.is_empty()) {
            (true, _) => values,
            (false, true) => crossed,
            (false, false) => crossed.into_iter().chain(values).collect(),
        };
        (last.weight.dot(&read) + &last.bias).to_vec()
    }
}

fn is_finite<'a>(weights: impl IntoIterator<Item = &'a f32>) -> bool {
    weights.into_iter().all(|weight| weight.is_finite())
}
