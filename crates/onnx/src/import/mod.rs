//! From an ONNX model to an artifact.
//!
//! The graph is not run as it is: it is understood, and becomes a recipe and a predictor of ours, so that one scorer serves
//! all models. What is not understood is refused by name. A file that we wrote carries its artifact, which is taken. At the end the
//! graph and the artifact score the same rows, and must agree.
//!
//! | file | holds |
//! | --- | --- |
//! | `wire` | bounds on the bytes, before they are decoded |
//! | `graph` | nodes in order, constants, inputs, the output |
//! | `tensor` | arrays of numbers or texts |
//! | `eval` | the reference: what each node computes |
//! | `trees`, `trees_v5` | ensembles of trees, and their walk |
//! | `units`, `lift` | the graph as sums over units |
//! | `assemble` | sums over units as recipe and predictor |
//! | `own` | files that we wrote |
//! | `compare` | the reference and the converted model, row by row |
//! | `work` | how much may be computed |

mod assemble;
mod compare;
mod error;
mod eval;
mod graph;
mod lift;
mod own;
mod tensor;
#[cfg(test)]
mod tests;
mod trees;
mod trees_v5;
mod units;
mod wire;
mod work;

pub use compare::TOLERANCE;
pub use error::ImportError;

use error::Result;
use model::conversion::Conversion;
use model::protocol::Comparison;
use model::Artifact;
use work::Work;

/// The most that may be computed for one model, in multiplications: a few seconds.
const CONVERSION: u64 = 50_000_000;
const REFERENCE: u64 = 4_000_000_000;

/// Converts a model and compares the result with the original: on the rows of the conversion, or on random ones.
pub fn convert(bytes: &[u8], conversion: &Conversion) -> Result<(Artifact, Comparison)> {
    let reference = Work::new(REFERENCE);
    let (graph, carried) = graph::Graph::read(bytes)?;
    if let Some(artifact) = carried {
        let comparison = own::check(&graph, &artifact, conversion, &reference)?;
        return Ok((artifact, comparison));
    }
    let (units, cells) = lift::lift(&graph, conversion.names.as_deref(), &Work::new(CONVERSION))?;
    let artifact = assemble::assemble(&units, &cells, conversion)?;
    let inputs = compare::Inputs { columns: &units.columns, null_text: "" };
    let comparison = compare::compare(&graph, &inputs, &artifact, conversion, &reference)?;
    Ok((artifact, comparison))
}
