//! A small feature view that several of the files ask about: weekly demand, with a label that looks one week ahead.

use integration::{rows, value};
use postgres::Client;

/// Ten weeks of sales from Monday, 2024-01-01, with a sale on every Sunday, so that each of the weeks is over.
const SOLD: &str = "
CREATE TABLE sold (product_id bigint, region text, day date, quantity integer);
INSERT INTO sold
SELECT p, 'r' || r, date '2024-01-01' + 7 * w + d, 1 + hashint4(p * 1000 + r * 100 + w * 10 + d) & 7
FROM generate_series(1, 5) AS p, generate_series(0, 1) AS r, generate_series(0, 9) AS w, unnest('{0,3,6}'::int[]) AS d
WHERE d = 6 AND p = 1 OR hashint4(p * 77 + r * 7 + w) & 3 > 0";

pub const DEFINITION: &str = "
WITH weekly AS (
    SELECT product_id, region, date_trunc('week', day)::date AS week, sum(quantity)::integer AS quantity
    FROM sold WHERE day >= $1 AND day < $2 + 14 GROUP BY 1, 2, 3
)
SELECT w.*, CASE WHEN w.week + 14 <= (SELECT max(day) + 1 FROM sold) THEN n.week IS NOT NULL END AS bought
FROM weekly AS w
LEFT JOIN weekly AS n ON n.product_id = w.product_id AND n.region = w.region AND n.week = w.week + 7
WHERE w.week <= $2";

/// A statement that makes the view `name`; `options` are further arguments, each after a comma.
pub fn creation(name: &str, options: &str) -> String {
    format!(
        "SELECT reco.create_feature_view('{name}', $definition${DEFINITION}$definition$, '{{product_id,region}}',
                label => 'bought', horizon => 1, available => 'SELECT min(day), max(day) + 1 FROM sold'{options})"
    )
}

/// Makes the table `sold` and the view `demand`, not yet refreshed.
pub fn create(client: &mut Client, options: &str) {
    client.batch_execute(SOLD).unwrap();
    client.batch_execute(&creation("demand", options)).unwrap_or_else(|error| panic!("{options}: {error:?}"));
}

#[track_caller]
pub fn refresh(client: &mut Client, arguments: &str) {
    let sql = format!("CALL reco.refresh_features({arguments})");
    client.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
}

/// The newest record of a view's refreshes: how it ended, the weeks, and how many rows.
pub fn newest_record(client: &mut Client, view: &str) -> String {
    value(
        client,
        &format!(
            "SELECT concat_ws(' ', status, first_week, last_week, weeks, rows) FROM reco.feature_refreshes
             WHERE view = '{view}' ORDER BY started_at DESC LIMIT 1"
        ),
    )
}

/// What the view holds.
pub fn contents(client: &mut Client, view: &str) -> Vec<String> {
    rows(client, &format!("SELECT * FROM {view} ORDER BY product_id, region, week"))
}

/// What `demand` would hold if it were built from nothing.
pub fn built_anew(client: &mut Client) -> Vec<String> {
    client.batch_execute(&creation("built_anew", "")).unwrap();
    refresh(client, "'built_anew'");
    let found = contents(client, "built_anew");
    client.batch_execute("SELECT reco.drop_feature_view('built_anew')").unwrap();
    found
}

/// Makes the feature view `weekly` of the training table, with its weeks up to 2024-05-06: it could have later ones.
pub fn create_of_launches(client: &mut Client) {
    client
        .batch_execute(
            "SELECT reco.create_feature_view('weekly',
                 'SELECT product_id, region, week, price, sales_1w, households, category, purchased
                  FROM launch_features WHERE week BETWEEN $1 AND $2',
                 keys => '{product_id,region}', label => 'purchased',
                 available => 'SELECT min(week), max(week) + 7 FROM launch_features');
             CALL reco.refresh_features('weekly', '2024-01-01', '2024-05-06')",
        )
        .unwrap();
}
