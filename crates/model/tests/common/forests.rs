//! Random forests.

use model::forest::{category_set, Forest, Step};
use model::{Recipe, Task};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn random_forest(recipe: &Recipe, task: Task, seed: u64) -> Forest {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut forest = Forest::new(vec![0.25; task.outputs()]).unwrap();
    for _ in 0..20 {
        forest.add_tree(0, &random_tree(recipe, &mut random)).unwrap();
    }
    forest
}

fn random_tree(recipe: &Recipe, random: &mut ChaCha8Rng) -> Vec<Step> {
    let scalings = recipe.scalings();
    let categories = recipe.categories();
    let mut steps = vec![Step::Leaf { value: 0.0 }];
    for _ in 0..random.random_range(0..12) {
        let open: Vec<usize> =
            (0..steps.len()).filter(|at| matches!(steps[*at], Step::Leaf { .. })).collect();
        let (at, left) = (open[random.random_range(0..open.len())], steps.len());
        steps[at] = if categories.is_empty() || !scalings.is_empty() && random.random_bool(0.7) {
            let input = random.random_range(0..scalings.len());
            let threshold = scalings[input].mean + scalings[input].scale * random.random_range(-2.0..2.0);
            Step::Number { input, threshold, missing_left: random.random(), left }
        } else {
            let category = random.random_range(0..categories.len());
            let codes: Vec<u32> =
                (0..categories[category].rows() as u32).filter(|_| random.random()).collect();
            Step::Category { category, set: category_set(codes), left }
        };
        steps.extend([0, 1].map(|_| Step::Leaf { value: random.random_range(-1.0..1.0) }));
    }
    steps
}
