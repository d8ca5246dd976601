//! Which trials of a search are trained, and for how long: Hyperband with η = 3 (Li, Jamieson, DeSalvo, Rostamizadeh and
//! Talwalkar, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18, 2018).
//!
//! A trial is a set of parameters; a rung is how long it is trained: a ninth of the epochs (or trees), a third, all.
//! Trials are dealt to brackets, each with a rung that its trials begin at. Of a bracket's trials at a rung the best third
//! goes on to the next one, trained anew. The brackets hedge: trials that begin at the lowest rung are many and cheap, but
//! one that only shines late is dropped; those that begin at the top are few and dropped by nobody. The best of all
//! trainings, short or long, is the result.
//!
//! A plan has no state: what comes next follows from the results, in whatever order they came, so that a search that was
//! cut off goes on where it stood, and one with several trainings at once ends as one without.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The share of trials that go on to the next rung is one over this.
const ETA: u32 = 3;
/// Most rungs below the top one.
const MOST_RUNGS_BELOW: u32 = 2;

/// One training of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The number of the trial, from 1.
    pub trial: u32,
    /// The rung, from 0, the cheapest.
    pub rung: u32,
    /// How long the trial is trained: epochs or trees.
    pub budget: u32,
}

impl Step {
    pub fn key(&self) -> TrialRung {
        (self.trial, self.rung)
    }
}

/// A trial and a rung.
pub type TrialRung = (u32, u32);
/// How good each trained trial is, more being better; `None` if its training failed.
pub type Results = BTreeMap<TrialRung, Option<f64>>;

/// The brackets of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPlan {
    /// The epochs or trees of each rung, ascending.
    budgets: Vec<u32>,
    brackets: Vec<Bracket>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bracket {
    trials: RangeInclusive<u32>,
    /// The rung at which the bracket's trials begin.
    from: u32,
}

impl SearchPlan {
    /// A plan for so many trials (1 or more) of which the longest is trained for `budget` epochs or trees (1 or more).
    ///
    /// There are three rungs from 9 trials and a budget of 9 on, two from 3 of each, else one. The brackets share the
    /// trials in Hyperband's proportions: 9 : 5 : 3 from the lowest rung, middle and top, or 3 : 2. The trials of the
    /// top bracket come first, so that there soon is a result to fall back on; then come the cheapest ones.
    pub fn new(trials: u32, budget: u32) -> Self {
        let below = trials.max(1).ilog(ETA).min(budget.max(1).ilog(ETA)).min(MOST_RUNGS_BELOW);
        let budgets = (0..=below).rev().map(|lower| budget.div_ceil(ETA.pow(lower))).collect();
        let weights: Vec<u32> = (0..=below).map(|lower| weight(lower, below)).collect();
        let total: u32 = weights.iter().sum();
        let share = |weight: u32| (f64::from(trials) * f64::from(weight) / f64::from(total)).round() as u32;
        // The numbers of trials from the top rung down; the lowest rung has the rest.
        let mut sizes: Vec<u32> =
            weights[..below as usize].iter().map(|weight| share(*weight).max(1)).collect();
        sizes.push(trials - sizes.iter().sum::<u32>());
        let mut brackets = Vec::new();
        let mut first = 1;
        for lower in std::iter::once(0).chain((1..=below).rev()) {
            let size = sizes[lower as usize];
            brackets.push(Bracket { trials: first..=first + size - 1, from: below - lower });
            first += size;
        }
        Self { budgets, brackets }
    }

    fn top(&self) -> u32 {
        self.budgets.len() as u32 - 1
    }

    /// Whether there is such a trial and such a rung.
    pub fn has(&self, (trial, rung): TrialRung) -> bool {
        rung <= self.top() && self.brackets.iter().any(|bracket| bracket.trials.contains(&trial))
    }

    /// How long a trial is trained at a rung of this plan.
    ///
    /// # Panics
    /// If the plan does not have it.
    pub fn step(&self, (trial, rung): TrialRung) -> Step {
        Step { trial, rung, budget: self.budgets[rung as usize] }
    }

    /// How many trainings there are if none fails.
    pub fn trainings(&self) -> u32 {
        let of_bracket = |bracket: &Bracket| {
            let begun = bracket.trials.clone().count() as u32;
            let sizes = std::iter::successors(Some(begun), |size| Some(advancing(*size)));
            sizes.take((self.top() - bracket.from + 1) as usize).sum::<u32>()
        };
        self.brackets.iter().map(of_bracket).sum()
    }

    /// The next training: one that is neither done nor under way, and whose trial begins at this rung or has won at the
    /// rung below. `None` if there is none at the moment.
    pub fn next(&self, results: &Results, under_way: &[TrialRung]) -> Option<Step> {
        self.brackets.iter().find_map(|bracket| self.next_of(bracket, results, under_way))
    }

    fn next_of(&self, bracket: &Bracket, results: &Results, under_way: &[TrialRung]) -> Option<Step> {
        let mut trials: Vec<u32> = bracket.trials.clone().collect();
        for rung in bracket.from..=self.top() {
            let undone: Vec<u32> =
                trials.iter().copied().filter(|trial| !results.contains_key(&(*trial, rung))).collect();
            if let Some(trial) = undone.iter().find(|trial| !under_way.contains(&(**trial, rung))) {
                return Some(self.step((*trial, rung)));
            }
            if !undone.is_empty() {
                return None;
            }
            trials = best_third(&trials, rung, results);
        }
        None
    }
}

/// Hyperband's number of trials that begin so many rungs below the top, where there are `below` in all.
fn weight(lower: u32, below: u32) -> u32 {
    ((below + 1) * ETA.pow(lower)).div_ceil(lower + 1)
}

fn advancing(trials: u32) -> u32 {
    (trials / ETA).max(1)
}

/// The best third of the trials at a rung, at least one, the best first. A trial that failed never goes on.
fn best_third(trials: &[u32], rung: u32, results: &Results) -> Vec<u32> {
    let gain = |trial: &u32| results.get(&(*trial, rung)).copied().flatten();
    let mut ranked: Vec<(u32, f64)> =
        trials.iter().filter_map(|trial| gain(trial).map(|gain| (*trial, gain))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.truncate(advancing(trials.len() as u32) as usize);
    ranked.into_iter().map(|(trial, _)| trial).collect()
}

/// The training with the best result, at whatever rung, since all are measured on the same rows. Among equals it is the
/// longest, then that of the first trial. `None` if none was trained.
pub fn best(results: &Results) -> Option<TrialRung> {
    let judged = results.iter().filter_map(|(key, gain)| gain.map(|gain| (*key, gain)));
    let order = |a: &(TrialRung, f64), b: &(TrialRung, f64)| {
        let ((trial_a, rung_a), (trial_b, rung_b)) = (a.0, b.0);
        a.1.total_cmp(&b.1).then(rung_a.cmp(&rung_b)).then(trial_b.cmp(&trial_a))
    };
    judged.max_by(order).map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trains everything, several at once, the newest first, and returns the results and the trainings in their order.
    fn search(plan: &SearchPlan, at_once: usize, gain: impl Fn(Step) -> Option<f64>) -> (Results, Vec<Step>) {
        go_on(plan, Results::new(), at_once, gain)
    }

    fn go_on(
        plan: &SearchPlan,
        mut results: Results,
        at_once: usize,
        gain: impl Fn(Step) -> Option<f64>,
    ) -> (Results, Vec<Step>) {
        let (mut under_way, mut done) = (Vec::new(), Vec::new());
        loop {
            let keys: Vec<TrialRung> = under_way.iter().map(Step::key).collect();
            match plan.next(&results, &keys) {
                Some(step) if under_way.len() < at_once => {
                    assert!(!results.contains_key(&step.key()) && !keys.contains(&step.key()), "{step:?}");
                    under_way.push(step);
                }
                _ => match under_way.pop() {
                    Some(step) => {
                        results.insert(step.key(), gain(step));
                        done.push(step);
                    }
                    None => return (results, done),
                },
            }
        }
    }

    fn higher_is_better(step: Step) -> Option<f64> {
        Some(f64::from(step.trial))
    }

    #[test]
    fn trials_are_dealt_in_hyperbands_proportions() {
        let plan = SearchPlan::new(17, 81);
        assert_eq!(plan.budgets, [9, 27, 81]);
        let dealt = |plan: &SearchPlan| -> Vec<_> {
            plan.brackets.iter().map(|b| (b.trials.clone().count(), b.from)).collect()
        };
        assert_eq!(dealt(&plan), [(3, 2), (9, 0), (5, 1)]);
        assert_eq!(dealt(&SearchPlan::new(9, 50)), [(2, 2), (4, 0), (3, 1)]);
        assert_eq!(dealt(&SearchPlan::new(5, 50)), [(2, 1), (3, 0)]);
        assert_eq!(dealt(&SearchPlan::new(2, 50)), [(2, 0)]);
        assert_eq!(dealt(&SearchPlan::new(20, 2)), [(20, 0)], "two epochs cannot be cut into thirds");
        assert_eq!(SearchPlan::new(20, 50).budgets, [6, 17, 50]);
    }

    #[test]
    fn every_trial_is_in_one_bracket_and_no_bracket_is_empty() {
        for trials in 1..200 {
            for budget in [1, 2, 3, 8, 9, 10_000] {
                let plan = SearchPlan::new(trials, budget);
                let all: Vec<u32> = plan.brackets.iter().flat_map(|bracket| bracket.trials.clone()).collect();
                assert_eq!(all, (1..=trials).collect::<Vec<_>>(), "{trials} {budget}");
                assert!(plan.brackets.iter().all(|bracket| !bracket.trials.is_empty()));
                assert!(plan.budgets.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", plan.budgets);
                assert_eq!(plan.budgets.last(), Some(&budget));
                let top = plan.top();
                assert!(plan.has((1, 0)) && plan.has((trials, top)));
                assert!(!plan.has((trials + 1, 0)) && !plan.has((0, 0)) && !plan.has((1, top + 1)));
            }
        }
    }

    #[test]
    fn the_best_third_of_each_rung_goes_on() {
        let plan = SearchPlan::new(17, 81);
        let (results, steps) = search(&plan, 1, higher_is_better);
        let trained = |trials: &[u32], rung, budget| -> Vec<Step> {
            trials.iter().map(|trial| Step { trial: *trial, rung, budget }).collect()
        };
        let expected = [
            trained(&[1, 2, 3], 2, 81),
            trained(&[4, 5, 6, 7, 8, 9, 10, 11, 12], 0, 9),
            trained(&[12, 11, 10], 1, 27),
            trained(&[12], 2, 81),
            trained(&[13, 14, 15, 16, 17], 1, 27),
            trained(&[17], 2, 81),
        ];
        assert_eq!(steps, expected.concat());
        assert_eq!(steps.len(), plan.trainings() as usize);
        assert_eq!(best(&results), Some((17, 2)));
    }

    #[test]
    fn several_at_once_come_to_the_same_result() {
        let gain = |step: Step| Some(f64::from((step.trial * 7919 + step.rung * 31) % 101));
        for trials in [1, 2, 5, 9, 20, 40] {
            let plan = SearchPlan::new(trials, 50);
            let (alone, _) = search(&plan, 1, gain);
            for at_once in [2, 3, 8] {
                let (together, steps) = search(&plan, at_once, gain);
                assert_eq!(together, alone, "{trials} trials, {at_once} at once");
                assert_eq!(steps.len(), plan.trainings() as usize);
            }
        }
    }

    #[test]
    fn a_search_that_was_cut_off_goes_on_where_it_stood() {
        let gain = |step: Step| Some(f64::from((step.trial * 7919 + step.rung * 31) % 101));
        let plan = SearchPlan::new(20, 50);
        let (whole, steps) = search(&plan, 1, gain);
        for cut in 0..=steps.len() {
            let before: Results = steps[..cut].iter().map(|step| (step.key(), gain(*step))).collect();
            let (results, after) = go_on(&plan, before, 2, gain);
            assert_eq!(results, whole, "cut off after {cut}");
            assert_eq!(after.len(), steps.len() - cut);
        }
    }

    #[test]
    fn trainings_that_fail_do_not_go_on_and_do_not_stop_the_others() {
        let plan = SearchPlan::new(17, 81);
        let (results, _) = search(&plan, 2, |step| (step.trial < 12).then_some(f64::from(step.trial)));
        assert!(results.contains_key(&(11, 2)) && !results.contains_key(&(12, 1)));
        assert_eq!(best(&results), Some((11, 2)));
        let (results, _) = search(&plan, 2, |_| None);
        assert_eq!((results.len(), best(&results)), (17, None));
    }

    #[test]
    fn the_best_is_the_best_of_all_rungs_then_the_longest_trained_then_the_first() {
        let results =
            |entries: &[(TrialRung, f64)]| entries.iter().map(|(key, gain)| (*key, Some(*gain))).collect();
        assert_eq!(best(&results(&[((1, 0), 0.9), ((2, 2), 0.5), ((3, 2), 0.6)])), Some((1, 0)));
        assert_eq!(best(&results(&[((1, 0), 0.9), ((1, 1), 0.9), ((3, 0), 0.9)])), Some((1, 1)));
        assert_eq!(best(&results(&[((4, 2), 0.5), ((2, 2), 0.5), ((3, 2), 0.5)])), Some((2, 2)));
        assert_eq!(
            best(&results(&[((4, 2), -0.5), ((2, 2), -0.7)])),
            Some((4, 2)),
            "losses are negative gains"
        );
    }
}
