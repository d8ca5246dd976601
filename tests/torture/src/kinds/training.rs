//! Trainings of tiny models, several at once, from sources under change; what they made, and its end.

use super::{ddl, Frame, Place};
use crate::dice::Dice;
use crate::step::{Disturb, Expect, Step};
use crate::world::ALGORITHMS;

const SOURCES: &[&str] =
    &["s_table", "s_part", "s_feature", "h_table", "h_part", "c_table", "c_table", "c_part", "c_view"];

fn model(dice: &mut Dice) -> String {
    format!("t_{}", dice.between(1, 3))
}

pub fn train(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let (model, source) = (model(dice), dice.word(SOURCES));
    let (algorithm, params) = dice.pick(ALGORITHMS);
    let promote = dice.word(&["false", "true"]);
    let sql = match dice.below(8) {
        0 => format!("CALL reco.retrain('{model}')"),
        1 => format!(
            "CALL reco.tune('{model}', 'torture.{source}', 'purchased', algorithm => 'logistic', params => '{{\"epochs\": 1, \"threads\": 1}}',
                 search => '{{\"learning_rate\": [0.01, 0.02]}}', trials => 2, parallel => 2)"
        ),
        2 => format!(
            "SELECT week, rows FROM reco.backtest('torture.{source}', '2024-02-05', '2024-02-11', label => 'purchased',
                 algorithm => 'popularity', params => '{{\"importance\": false}}')"
        ),
        _ => format!(
            "CALL reco.train('{model}', 'torture.{source}', 'purchased', '{algorithm}', '{params}', promote => {promote})"
        ),
    };
    let step = Step::new("train", sql);
    match dice.below(10) {
        0..2 => step.disturb(Disturb::Cancel(dice.between(1, 400_000) as u64)),
        // Between its look at the columns and its reading of them.
        2..6 if source == "c_table" => step.disturb(Disturb::Meanwhile {
            sql: ddl::confusing(dice),
            after: dice.between(500, 20_000) as u64,
            statement_after: 1,
        }),
        _ => step,
    }
}

/// A trained model beside itself: recommend() and the newest row by plain SQL.
pub fn ask(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let (model, source) = (model(dice), dice.word(SOURCES));
    let sql = format!(
        "SELECT k.product_id, k.region, reco.recommend(k.product_id, k.region, '{model}') AS got,
                (SELECT reco.predict('{model}', f) FROM torture.{source} AS f
                 WHERE f.product_id = k.product_id AND f.region = k.region ORDER BY f.week DESC LIMIT 1) AS expected
         FROM torture.keys AS k
         WHERE EXISTS (SELECT FROM reco.versions AS v
                       WHERE v.model = '{model}' AND v.version = torture.champion_of('{model}') AND v.source LIKE '%{source}')"
    );
    Step::new("train ask", sql).expect(Expect::Pairs)
}

pub fn retire(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let model = model(dice);
    let sql = match dice.below(7) {
        0..3 => format!(
            "SELECT reco.archive_version('{model}', v.version) FROM reco.versions AS v
             WHERE v.model = '{model}' AND v.status <> 'archived' AND v.aliases = '{{}}'"
        ),
        3 => format!("SELECT reco.drop_model('{model}', force => true)"),
        4 => format!("SELECT * FROM reco.promote_if_better('{model}', (SELECT max(v.version) FROM reco.versions AS v WHERE v.model = '{model}'))"),
        5 => format!("SELECT reco.drop_alias('{model}', 'champion')"),
        _ => "SELECT status, count(*) FROM reco.runs GROUP BY 1".into(),
    };
    Step::new("train retire", sql)
}
