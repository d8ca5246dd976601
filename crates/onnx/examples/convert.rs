//! Converts models in ONNX and says how well each agrees with the original:
//!
//! ```text
//! cargo run -p pg_recommend_onnx --example convert -- MODEL.onnx …
//! ```
//!
//! With `--columns a,b,c` before them, the columns of a model whose one input has several values.

use model::conversion::Conversion;

fn main() {
    let mut conversion = Conversion::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--columns" {
            let names = arguments.next().unwrap_or_default();
            conversion.names = Some(names.split(',').map(str::to_owned).collect());
            continue;
        }
        let bytes = std::fs::read(&argument).expect("a file");
        match onnx::import::convert(&bytes, &conversion) {
            Ok((artifact, comparison)) => println!(
                "{argument}: {}, {} rows, {} without a score, worst {:e}",
                artifact.algorithm, comparison.rows, comparison.without_score, comparison.worst
            ),
            Err(error) => println!("{argument}: {error} ({})", error.hint.as_deref().unwrap_or("no hint")),
        }
    }
}
