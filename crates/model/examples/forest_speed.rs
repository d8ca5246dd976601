//! Microseconds a row of a forest of 300 trees with 63 leaves each, on one core.
use model::forest::{Forest, Step};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

const NUMBERS: usize = 30;
const TREES: usize = 300;
const LEAVES: usize = 63;
const ROWS: usize = 100;

fn main() -> Result<(), model::ModelError> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut forest = Forest::new(vec![0.0])?;
    for _ in 0..TREES {
        forest.add_tree(0, &tree(&mut random))?;
    }
    let row = |random: &mut ChaCha8Rng| -> [f64; NUMBERS] {
        std::array::from_fn(
            |_| if random.random_bool(0.05) { f64::NAN } else { random.random_range(-1.0..1.0) },
        )
    };
    let rows: Vec<_> = (0..ROWS).map(|_| row(&mut random)).collect();
    let (mut best, mut sum) = (f64::INFINITY, 0.0);
    for _ in 0..500 {
        let start = Instant::now();
        sum += rows.iter().map(|row| forest.margin(0, row, &[])).sum::<f64>();
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / ROWS as f64);
    }
    println!(
        "{TREES} trees of {LEAVES} leaves, {} KiB: {best:.2} µs a row ({sum:.0})",
        forest.memory() / 1024
    );
    Ok(())
}

/// Splits a leaf at random until there are enough: some paths are long, as those of trees grown best leaf first.
fn tree(random: &mut ChaCha8Rng) -> Vec<Step> {
    let mut steps = vec![Step::Leaf { value: 0.0 }];
    let mut open = vec![0];
    while open.len() < LEAVES {
        let (at, left) = (open.swap_remove(random.random_range(0..open.len())), steps.len());
        let (input, threshold) = (random.random_range(0..NUMBERS), random.random_range(-0.8..0.8));
        steps[at] = Step::Number { input, threshold, missing_left: random.random(), left };
        for child in [left, left + 1] {
            steps.push(Step::Leaf { value: random.random_range(-0.1..0.1) });
            open.push(child);
        }
    }
    steps
}
