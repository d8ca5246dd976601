//! The network's weights, and the plain forward pass that the fast one is tested against.

use ndarray::{Array1, Array2};

/// One linear layer: `y = weight · x + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Shape (outputs, inputs).
    pub weight: Array2<f32>,
    /// Shape (outputs).
    pub bias: Array1<f32>,
}

/// Embeddings, then linear layers with ReLU between them; the last layer has one output, the logit.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// One table for each category of the recipe, shape (rows, dimension).
    pub embeddings: Vec<Array2<f32>>,
    pub layers: Vec<Dense>,
}
