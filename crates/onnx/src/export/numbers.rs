//! What a network reads of numbers: `[numbers | missing indicators | second readings | bins]`, as [`model::recipe`] says.

use super::columns::Numbers;
use super::graph::{Graph, Value};
use super::lines::{broken_lines, clipped, shares, Points};
use super::ExportError;
use model::recipe::{Recipe, Scaling, MAX_STANDARDIZED};
use model::transform::Transform;

/// The parts of a network's input that come before the embeddings, as floats.
pub fn dense(recipe: &Recipe, numbers: &Numbers, graph: &mut Graph) -> Result<Vec<Value>, ExportError> {
    let firsts: Vec<(usize, &Scaling)> = recipe.scalings().into_iter().enumerate().collect();
    let mut parts = vec![standardized("first", &firsts, numbers, graph)?];
    let indicated: Vec<usize> =
        firsts.iter().filter(|(_, scaling)| scaling.indicator).map(|(n, _)| *n).collect();
    if !indicated.is_empty() {
        let missing = graph.columns("indicators/missing", &numbers.missing, numbers.count, &indicated)?;
        parts.push(graph.cast::<f32>("indicators", &missing));
    }
    let seconds: Vec<(usize, &Scaling)> =
        firsts.iter().filter_map(|(n, scaling)| Some((*n, scaling.second.as_deref()?))).collect();
    if !seconds.is_empty() {
        parts.push(standardized("second", &seconds, numbers, graph)?);
    }
    let edges: Vec<(usize, f64, f64)> = firsts
        .iter()
        .flat_map(|(n, s)| s.bins.edges().windows(2).map(|pair| (*n, pair[0], pair[1])))
        .collect();
    if !edges.is_empty() {
        parts.push(bins(&edges, numbers, graph)?);
    }
    Ok(parts)
}

/// The bins' inputs; each bin is its number, its lower and its upper edge.
fn bins(edges: &[(usize, f64, f64)], numbers: &Numbers, graph: &mut Graph) -> Result<Value, ExportError> {
    let places: Vec<usize> = edges.iter().map(|(number, ..)| *number).collect();
    let values = graph.columns("bins/values", &numbers.filled, numbers.count, &places)?;
    let starts = graph.constant("bins/starts", &[edges.len()], edges.iter().map(|(_, low, _)| *low))?;
    let widths =
        graph.constant("bins/widths", &[edges.len()], edges.iter().map(|(_, low, high)| high - low))?;
    let shares = shares("bins", &values, &starts, &widths, graph)?;
    without_missing("bins", &shares, &places, numbers, graph)
}

/// Numbers, each transformed and standardized.
fn standardized(
    name: &str,
    readings: &[(usize, &Scaling)],
    numbers: &Numbers,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let transformed = transformed(name, readings, numbers, graph)?;
    let is_read = |(_, scaling): &(usize, &'_ Scaling)| !scaling.is_constant();
    // Of a constant number, 0 comes in.
    let means = readings.iter().map(|reading| if is_read(reading) { reading.1.mean } else { 0.0 });
    let scales = readings.iter().map(|reading| if is_read(reading) { reading.1.scale } else { 1.0 });
    let means = graph.constant(&format!("{name}/means"), &[readings.len()], means.collect::<Vec<f64>>())?;
    let scales =
        graph.constant(&format!("{name}/scales"), &[readings.len()], scales.collect::<Vec<f64>>())?;
    let centered = graph.node("Sub", &format!("{name}/centered"), &[&transformed, &means], vec![]);
    let scaled = graph.node("Div", &format!("{name}/scaled"), &[&centered, &scales], vec![]);
    let bounded = clipped(&format!("{name}/bounded"), &scaled, -MAX_STANDARDIZED, MAX_STANDARDIZED, graph)?;
    let places: Vec<usize> = readings.iter().map(|(number, _)| *number).collect();
    without_missing(name, &bounded, &places, numbers, graph)
}

/// As floats, with 0 where the number that a column was made of is missing.
fn without_missing(
    name: &str,
    values: &Value,
    places: &[usize],
    numbers: &Numbers,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let missing = graph.columns(&format!("{name}/missing"), &numbers.missing, numbers.count, places)?;
    let zero = graph.scalar(&format!("{name}/zero"), 0.0_f64)?;
    let present = graph.node("Where", &format!("{name}/present"), &[&missing, &zero, values], vec![]);
    Ok(graph.cast::<f32>(&format!("{name}/inputs"), &present))
}

/// Numbers that are transformed in one way are transformed together, then put back into their order.
fn transformed(
    name: &str,
    readings: &[(usize, &Scaling)],
    numbers: &Numbers,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let [mut ignored, mut plain, mut logs, mut quantiles] = [const { Vec::new() }; 4];
    let (mut units, mut lines) = (Vec::new(), Vec::new());
    for (position, (_, scaling)) in readings.iter().enumerate() {
        match &scaling.transform {
            _ if scaling.is_constant() => ignored.push(position),
            Transform::Identity => plain.push(position),
            Transform::SignedLog { unit } => {
                logs.push(position);
                units.push(*unit);
            }
            Transform::Quantile { points } => {
                quantiles.push(position);
                lines.push(points.iter().map(|[value, score]| (*value, *score)).collect::<Points>());
            }
        }
    }
    let mut groups = Vec::new();
    for (kind, positions) in
        [("ignored", &ignored), ("plain", &plain), ("log", &logs), ("quantile", &quantiles)]
    {
        if positions.is_empty() {
            continue;
        }
        let name = format!("{name}/{kind}");
        let places: Vec<usize> = positions.iter().map(|position| readings[*position].0).collect();
        let values = graph.columns(&format!("{name}/values"), &numbers.filled, numbers.count, &places)?;
        groups.push(match kind {
            "ignored" => {
                let zero = graph.scalar(&format!("{name}/zero"), 0.0_f64)?;
                graph.node("Mul", &name, &[&values, &zero], vec![])
            }
            "log" => signed_log(&name, &values, &units, graph)?,
            "quantile" => broken_lines(&name, &values, &lines, graph)?,
            _ => values,
        });
    }
    let order: Vec<usize> = [ignored, plain, logs, quantiles].concat();
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(at, position)| places[*position] = at);
    let together = match &groups[..] {
        [one] => one.clone(),
        several => graph.concat(&format!("{name}/groups"), several),
    };
    graph.columns(&format!("{name}/transformed"), &together, places.len(), &places)
}

/// `sign(x) · ln(1 + |x| / unit)`.
fn signed_log(name: &str, values: &Value, units: &[f64], graph: &mut Graph) -> Result<Value, ExportError> {
    let sign = graph.node("Sign", &format!("{name}/sign"), &[values], vec![]);
    let size = graph.node("Abs", &format!("{name}/size"), &[values], vec![]);
    let units = graph.constant(&format!("{name}/units"), &[units.len()], units.iter().copied())?;
    let ratio = graph.node("Div", &format!("{name}/ratio"), &[&size, &units], vec![]);
    let one = graph.scalar(&format!("{name}/one"), 1.0_f64)?;
    let above_one = graph.node("Add", &format!("{name}/above_one"), &[&ratio, &one], vec![]);
    let logarithm = graph.node("Log", &format!("{name}/logarithm"), &[&above_one], vec![]);
    Ok(graph.node("Mul", name, &[&sign, &logarithm], vec![]))
}
