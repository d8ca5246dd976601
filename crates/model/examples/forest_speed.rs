//! Microseconds a row of forests of 400 trees, on one core: as a row is scored, in full batches, and by the walk from node to node.
use model::calibration::Platt;
use model::explain::Values;
use model::forest::{category_set, Forest, Step};
use model::recipe::{Category, Column, Family, Input, Scaling};
use model::{Algorithm, Artifact, ModelError, Output, Predictor, Recipe, Scorer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use std::time::Instant;

const NUMBERS: usize = 50;
const CATEGORIES: [u32; 3] = [8, 40, 300];
const TREES: usize = 400;
const ROWS: usize = 1024;
/// Rows that are timed together: a full batch.
const FEW: usize = 64;
/// How many tests in a hundred are of a category.
const CATEGORY_TESTS: u32 = 10;
/// Thresholds are taken from so many bins, as those of grown trees are.
const BINS: f64 = 256.0;

fn main() -> Result<(), ModelError> {
    for leaves in [31, 63, 255] {
        report(leaves)?;
    }
    Ok(())
}

/// Prints how long the average row takes.
fn report(leaves: usize) -> Result<(), ModelError> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut forest = Forest::new(vec![0.0])?;
    for _ in 0..TREES {
        forest.add_tree(0, &tree(leaves, &mut random))?;
    }
    let artifact = Artifact {
        algorithm: Algorithm::BoostedTrees,
        recipe: recipe(),
        predictor: Predictor::Forest(forest.clone()),
        output: Output::Platt(Platt::IDENTITY),
    };
    let scorer = Scorer::new(&artifact)?;
    let mut values: Vec<Values> = (0..ROWS).map(|_| values(&mut random)).collect();
    let mut rows: Vec<_> = values.iter().map(|values| values.row(&scorer)).collect();
    let scored = time(&mut rows, |rows| rows.iter_mut().map(|row| scorer.margin(row)).sum());
    let mut batch = scorer.batch();
    let together = time(&mut rows, |rows| {
        rows.iter_mut().for_each(|row| scorer.put(row, &mut batch));
        scorer.score_batch(&mut batch).iter().sum()
    });
    let walked =
        time(&mut values, |rows| rows.iter().map(|row| forest.margin(0, &row.numbers, &row.codes)).sum());
    println!(
        "{TREES} trees of {leaves} leaves: {scored:.2} µs a row, {together:.2} in batches, in {} KiB; node by node {walked:.2} µs in {} KiB",
        scorer.memory() / 1024,
        forest.memory() / 1024,
    );
    Ok(())
}

/// Microseconds for a row: the shortest of many times for each few rows, since other work may interrupt the longer ones.
fn time<T>(rows: &mut [T], mut score: impl FnMut(&mut [T]) -> f64) -> f64 {
    let mut best = [f64::INFINITY; ROWS / FEW];
    for _ in 0..50 {
        for (rows, best) in rows.chunks_mut(FEW).zip(&mut best) {
            let start = Instant::now();
            black_box(score(rows));
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    best.iter().sum::<f64>() * 1e6 / ROWS as f64
}

fn recipe() -> Recipe {
    let column = |name: String, family, input| Column { name, sql_type: "text".into(), family, input };
    let number = |n| column(format!("n{n}"), Family::Number, Input::Numbers(vec![Scaling::default()]));
    let category = |n: usize| {
        let vocabulary = (0..CATEGORIES[n] - 2).map(|value| format!("v{value}")).collect();
        column(format!("c{n}"), Family::Text, Input::Category(Category { vocabulary, dimension: 4 }))
    };
    Recipe { columns: (0..NUMBERS).map(number).chain((0..CATEGORIES.len()).map(category)).collect() }
}

fn values(random: &mut ChaCha8Rng) -> Values {
    let mut number = || match random.random_bool(0.05) {
        true => f64::NAN,
        false => random.random_range(0.0..1.0),
    };
    let numbers = (0..NUMBERS).map(|_| number()).collect();
    Values { numbers, codes: CATEGORIES.map(|codes| random.random_range(0..codes)).to_vec(), key: None }
}

/// A leaf that can be split: its node, its share of the rows, and what its numbers lie between.
struct Open {
    node: usize,
    share: f64,
    within: [(f64, f64); NUMBERS],
}

/// A tree grown best leaf first: of the leaves the one with the most rows, times a random gain, is split.
fn tree(leaves: usize, random: &mut ChaCha8Rng) -> Vec<Step> {
    let mut steps = vec![Step::Leaf { value: 0.0 }];
    let mut open = vec![(1.0, Open { node: 0, share: 1.0, within: [(0.0, 1.0); NUMBERS] })];
    while open.len() < leaves {
        let best = (0..open.len()).fold(0, |best, at| if open[at].0 > open[best].0 { at } else { best });
        let (_, leaf) = open.swap_remove(best);
        let left = steps.len();
        let (step, parts) = split(&leaf, left, random);
        steps[leaf.node] = step;
        for (n, (part, within)) in parts.into_iter().enumerate() {
            steps.push(Step::Leaf { value: random.random_range(-0.1..0.1) });
            let share = leaf.share * part;
            open.push((share * random.random_range(0.0..1.0), Open { node: left + n, share, within }));
        }
    }
    steps
}

type Part = (f64, [(f64, f64); NUMBERS]);

/// A test of a leaf's rows, with the share and the bounds of both sides.
fn split(leaf: &Open, left: usize, random: &mut ChaCha8Rng) -> (Step, [Part; 2]) {
    if random.random_range(0..100) < CATEGORY_TESTS {
        let category = random.random_range(0..CATEGORIES.len());
        let set = category_set((0..CATEGORIES[category]).filter(|_| random.random()));
        return (Step::Category { category, set, left }, [(0.5, leaf.within), (0.5, leaf.within)]);
    }
    let input = random.random_range(0..NUMBERS);
    let (from, to) = leaf.within[input];
    let threshold = ((from + (to - from) * random.random_range(0.05..0.95)) * BINS).round() / BINS;
    let part = ((threshold - from) / (to - from).max(1e-9)).clamp(0.0, 1.0);
    let (mut below, mut above) = (leaf.within, leaf.within);
    below[input].1 = threshold;
    above[input].0 = threshold;
    (
        Step::Number { input, threshold, missing_left: random.random(), left },
        [(part, below), (1.0 - part, above)],
    )
}
