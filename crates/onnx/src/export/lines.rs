//! Broken lines: straight between points, level beyond the first and the last.

use super::graph::{int, Graph, Value};
use super::ExportError;

/// Points of a line, of which the first numbers rise.
pub type Points = Vec<(f64, f64)>;

/// One line for each column of `values`, which is finite and of shape `(rows, lines)`; the same shape comes out.
///
/// A value is the height of the first point and what each stretch adds: its rise, as far as the value has gone through it, from 0
/// to 1. Lines of fewer points than others get stretches that add nothing.
pub fn broken_lines(
    name: &str,
    values: &Value,
    lines: &[Points],
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let stretches = lines.iter().map(|points| points.len().saturating_sub(1)).max().unwrap_or(0);
    let padded = |of: fn(&[(f64, f64)]) -> f64, padding: f64| {
        let line = move |points: &Points| {
            let known: Vec<f64> = points.windows(2).map(of).collect();
            known.into_iter().chain(std::iter::repeat(padding)).take(stretches).collect::<Vec<_>>()
        };
        lines.iter().flat_map(line).collect::<Vec<f64>>()
    };
    let shape = [lines.len(), stretches];
    let axis = graph.constant(&format!("{name}/axis"), &[1], [2_i64])?;
    let each = graph.node("Unsqueeze", &format!("{name}/each"), &[values, &axis], vec![]);
    let starts = graph.constant(&format!("{name}/starts"), &shape, padded(|pair| pair[0].0, 0.0))?;
    let widths =
        graph.constant(&format!("{name}/widths"), &shape, padded(|pair| pair[1].0 - pair[0].0, 1.0))?;
    let shares = shares(name, &each, &starts, &widths, graph)?;
    let rises =
        graph.constant(&format!("{name}/rises"), &shape, padded(|pair| pair[1].1 - pair[0].1, 0.0))?;
    let added = graph.node("Mul", &format!("{name}/added"), &[&shares, &rises], vec![]);
    let sum = graph.node("ReduceSum", &format!("{name}/sum"), &[&added, &axis], vec![int("keepdims", 0)]);
    let first = lines.iter().map(|points| points.first().map_or(0.0, |point| point.1));
    let first = graph.constant(&format!("{name}/first"), &[lines.len()], first)?;
    Ok(graph.node("Add", name, &[&sum, &first], vec![]))
}

/// How far values have gone through stretches, from 0 to 1.
pub fn shares(
    name: &str,
    values: &Value,
    starts: &Value,
    widths: &Value,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let from = graph.node("Sub", &format!("{name}/from_start"), &[values, starts], vec![]);
    let far = graph.node("Div", &format!("{name}/far"), &[&from, widths], vec![]);
    clipped(&format!("{name}/shares"), &far, 0.0, 1.0, graph)
}

/// Doubles kept between two bounds.
pub fn clipped(
    name: &str,
    value: &Value,
    low: f64,
    high: f64,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let low = graph.scalar(&format!("{name}/low"), low)?;
    let high = graph.scalar(&format!("{name}/high"), high)?;
    Ok(graph.node("Clip", name, &[value, &low, &high], vec![]))
}
