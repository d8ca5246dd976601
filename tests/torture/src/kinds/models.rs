//! Changes of models: aliases, promotions, rights, A/B tests, drop and import.

use super::target::Target;
use super::{Frame, Place};
use crate::dice::Dice;
use crate::step::Step;

/// Half of the changes are of the session's own model.
fn model(dice: &mut Dice, place: &Place, frame: Frame) -> String {
    if dice.percent(50) {
        place.own.clone()
    } else {
        Target::any(dice, place, frame).model
    }
}

pub fn promote(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let model = model(dice, place, frame);
    let version = dice.between(1, 3);
    let sql = match dice.below(10) {
        0..6 => format!("SELECT reco.promote('{model}', {version}, 'torture')"),
        6..8 => format!("SELECT reco.rollback('{model}')"),
        8 => format!("SELECT reco.set_alias('{model}', 'champion', {version})"),
        _ => format!("SELECT reco.set_alias('{model}', 'challenger', {version})"),
    };
    Step::new("model promote", sql)
}

/// A test between two versions of a model; others cannot be started until it is stopped. Only of models that plain SQL is
/// never asked about with predict(), which knows no arms.
pub fn ab_test(dice: &mut Dice, place: &Place, _: Frame) -> Step {
    let model = Target::unshaken(dice, place).model;
    let unit = dice.word(&["pair", "product", "region"]);
    let regions = dice.word(&["NULL", "'{r0,r1}'"]);
    let sql = if dice.percent(50) {
        format!(
            "SELECT reco.start_ab_test('test {} {} {}', '{model}',
                 '[{{\"arm\": \"a\", \"version\": {}, \"share\": 0.5}}, {{\"arm\": \"b\", \"version\": {}, \"share\": 0.5}}]', {regions}, '{unit}')",
            place.session,
            place.scenario,
            dice.between(1, 100_000),
            dice.between(1, 2),
            3
        )
    } else {
        let winner = dice.word(&["NULL", "'b'"]);
        format!("SELECT reco.stop_ab_test(t.test, {winner}) FROM reco.ab_tests AS t WHERE t.model = '{model}' AND t.status = 'running'")
    };
    Step::new("model ab_test", sql)
}

pub fn log(dice: &mut Dice, place: &Place, _: Frame) -> Step {
    let target = Target::unshaken(dice, place);
    let (product, model) = (target.product(), &target.model);
    let sql = if dice.percent(60) {
        format!("SELECT reco.log_recommendations(array_agg({product}), array_agg(k.region), '{model}') FROM torture.keys AS k")
    } else {
        format!("SELECT r.* FROM reco.ab_tests AS t, reco.ab_report(t.test) AS r WHERE t.model = '{model}' ORDER BY t.started_at DESC LIMIT 5")
    };
    Step::new("model ab log", sql)
}

pub fn rights(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let model = model(dice, place, frame);
    let role = dice.word(&["reader", "stranger", "keeper", "public"]);
    let privilege = dice.word(&["score", "train", "manage"]);
    let sql = match dice.below(6) {
        0..3 => format!("SELECT reco.grant_model('{model}', '{role}', '{privilege}')"),
        3..5 => format!("SELECT reco.revoke_model('{model}', '{role}', '{privilege}')"),
        _ => format!("SELECT reco.describe_model('{model}', 'torture')"),
    };
    Step::new("model rights", sql)
}

/// The own model dropped and imported again: other ids, the same scores.
pub fn replace(_: &mut Dice, place: &Place, _: Frame) -> Step {
    let sql = format!("SELECT torture.restore_model('{}', 'torture.s_table', {})", place.own, place.session);
    Step::new("model replace", sql)
}
