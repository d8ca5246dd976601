//! Networks of floats, whose outputs are averaged as doubles.

use super::activation::activated;
use super::columns::Inputs;
use super::graph::{int, Graph, Value};
use super::{numbers, ExportError};
use model::network::{Cross, Dense, Network};
use model::Recipe;

/// The mean output of the networks, shape `(rows, outputs)`, of doubles.
pub fn average(
    recipe: &Recipe,
    members: &[Network],
    inputs: &Inputs,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let dense = match &inputs.numbers {
        Some(numbers) => numbers::dense(recipe, numbers, graph)?,
        None => Vec::new(),
    };
    let mut outputs = Vec::new();
    for (m, network) in members.iter().enumerate() {
        let name = format!("network.{m}");
        let output = forward(&name, network, &dense, &inputs.codes, graph)?;
        outputs.push(graph.cast::<f64>(&format!("{name}/output"), &output));
    }
    if let [one] = &outputs[..] {
        return Ok(one.clone());
    }
    let sum = graph.node("Sum", "networks/sum", &outputs.iter().collect::<Vec<_>>(), vec![]);
    let count = graph.scalar("networks/count", members.len() as f64)?;
    Ok(graph.node("Div", "networks", &[&sum, &count], vec![]))
}

/// What [`Network::outputs`] says, for every row.
fn forward(
    name: &str,
    network: &Network,
    dense: &[Value],
    codes: &[Value],
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let mut parts = dense.to_vec();
    for (i, (table, codes)) in network.embeddings.iter().zip(codes).enumerate() {
        let name = format!("{name}/embedding.{i}");
        let table = graph.constant(&format!("{name}/table"), table.shape(), table.iter().copied())?;
        parts.push(graph.node("Gather", &name, &[&table, codes], vec![int("axis", 0)]));
    }
    let input = graph.concat(&format!("{name}/input"), &parts);
    let Some((last, hidden)) = network.layers.split_last() else { return Ok(input) };
    let mut crossed = input.clone();
    for (k, layer) in network.crosses.iter().enumerate() {
        crossed = cross(&format!("{name}/cross.{k}"), layer, &input, &crossed, graph)?;
    }
    let mut values = input;
    for (k, layer) in hidden.iter().enumerate() {
        let name = format!("{name}/layer.{k}");
        let sums = linear(&format!("{name}/sums"), layer, &values, graph)?;
        values = activated(&name, network.activation(k), &sums, graph)?;
    }
    let read = match (network.crosses.is_empty(), hidden.is_empty()) {
        (true, _) => values,
        (false, true) => crossed,
        (false, false) => graph.concat(&format!("{name}/read"), &[crossed, values]),
    };
    linear(&format!("{name}/layer.{}", hidden.len()), last, &read, graph)
}

/// `input ⊙ (up · (down · x) + bias) + x`.
fn cross(
    name: &str,
    Cross { down, up, bias }: &Cross,
    input: &Value,
    x: &Value,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let down = graph.constant(&format!("{name}/down.weight"), down.shape(), down.iter().copied())?;
    let down = graph.node("Gemm", &format!("{name}/down"), &[x, &down], vec![int("transB", 1)]);
    let up = graph.constant(&format!("{name}/up.weight"), up.shape(), up.iter().copied())?;
    let bias = graph.constant(&format!("{name}/bias"), bias.shape(), bias.iter().copied())?;
    let up = graph.node("Gemm", &format!("{name}/up"), &[&down, &up, &bias], vec![int("transB", 1)]);
    let product = graph.node("Mul", &format!("{name}/product"), &[input, &up], vec![]);
    Ok(graph.node("Add", name, &[&product, x], vec![]))
}

/// `x · weightᵀ + bias`.
fn linear(
    name: &str,
    Dense { weight, bias }: &Dense,
    x: &Value,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let weight = graph.constant(&format!("{name}/weight"), weight.shape(), weight.iter().copied())?;
    let bias = graph.constant(&format!("{name}/bias"), bias.shape(), bias.iter().copied())?;
    Ok(graph.node("Gemm", name, &[x, &weight, &bias], vec![int("transB", 1)]))
}
