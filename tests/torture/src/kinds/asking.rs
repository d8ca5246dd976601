//! Scoring of single keys and rows, in one statement with what is right.

use super::target::{Moment, Target};
use super::{Frame, Place};
use crate::dice::Dice;
use crate::step::{Expect, Step};

/// A query of pairs: what recommend() says of keys, and what is right.
pub fn pairs(dice: &mut Dice, target: &Target) -> String {
    let moment = Moment::any(dice);
    let (mut got, right) = (target.got(moment), target.right(moment));
    if !target.text && moment.as_of() == "infinity" && dice.percent(30) {
        let ask = dice.word(&["ask", "ask_by_query", "ask_in_loop", "ask_caught", "ask_sql"]);
        got = format!("torture.{ask}('{}', k.product_id, k.region)", target.model);
    }
    let select =
        format!("SELECT k.product_id, k.region, {got} AS got, {right} AS expected FROM torture.keys AS k");
    match dice.below(9) {
        0 => format!("{select} ORDER BY k.region DESC, k.product_id"),
        1 => format!("{select} WHERE k.product_id = {} AND k.region = 'r1'", dice.between(1, 13)),
        2 => format!("{select} LIMIT {}", dice.between(1, 20)),
        3 => format!("SELECT * FROM ({select} OFFSET 0) AS s WHERE s.got > 0.4 OR s.expected > 0.4"),
        4 => format!("{select}, generate_series(1, 3) AS s"),
        5 => format!("{select} WHERE {got} > 0.3"),
        6 => format!("SELECT count(*), array_agg(got ORDER BY product_id, region) AS got, array_agg(expected ORDER BY product_id, region) AS expected FROM ({select}) AS s"),
        7 => format!("WITH asked AS MATERIALIZED ({select}) SELECT * FROM asked AS a UNION ALL SELECT * FROM asked AS b"),
        _ => select,
    }
}

pub fn recommend(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = Target::any(dice, place, frame);
    Step::new("ask recommend", pairs(dice, &target)).expect(Expect::Pairs)
}

/// The same through the extended protocol, and some rows at a time where it can have a transaction of its own.
pub fn portal(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = Target::any(dice, place, Frame { kept: true, ..frame });
    let query = pairs(dice, &target);
    let sql = format!("SELECT s.got::text, s.expected::text FROM ({query}) AS s");
    let at_once = if frame.block { None } else { Some(dice.between(1, 9) as i32) };
    Step::new("ask through a portal", sql).expect(Expect::Portal(at_once))
}

/// A statement that fails in the middle of its scans.
pub fn failing(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = Target::any(dice, place, frame);
    let got = target.got(Moment::any(dice));
    let fails = match dice.below(4) {
        0 => format!("1 / ({} - k.product_id)", dice.between(1, 13)),
        1 => "('x' || k.product_id)::integer".into(),
        2 => format!("reco.recommend(k.product_id / ({} - k.product_id), k.region, '{}')", dice.between(1, 12), place.own),
        _ => format!(
            "(SELECT sum(s.v) FROM (SELECT {got} / (k.product_id - {}) AS v FROM generate_series(1, 2)) AS s)",
            dice.between(1, 13)
        ),
    };
    let order = dice.word(&["", " ORDER BY k.product_id, k.region", " WHERE k.region = 'r2'"]);
    let sql = match dice.below(3) {
        0 => format!("SELECT {got}, {fails} FROM torture.keys AS k{order}"),
        1 => format!("SELECT {fails}, {got} FROM torture.keys AS k{order}"),
        _ => format!("SELECT {got} FROM (SELECT * FROM torture.keys AS k WHERE {got} IS NULL OR {fails} IS NOT NULL) AS k{order}"),
    };
    Step::new("ask and fail", sql)
}

/// The right score from explain_row(), which takes the version by number.
pub fn predict(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = Target::any(dice, place, frame);
    let (model, source) = (&target.model, target.source);
    let condition =
        dice.word(&["true", "f.week > '2024-02-05'", "f.region = 'r2'", "f.product_id::text = '7'"]);
    let sql = format!(
        "SELECT f.product_id, f.region, f.week, reco.predict('{model}', f) AS got,
                (SELECT min(e.score) FROM reco.explain_row('{model}', f, torture.champion_of('{model}')) AS e) AS expected
         FROM torture.{source} AS f WHERE {condition}"
    );
    Step::new("ask predict", sql).expect(Expect::Pairs)
}

pub fn predict_array(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let region = dice.below(3);
    let sql = format!(
        "SELECT reco.predict('numbers', ARRAY[f.price, f.sales, f.households]) AS got, reco.predict('numbers', f) AS expected
         FROM torture.numbers AS f WHERE f.region = 'r{region}'"
    );
    Step::new("ask predict of arrays", sql).expect(Expect::Pairs)
}

pub fn quantiles(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let product = dice.between(1, 12);
    let sql = format!(
        "SELECT q, q = ARRAY(SELECT v FROM unnest(q) AS v ORDER BY v) AND cardinality(q) = 3 AS got, true AS expected
         FROM (SELECT reco.predict_quantiles('units', f) AS q FROM torture.s_table AS f WHERE f.product_id = {product}) AS s"
    );
    Step::new("ask predict_quantiles", sql).expect(Expect::Pairs)
}

/// explain() says the champion's score, and contributions that add up to it.
pub fn explain(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = Target::known(dice, place, frame);
    let (moment, model, product) = (Moment::any(dice), &target.model, target.product());
    let sql = format!(
        "SELECT k.product_id, k.region,
                (SELECT min(e.score) FROM reco.explain({product}, k.region, '{model}'{}) AS e) AS got,
                (SELECT x.score FROM torture.expected AS x WHERE x.model = '{model}' AND x.version = torture.champion_of('{model}')
                 AND x.product_id = k.product_id::text AND x.region = k.region AND x.as_of = '{}') AS expected
         FROM torture.keys AS k WHERE k.product_id > {}",
        moment.argument(),
        moment.as_of(),
        dice.between(1, 12)
    );
    Step::new("ask explain", sql).expect(Expect::Pairs)
}

/// What triggers ask when rows are inserted, and when the transaction commits.
pub fn triggers(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = Target::any(dice, place, frame);
    let got = target.got(Moment::NEWEST);
    let sql = format!(
        "INSERT INTO torture.asked SELECT '{}', k.product_id, k.region, {got} FROM torture.keys AS k WHERE k.product_id < {}",
        if target.text { &place.own } else { &target.model },
        dice.between(2, 6)
    );
    Step::new("data asked in triggers", sql)
}
