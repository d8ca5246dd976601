//! Functions that return tables: the best of many, forecasts, launches, evaluation, features, aggregates.

use super::target::{Moment, Target};
use super::{Frame, Place};
use crate::dice::Dice;
use crate::step::{Expect, Step};

fn region(dice: &mut Dice) -> String {
    format!("r{}", dice.below(4))
}

/// Scores in falling order, of the champion.
pub fn top(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = Target::any(dice, place, frame);
    let (moment, k, model, region) = (Moment::any(dice), dice.between(1, 15), &target.model, region(dice));
    let (call, of_key) = if dice.percent(70) {
        (format!("reco.top_products('{region}', {k}, '{model}'"), format!("k.region = '{region}'"))
    } else {
        let product = dice.between(1, 13);
        let argument = if target.text { format!("'{product}'::text") } else { format!("{product}::bigint") };
        (format!("reco.top_regions({argument}, {k}, '{model}'"), format!("k.product_id = {product}"))
    };
    let score = if target.known {
        format!(
            "(SELECT x.score FROM torture.expected AS x WHERE x.model = '{model}' AND x.version = torture.champion_of('{model}')
              AND x.product_id = k.product_id::text AND x.region = k.region AND x.as_of = '{}')",
            moment.as_of()
        )
    } else {
        target.newest(moment)
    };
    let sql = format!(
        "SELECT (SELECT array_agg(t.score ORDER BY t.rank) FROM {call}{}, max_age => NULL) AS t) AS got,
                (SELECT array_agg(b.score ORDER BY b.score DESC)
                 FROM (SELECT s.score FROM (SELECT {score} AS score FROM torture.keys AS k WHERE {of_key}) AS s
                       WHERE s.score IS NOT NULL ORDER BY 1 DESC LIMIT {k}) AS b) AS expected",
        moment.argument()
    );
    Step::new("ask top", sql).expect(Expect::Pairs)
}

/// Rows that a fresh session must get too, where the frame keeps its snapshot.
pub fn table(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = if dice.percent(60) { Target::known(dice, place, frame) } else { Target::churned(dice) };
    let (moment, model, source, region) =
        (Moment::any(dice).argument(), &target.model, target.source, region(dice));
    let product = dice.between(1, 13);
    let product = if target.text { format!("'{product}'::text") } else { format!("{product}::bigint") };
    let (kind, query) = match dice.below(13) {
        0 => ("ask forecast", format!("SELECT * FROM reco.forecast('{region}', '{model}'{moment})")),
        1 => ("ask forecast", format!("SELECT * FROM reco.forecast('{region}', '{model}', 'units', by => 'category'{moment})")),
        2 => ("ask similar_launches", format!("SELECT * FROM reco.similar_launches({product}, '{region}', 4, '{model}'{moment})")),
        3 => ("ask evaluate", format!("SELECT * FROM reco.evaluate('{model}', 'torture.{source}', 'purchased', by => 'category')")),
        4 => ("ask evaluate", format!("SELECT * FROM reco.evaluate('{model}', 'torture.{source}', 'purchased', version => {})", dice.between(1, 4))),
        5 => ("ask charts", format!("SELECT * FROM reco.roc_curve('{model}', 'torture.{source}', 'purchased', points => 20)")),
        6 => ("ask charts", format!("SELECT * FROM reco.lift('{model}', 'torture.{source}', 'purchased', by => 'region')")),
        7 => ("ask charts", format!("SELECT * FROM reco.confusion_matrix('{model}', 'torture.{source}', 'purchased'), reco.calibration('{model}', 'torture.{source}', 'purchased')")),
        8 => ("ask features_as_of", format!("SELECT k.*, f.week, f.price FROM (SELECT *, date '2024-02-14' AS at FROM torture.keys) AS k, reco.features_as_of(NULL::torture.{}_feature, k) AS f", if target.known { "s" } else { "c" })),
        9 => ("ask model_card", format!("SELECT reco.model_card('{model}') -> 'metrics', length(reco.model_card_text('{model}')) > 0")),
        10 => ("ask explain", format!("SELECT * FROM reco.explain({product}, '{region}', '{model}'{moment})")),
        11 => ("ask top", format!("SELECT * FROM reco.top_products('{region}', 5, '{model}'{moment})")),
        _ => ("ask catalog", format!("SELECT v.version, v.status, v.aliases FROM reco.versions AS v WHERE v.model = '{model}'")),
    };
    let step = Step::new(kind, format!("SELECT t::text FROM ({query}) AS t ORDER BY 1"));
    if frame.unchanged {
        step.expect(Expect::Fresh)
    } else {
        step
    }
}

/// Aggregates beside Postgres' own.
pub fn aggregates(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let query = match dice.below(8) {
        0 => "SELECT region, reco.total_sales(reco.sales_summary(amount, quantity, discount, customer, sold_at)) AS got,
                     sum(amount)::float8 AS expected FROM torture.sales GROUP BY region",
        1 => "SELECT reco.unique_customers(reco.rollup(d.sales)) AS got, (SELECT count(DISTINCT customer) FROM torture.sales) AS expected
              FROM (SELECT region, reco.sales_summary(amount, quantity, discount, customer, sold_at) AS sales FROM torture.sales GROUP BY region) AS d",
        2 => "SELECT (reco.min_max_scaler(amount::float8)).maximum AS got, max(amount)::float8 AS expected FROM torture.sales GROUP BY product_id",
        3 => "SELECT reco.vocabulary(region) AS got, '{r0,r1,r2}'::text[] AS expected FROM torture.sales",
        4 => "SELECT reco.label_encode(s.region, v.words) AS got, substr(s.region, 2)::integer + 1 AS expected
              FROM torture.sales AS s, (SELECT reco.vocabulary(region ORDER BY region) AS words FROM torture.sales) AS v WHERE s.customer < 9",
        5 => "SELECT reco.transactions(t.sales) AS got, t.n AS expected
              FROM (SELECT reco.trailing_weeks(w.sales, w.week, 2) OVER (PARTITION BY w.region ORDER BY w.week) AS sales,
                           sum(w.n) OVER (PARTITION BY w.region ORDER BY w.week RANGE BETWEEN '7 days' PRECEDING AND CURRENT ROW)::bigint AS n
                    FROM (SELECT region, date_trunc('week', sold_at)::date AS week, count(*) AS n,
                                 reco.sales_summary(amount, quantity, discount, customer, sold_at) AS sales
                          FROM torture.sales GROUP BY 1, 2) AS w) AS t",
        6 => "SELECT round(reco.rmse(amount::float8, quantity)::numeric, 9) AS got,
                     round(sqrt(avg((amount - quantity) ^ 2)), 9) AS expected FROM torture.sales GROUP BY product_id",
        _ => "SELECT round(reco.brier(s.score, s.bought)::numeric, 9) AS got,
                     round(avg((s.score - s.bought::integer) ^ 2)::numeric, 9) AS expected
              FROM (SELECT customer / 97.0::float8 AS score, quantity > 1 AS bought, region FROM torture.sales) AS s GROUP BY s.region",
    };
    Step::new("ask aggregates", query).expect(Expect::Pairs)
}

/// The same scores by an aggregate over predict() and by evaluate().
pub fn evaluated(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = Target::any(dice, place, frame);
    let (model, source) = (&target.model, target.source);
    let sql = format!(
        "SELECT (SELECT round(e.auroc::numeric, 12) FROM reco.evaluate('{model}', 'torture.{source}', 'purchased') AS e) AS got,
                (SELECT round(reco.auroc(reco.predict('{model}', f), f.purchased)::numeric, 12) FROM torture.{source} AS f) AS expected"
    );
    // Of known rows there is always something to measure.
    Step::new(if target.known { "ask evaluate of known" } else { "ask evaluate" }, sql).expect(Expect::Pairs)
}
