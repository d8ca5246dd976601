//! The network's weights, and the plain forward pass that the fast one is tested against.

use crate::error::ModelError;
use crate::recipe::{Recipe, UNSEEN};
use ndarray::{Array1, Array2};

/// Most linear layers a network may have: eight hidden ones and the last.
pub const MAX_LAYERS: usize = 9;
/// Most outputs of a layer.
pub const MAX_OUTPUTS: usize = 4096;

/// One linear layer: `y = weight · x + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Shape (outputs, inputs).
    pub weight: Array2<f32>,
    /// Shape (outputs).
    pub bias: Array1<f32>,
}

impl Dense {
    fn is_finite(&self) -> bool {
        self.weight.iter().chain(&self.bias).all(|w| w.is_finite())
    }
}

/// Embeddings, then linear layers with ReLU between them; the last layer has one output, the logit.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// One table for each category of the recipe, shape (rows, dimension).
    pub embeddings: Vec<Array2<f32>>,
    pub layers: Vec<Dense>,
}

impl Network {
    /// Checks that the shapes agree with the recipe and with each other, that the last layer has one output,
    /// and that there are at most [`MAX_LAYERS`] layers of at most [`MAX_OUTPUTS`] outputs and no weight that
    /// is NaN or infinite.
    pub fn check(&self, recipe: &Recipe) -> Result<(), ModelError> {
        self.check_embeddings(recipe)?;
        self.check_layers(recipe.width())
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
            if !table.iter().all(|w| w.is_finite()) {
                return Err(ModelError::artifact(format!("embedding {i} holds a number that is not finite")));
            }
        }
        Ok(())
    }

    fn check_layers(&self, width: usize) -> Result<(), ModelError> {
        if self.layers.is_empty() || self.layers.len() > MAX_LAYERS {
            return Err(ModelError::artifact(format!("{} layers, not 1 to {MAX_LAYERS}", self.layers.len())));
        }
        let mut inputs = width;
        for (k, layer) in self.layers.iter().enumerate() {
            let outputs = if k + 1 == self.layers.len() { 1 } else { layer.bias.len() };
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
            if !layer.is_finite() {
                return Err(ModelError::artifact(format!("layer {k} holds a weight that is not finite")));
            }
            inputs = outputs;
        }
        Ok(())
    }

    /// Weights, biases and embeddings: how many numbers training fits.
    pub fn parameters(&self) -> usize {
        let tables: usize = self.embeddings.iter().map(|table| table.len()).sum();
        let layers: usize = self.layers.iter().map(|layer| layer.weight.len() + layer.bias.len()).sum();
        tables + layers
    }

    /// The logit (not calibrated) of one row: the plain reference that faster code is tested against.
    ///
    /// `dense` is the standardized `[numbers | indicators]` part of the input (see [`crate::recipe`]);
    /// `categories` holds one embedding row for each category, where a row the table does not have counts as
    /// [`UNSEEN`].
    ///
    /// # Panics
    /// If the network does not pass [`Network::check`], or the lengths do not fit its recipe.
    pub fn logit(&self, dense: &[f32], categories: &[u32]) -> f32 {
        assert_eq!(categories.len(), self.embeddings.len(), "one embedding row for each category");
        let mut input = dense.to_vec();
        for (table, row) in self.embeddings.iter().zip(categories) {
            let row = if (*row as usize) < table.nrows() { *row } else { UNSEEN };
            input.extend(table.row(row as usize));
        }
        let mut values = Array1::from_vec(input);
        for (k, layer) in self.layers.iter().enumerate() {
            if k > 0 {
                values.mapv_inplace(|v| v.max(0.0));
            }
            values = layer.weight.dot(&values) + &layer.bias;
        }
        values[0]
    }
}
