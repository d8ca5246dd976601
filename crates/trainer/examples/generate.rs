//! Writes `data.arrow` and `spec.json` of a made-up problem, to run the trainer by hand or to time it:
//!
//! `cargo run --release -p pg_recommend_trainer --example generate -- FOLDER [ROWS [NUMBERS [CATEGORIES [PARAMS]]]]`

use arrow_array::{ArrayRef, BooleanArray, Date32Array, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::FileWriter;
use arrow_schema::Schema;
use model::protocol::{Role, SourceColumn, Spec};
use model::recipe::Family;
use model::{Algorithm, Params};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

const BATCH: usize = 65_536;
const WEEKS: i32 = 40;
const VALUES: u32 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().ok_or("name a folder")?);
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (rows, numbers, categories) = (number(1, 200_000)?, number(2, 40)?, number(3, 0)?);
    let params = Params::from_json(arguments.get(4).map_or("{}", String::as_str), &Algorithm::ALL)?;

    let columns = columns(numbers, categories);
    let algorithms = vec![Algorithm::Mlp];
    let spec = Spec { extension: None, model: "generated".into(), algorithms, params, columns };
    serde_json::to_writer(File::create(folder.join("spec.json"))?, &spec)?;

    let mut random = ChaCha8Rng::seed_from_u64(1);
    let weights: Vec<f32> = (0..numbers).map(|_| random.random_range(-1.0..1.0)).collect();
    let mut writer = None;
    for start in (0..rows).step_by(BATCH) {
        let names = spec.columns.iter().map(|c| c.name.clone());
        let arrays = batch(start, BATCH.min(rows - start), &weights, categories, &mut random);
        let batch = RecordBatch::try_from_iter(names.zip(arrays))?;
        if writer.is_none() {
            let schema: &Schema = &batch.schema();
            writer = Some(FileWriter::try_new_buffered(File::create(folder.join("data.arrow"))?, schema)?);
        }
        if let Some(writer) = &mut writer {
            writer.write(&batch)?;
        }
    }
    writer.ok_or("no rows")?.finish()?;
    Ok(())
}

fn columns(numbers: usize, categories: usize) -> Vec<SourceColumn> {
    let column = |name: String, sql_type: &str, family, role| SourceColumn {
        name,
        sql_type: sql_type.into(),
        family,
        role,
    };
    let mut columns = vec![
        column("product_id".into(), "bigint", Family::Number, Role::Key),
        column("week".into(), "date", Family::Date, Role::Time),
        column("purchased".into(), "boolean", Family::Boolean, Role::Label),
    ];
    columns.extend((0..numbers).map(|i| column(format!("x{i}"), "real", Family::Number, Role::Feature)));
    columns.extend((0..categories).map(|i| column(format!("c{i}"), "text", Family::Text, Role::Feature)));
    columns
}

/// A logistic model of the numbers and of the first category, with some noise and NULLs.
fn batch(
    start: usize,
    rows: usize,
    weights: &[f32],
    categories: usize,
    random: &mut ChaCha8Rng,
) -> Vec<ArrayRef> {
    let mut logits = vec![-1.0_f32; rows];
    let mut inputs: Vec<ArrayRef> = Vec::new();
    for weight in weights {
        let values: Vec<Option<f32>> =
            (0..rows).map(|_| random.random_bool(0.98).then(|| random.random_range(-1.0..1.0))).collect();
        logits.iter_mut().zip(&values).for_each(|(logit, value)| *logit += weight * value.unwrap_or(0.0));
        inputs.push(Arc::new(Float32Array::from(values)));
    }
    for index in 0..categories {
        let values: Vec<u32> = (0..rows).map(|_| random.random_range(0..VALUES)).collect();
        if index == 0 {
            logits.iter_mut().zip(&values).for_each(|(logit, value)| *logit += (*value as f32 / 20.0).sin());
        }
        inputs.push(Arc::new(StringArray::from_iter_values(values.iter().map(|v| format!("value {v}")))));
    }
    let labels: Vec<bool> =
        logits.iter().map(|logit| random.random::<f32>() < 1.0 / (1.0 + (-logit).exp())).collect();
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values((start..start + rows).map(|row| row as i64 % 4999))),
        Arc::new(Date32Array::from_iter_values(
            (start..start + rows).map(|row| 17_000 + 7 * (row as i32 % WEEKS)),
        )),
        Arc::new(BooleanArray::from(labels)),
    ];
    arrays.append(&mut inputs);
    arrays
}
