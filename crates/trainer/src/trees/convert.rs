//! Grown trees as a forest that gives the same answers.

use crate::error::TrainerError;
use crate::prepare::TreeInput;
use hessboost::model::BoostedModel;
use hessboost::tree::RegTree;
use model::forest::{category_set, Forest, Step};
use model::recipe::UNSEEN;
use std::collections::HashSet;

/// Adds the first `count` trees to an output. The columns are those that the trees were grown on; leaves are multiplied
/// by `scale`.
pub fn add_trees(
    forest: &mut Forest,
    output: usize,
    model: &BoostedModel,
    count: u32,
    columns: &[TreeInput],
    scale: f64,
) -> Result<(), TrainerError> {
    for (tree, weight) in model.trees().iter().zip(model.tree_weights()).take(count as usize) {
        let leaf = |value: f32| scale * f64::from(weight) * f64::from(value);
        forest.add_tree(output, &steps(tree, columns, leaf))?;
    }
    Ok(())
}

/// The nodes of a tree level by level, so that siblings stand together.
fn steps(tree: &RegTree, columns: &[TreeInput], leaf: impl Fn(f32) -> f64) -> Vec<Step> {
    let numbers = columns.iter().filter(|column| column.is_number()).count();
    let mut ids = vec![0];
    let mut steps = Vec::new();
    while let Some(id) = ids.get(steps.len()) {
        let (id, node) = (*id, tree.node(*id));
        if node.is_leaf() {
            steps.push(Step::Leaf { value: leaf(node.leaf_value) });
            continue;
        }
        let (input, left) = (node.split_feature as usize, ids.len());
        let mut children = [node.left as usize, node.right as usize];
        steps.push(if let Some(codes) = columns[input].code_count() {
            let listed: HashSet<u32> = tree.split_categories(id).iter().copied().collect();
            // Codes beyond the set go right, as codes that count as never seen must.
            let swap = listed.contains(&UNSEEN);
            if swap {
                children.reverse();
            }
            let set = category_set((0..codes).filter(|code| listed.contains(code) != swap));
            Step::Category { category: input - numbers, set, left }
        } else {
            let threshold = double_threshold(node.split_cond);
            Step::Number { input, threshold, missing_left: node.default_left, left }
        });
        ids.extend(children);
    }
    steps
}

/// The least double that is not below `threshold` once it is rounded to single precision: halfway between the
/// threshold and the number before it, or just above.
fn double_threshold(threshold: f32) -> f64 {
    let before = threshold.next_down().max(f32::MIN);
    let middle = 0.5 * f64::from(before) + 0.5 * f64::from(threshold);
    if (middle as f32) < threshold {
        middle.next_up()
    } else {
        middle
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Sample, LARGE_VOCABULARY};
    use super::super::{grow, label, matrix, settings, Goal, Matrices, TreeParams, Unit};
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_forest_answers_as_the_grown_trees_do_missing_and_unseen_values_included() {
        let sample = Sample::new(3000, 1);
        let columns = sample.columns();
        let part = sample.part(&sample.labels);
        let params = TreeParams { trees: 12, leaves: 31, ..super::super::tests::defaults() };
        let unit = Unit { center: 0.0, scale: 1.0 };
        let build = |rows: &[u32]| matrix::build(&columns, rows).unwrap();
        let matrices = Matrices {
            training: label(build(part.rows), &part, Goal::Binary, unit, &params).unwrap(),
            watched: label(build(part.rows), &part, Goal::Binary, unit, &params).unwrap(),
            validation: None,
        };
        let settings = settings(Goal::Binary, &matrices.training, &params).unwrap();
        let (grown, count, _) =
            grow(&matrices, &settings, Goal::Binary, params.trees, params.patience, &mut |_| Ok(true))
                .unwrap();

        let mut forest = Forest::new(vec![0.0]).unwrap();
        add_trees(&mut forest, 0, &grown, count, &columns, 1.0).unwrap();
        forest.check(3, &[12, LARGE_VOCABULARY]).unwrap();
        let (mut sets, mut missing) = (0, 0);
        for step in forest.trees(0).flatten() {
            match step {
                Step::Category { .. } => sets += 1,
                Step::Number { missing_left: true, .. } => missing += 1,
                _ => {}
            }
        }
        assert!(sets > 10 && missing > 10, "{sets} {missing}");

        let mut random = ChaCha8Rng::seed_from_u64(2);
        for row in 0..2000 {
            let (mut numbers, mut codes) = sample.row(row);
            if row % 2 == 0 {
                codes = [random.random_range(0..12), random.random_range(0..LARGE_VOCABULARY as u32)];
                numbers[random.random_range(0..3)] = f64::NAN;
            }
            let coded =
                codes.map(|code| if code < super::super::matrix::MAX_CODES { code as f32 } else { 0.0 });
            let line: Vec<f32> = numbers.iter().map(|v| *v as f32).chain(coded).collect();
            let leaves =
                grown.trees().iter().map(|t| f64::from(t.node(t.leaf_id_dense(&line, f32::NAN)).leaf_value));
            assert_eq!(forest.margin(0, &numbers, &codes), leaves.sum::<f64>());
            let single = grown.predict_margin_row(&line, ..).unwrap() - grown.base_score();
            assert!((forest.margin(0, &numbers, &codes) - f64::from(single)).abs() < 1e-6);
        }
    }

    #[test]
    fn a_double_is_below_its_threshold_when_its_rounding_is_below_the_single_one() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut thresholds = vec![0.0, -0.0, 1.0, f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), -1.5, 3.0];
        thresholds.extend((0..2000).map(|_| f32::from_bits(random.random())).filter(|t| t.is_finite()));
        for threshold in thresholds {
            let double = double_threshold(threshold);
            let near =
                [threshold.next_down().next_down(), threshold.next_down(), threshold, threshold.next_up()];
            let middles = near.windows(2).map(|pair| 0.5 * f64::from(pair[0]) + 0.5 * f64::from(pair[1]));
            let around = middles.flat_map(|middle| [middle.next_down(), middle, middle.next_up()]);
            for value in around.chain(near.map(f64::from)).filter(|value| value.is_finite()) {
                let rounded = (value as f32).clamp(f32::MIN, f32::MAX);
                assert_eq!(value < double, rounded < threshold, "{value:e} {threshold:e}");
            }
        }
    }
}
