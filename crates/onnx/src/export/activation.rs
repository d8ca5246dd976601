//! The activations of hidden layers.

use super::graph::{float, Graph, Value};
use super::ExportError;
use model::network::Activation;
use std::f32::consts::{FRAC_1_SQRT_2, PI};

/// What an activation makes of a layer's sums.
pub fn activated(
    name: &str,
    activation: Activation,
    sums: &Value,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    Ok(match activation {
        Activation::Relu => graph.node("Relu", name, &[sums], vec![]),
        Activation::LeakyRelu { slope } => {
            graph.node("LeakyRelu", name, &[sums], vec![float("alpha", slope)])
        }
        Activation::Elu { alpha } => graph.node("Elu", name, &[sums], vec![float("alpha", alpha)]),
        Activation::Tanh => graph.node("Tanh", name, &[sums], vec![]),
        Activation::Sigmoid => graph.node("Sigmoid", name, &[sums], vec![]),
        Activation::Silu => {
            let sigmoid = graph.node("Sigmoid", &format!("{name}/sigmoid"), &[sums], vec![]);
            graph.node("Mul", name, &[sums, &sigmoid], vec![])
        }
        Activation::Gelu => {
            let scaled = times(&format!("{name}/scaled"), sums, FRAC_1_SQRT_2, graph)?;
            let erf = graph.node("Erf", &format!("{name}/erf"), &[&scaled], vec![]);
            gate(name, sums, &erf, graph)?
        }
        Activation::GeluTanh => {
            let square = graph.node("Mul", &format!("{name}/square"), &[sums, sums], vec![]);
            let cube = graph.node("Mul", &format!("{name}/cube"), &[&square, sums], vec![]);
            let bent = times(&format!("{name}/bent"), &cube, 0.044715, graph)?;
            let inner = graph.node("Add", &format!("{name}/inner"), &[sums, &bent], vec![]);
            let scaled = times(&format!("{name}/scaled"), &inner, (2.0 / PI).sqrt(), graph)?;
            let tanh = graph.node("Tanh", &format!("{name}/tanh"), &[&scaled], vec![]);
            gate(name, sums, &tanh, graph)?
        }
    })
}

/// `x · (1 + gate) / 2`.
fn gate(name: &str, x: &Value, gate: &Value, graph: &mut Graph) -> Result<Value, ExportError> {
    let one = graph.scalar(&format!("{name}/one"), 1.0_f32)?;
    let opened = graph.node("Add", &format!("{name}/opened"), &[gate, &one], vec![]);
    let twice = graph.node("Mul", &format!("{name}/twice"), &[x, &opened], vec![]);
    times(name, &twice, 0.5, graph)
}

fn times(name: &str, x: &Value, factor: f32, graph: &mut Graph) -> Result<Value, ExportError> {
    let factor = graph.scalar(&format!("{name}/factor"), factor)?;
    Ok(graph.node("Mul", name, &[x, &factor], vec![]))
}
