//! How large a network's numbers can get. Weights whose sums could leave the range of 32-bit floats are refused: such a
//! sum can become NaN, which a ReLU turns into 0, and that looks like an answer.

use crate::score::inputs::Number;
use crate::score::network::{Activation, Network};
use crate::score::stack::Linear;
use crate::stored::recipe::Recipe;

/// The largest sum that a layer may be able to reach. Rounding errors cannot make it infinite.
const MOST: f64 = f32::MAX as f64 / 2.0;

/// The largest size of each of a network's inputs, whatever the row.
pub fn of_inputs(recipe: &Recipe, numbers: &[Number], network: &Network) -> Vec<f64> {
    // Indicators are 0 or 1.
    let mut sizes = vec![1.0; recipe.width()];
    for (n, number) in numbers.iter().enumerate() {
        sizes[n] = number.largest();
        if let Some((second, position)) = &number.second {
            sizes[*position] = second.largest();
        }
    }
    let embedded = network.embeddings.iter().flat_map(|table| table.columns().into_iter());
    let largest = embedded.map(|column| column.iter().fold(0.0, |most: f64, w| most.max(f64::from(w.abs()))));
    sizes[recipe.dense_width()..].iter_mut().zip(largest).for_each(|(size, largest)| *size = largest);
    sizes
}

/// Whether no sum of these layers can overflow. Each layer reads the output of the one before.
/// Hidden layers without an activation have ReLU.
pub fn fit(inputs: Vec<f64>, layers: &[Linear], activations: &[Activation]) -> bool {
    let mut sizes = inputs;
    let activations = activations.iter().copied().chain(std::iter::repeat(Activation::Relu));
    layers.iter().zip(activations).all(|(layer, activation)| {
        let sum = |(weights, bias): (&[f32], &f32)| {
            let terms = weights.iter().zip(&sizes).map(|(weight, size)| f64::from(weight.abs()) * size);
            terms.sum::<f64>() + f64::from(bias.abs())
        };
        sizes = layer.weight.chunks_exact(layer.inputs).zip(&layer.bias).map(sum).collect();
        let all = sizes.iter().all(|size| *size <= MOST);
        sizes.iter_mut().for_each(|size| *size = activation.reach(*size));
        all
    })
}
