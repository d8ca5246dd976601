//! Nanoseconds a row of the forward pass 30 → 128 → 1, on one core; in bins each of the 30 numbers has 16 besides.
use model::calibration::Platt;
use model::network::Dense;
use model::number_bins::NumberBins;
use model::recipe::{Column, Family, Input, Scaling};
use model::{Algorithm, Artifact, Network, Output, Predictor, Recipe, Scorer};
use ndarray::{Array1, Array2};
use rand::{Rng, SeedableRng};
use std::time::Instant;

fn main() -> Result<(), model::ModelError> {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    for (name, mean, bins) in [("folded", 1.0, 0), ("centered", 100.0, 0), ("in bins", 1.0, 16)] {
        let edges: Vec<f64> = (-16..=16).map(|step| mean + 0.25 * f64::from(step)).collect();
        let bins = NumberBins::fit(&edges, bins);
        let column = |i| Column {
            name: format!("c{i}"),
            sql_type: "real".into(),
            family: Family::Number,
            input: Input::Numbers(vec![Scaling {
                mean,
                scale: 2.0,
                bins: bins.clone(),
                ..Scaling::default()
            }]),
        };
        let mut layer = |outputs, inputs| Dense {
            weight: Array2::from_shape_fn((outputs, inputs), |_| random.random_range(-0.2..0.2)),
            bias: Array1::from_shape_fn(outputs, |_| random.random_range(-0.2..0.2)),
        };
        let recipe = Recipe { columns: (0..30).map(column).collect() };
        let artifact = Artifact {
            algorithm: Algorithm::Mlp,
            predictor: Predictor::Networks(vec![Network {
                layers: vec![layer(128, recipe.width()), layer(1, 128)],
                ..Network::default()
            }]),
            recipe,
            output: Output::Platt(Platt::IDENTITY),
        };
        let rows: Vec<[f32; 30]> = (0..1000)
            .map(|_| std::array::from_fn(|_| mean as f32 + random.random_range(-4.0..4.0)))
            .collect();
        for kernel in Scorer::kernels() {
            let scorer = Scorer::with_kernel(&artifact, kernel)?;
            let mut row = scorer.row();
            let mut batch = scorer.batch();
            let mut times = [f64::INFINITY; 3];
            let mut sum = 0.0;
            for _ in 0..200 {
                let start = Instant::now();
                for values in &rows {
                    sum += scorer.score_numbers(&mut row, values);
                }
                times[0] = times[0].min(start.elapsed().as_nanos() as f64 / rows.len() as f64);
                let start = Instant::now();
                for values in &rows {
                    for (number, value) in values.iter().enumerate() {
                        scorer.set_number(&mut row, number, Some(f64::from(*value)));
                    }
                    sum += scorer.score(&mut row);
                }
                times[1] = times[1].min(start.elapsed().as_nanos() as f64 / rows.len() as f64);
                let start = Instant::now();
                for values in &rows {
                    scorer.set_numbers(&mut row, values);
                    scorer.put(&mut row, &mut batch);
                    if batch.is_full() {
                        sum += scorer.score_batch(&mut batch).iter().sum::<f64>();
                    }
                }
                sum += scorer.score_batch(&mut batch).iter().sum::<f64>();
                times[2] = times[2].min(start.elapsed().as_nanos() as f64 / rows.len() as f64);
            }
            println!(
                "{name:9} {:7} array {:6.1} ns, set one by one {:6.1} ns, in batches {:6.1} ns ({sum:.0})",
                scorer.kernel(),
                times[0],
                times[1],
                times[2]
            );
        }
    }
    Ok(())
}
