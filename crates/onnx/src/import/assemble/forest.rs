//! Trees. A test of a value that is computed from one column becomes a test of the column: the graph's arithmetic is monotone
//! in a number, so the test holds below some number or above it, and that number is found to the last bit.

use super::Layout;
use crate::import::error::{refuse, Result};
use crate::import::trees::{Branch, Mode};
use crate::import::units::{Exact, Step, Sum, Trees, Unit};
use model::forest::{category_set, Step as ForestStep};
use model::recipe::{FIRST_VALUE, NULL, UNSEEN};
use model::Forest;

/// The trees of a weighted sum of ensembles' targets, as one forest of one output.
pub fn forest(layout: &Layout, sum: &Sum) -> Result<Forest> {
    let mut base = sum.bias;
    let mut trees = Vec::new();
    for (unit, weight) in &sum.terms {
        let Unit::Trees { ensemble, target } = layout.units.units[*unit] else {
            return refuse("trees are added to what is none");
        };
        let of = &layout.units.trees[ensemble];
        base += weight * of.ensemble.base.get(target).copied().unwrap_or(0.0);
        let count = of.ensemble.trees.len().max(1) as f64;
        let factor = if of.ensemble.average { weight / count } else { *weight };
        for tree in &of.ensemble.trees {
            trees.push(steps(layout, of, tree, target, factor)?);
        }
    }
    let mut forest = Forest::new(vec![base])?;
    trees.iter().try_for_each(|tree| forest.add_tree(0, tree))?;
    Ok(forest)
}

/// A test of a column, and whether the row goes left where it holds; or the one way that all rows go.
enum Test {
    Always(bool),
    Of { step: ForestStep, left_holds: bool },
}

fn steps(
    layout: &Layout,
    trees: &Trees,
    tree: &[Branch],
    target: usize,
    factor: f64,
) -> Result<Vec<ForestStep>> {
    let mut order = vec![0];
    let mut steps: Vec<ForestStep> = Vec::new();
    while let Some(at) = order.get(steps.len()).copied() {
        let mut at: usize = at;
        let step = loop {
            let (feature, mode, missing_holds, yes, no) = match &tree[at] {
                Branch::Leaf(votes) => {
                    let votes = votes.iter().filter(|(of, _)| *of == target);
                    break ForestStep::Leaf { value: factor * votes.map(|(_, weight)| weight).sum::<f64>() };
                }
                Branch::Test { feature, mode, missing_holds, yes, no } => {
                    (*feature, mode, *missing_holds, *yes, *no)
                }
            };
            match test(layout, &trees.features[feature], mode, missing_holds, order.len())? {
                Test::Always(holds) => at = if holds { yes } else { no },
                Test::Of { step, left_holds } => {
                    order.extend(if left_holds { [yes, no] } else { [no, yes] });
                    break step;
                }
            }
        };
        steps.push(step);
    }
    Ok(steps)
}

fn test(
    layout: &Layout,
    feature: &Option<Exact>,
    mode: &Mode,
    missing_holds: bool,
    left: usize,
) -> Result<Test> {
    let holds = |value: f64| Branch::takes(mode, missing_holds, value);
    match feature {
        None => refuse("its trees read a feature that is computed from several columns"),
        Some(Exact::Number { column, steps }) => {
            if !mode.is_ordered() {
                return refuse(format!(
                    "its trees compare column \"{}\" both by size and for equality",
                    layout.units.columns[*column].name
                ));
            }
            let of = |value: f64| holds(steps.iter().fold(value, |value, step: &Step| step.apply(value)));
            let input = layout.place(*column)?;
            Ok(match (of(-LARGEST), of(LARGEST), of(f64::NAN)) {
                (low, high, missing) if low == high && missing == low => Test::Always(low),
                // Only a missing number goes another way: no number is below the least.
                (low, high, missing) if low == high => Test::Of {
                    step: ForestStep::Number { input, threshold: f64::MIN, missing_left: true, left },
                    left_holds: missing,
                },
                (low, _, missing) => Test::Of {
                    step: ForestStep::Number {
                        input,
                        threshold: first_other(&of),
                        missing_left: missing == low,
                        left,
                    },
                    left_holds: low,
                },
            })
        }
        Some(Exact::Text(values)) => {
            let known = &layout.units.columns[values.column];
            let texts = known.texts.as_deref().unwrap_or_default();
            let mut of_code = vec![values.other; texts.len()];
            values.known.iter().for_each(|(code, value)| of_code[*code] = *value);
            let empty =
                texts.iter().position(|text| text.is_empty()).map_or(values.other, |code| of_code[code]);
            let null = if known.kind.is_some() { f64::NAN } else { empty };
            let rows = [(UNSEEN, values.other), (NULL, null)].into_iter().chain((FIRST_VALUE..).zip(of_code));
            let (hold, others): (Vec<_>, Vec<_>) = rows.partition(|(_, value)| holds(*value));
            if hold.is_empty() || others.is_empty() {
                return Ok(Test::Always(others.is_empty()));
            }
            let set = category_set(hold.into_iter().map(|(row, _)| row));
            let category = layout.place(values.column)?;
            Ok(Test::Of { step: ForestStep::Category { category, set, left }, left_holds: true })
        }
    }
}

/// The largest number of which the graph's arithmetic is asked: it stays finite in 32-bit floats.
const LARGEST: f64 = 3e38;

/// The least number for which a monotone test says something else than for the smallest.
fn first_other(holds: &impl Fn(f64) -> bool) -> f64 {
    // Floats in the order of integers.
    let ordered = |value: f64| {
        let bits = value.to_bits() as i64;
        bits ^ (((bits >> 63) as u64) >> 1) as i64
    };
    let value = |ordered: i64| f64::from_bits((ordered ^ (((ordered >> 63) as u64) >> 1) as i64) as u64);
    let at_low = holds(-LARGEST);
    let (mut low, mut high) = (i128::from(ordered(-LARGEST)), i128::from(ordered(LARGEST)));
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match holds(value(middle as i64)) == at_low {
            true => low = middle,
            false => high = middle,
        }
    }
    value(high as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tensor::Kind;

    #[test]
    fn a_test_of_a_rounded_number_is_pulled_back_to_the_last_bit() {
        let threshold = f64::from(0.1_f32);
        let below = |value: f64| Kind::Float.round(value) <= threshold;
        let found = first_other(&below);
        assert!(!below(found) && below(found.next_down()));
        assert!(found > threshold);
        let scaled = |value: f64| Kind::Float.round(-2.0 * Kind::Float.round(value - 3.0)) > 1.0;
        let found = first_other(&scaled);
        assert!(!scaled(found) && scaled(found.next_down()));
        assert_eq!(first_other(&|value: f64| value < 0.0), 0.0);
    }
}
