//! `reco.report`: its numbers are those that SQL gives, and each part is there as far as the caller's rights go.

use integration::{refusal, rows, value, Database, Training};
use postgres::Client;
use serde_json::Value;

const REPORT: &str = "SELECT reco.report('launch')";

/// A figure as the page writes it.
fn figure(number: f64) -> String {
    format!("{number:.3}")
}

/// What stands in the element that has this attribute.
#[track_caller]
fn marked<'a>(page: &'a str, attribute: &str) -> &'a str {
    let start = page.find(attribute).unwrap_or_else(|| panic!("no {attribute}")) + attribute.len() + 1;
    &page[start..start + page[start..].find('<').unwrap()]
}

/// The cells of the table that has this name, row by row.
#[track_caller]
fn table(page: &str, about: &str) -> Vec<Vec<String>> {
    let start = page.find(&format!("aria-label=\"{about}\"")).unwrap_or_else(|| panic!("no table {about}"));
    let body = page[start..].split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    let cells = |row: &str| {
        let cells = row.split("</").filter_map(|cell| cell.rsplit_once('>')).map(|(_, text)| text.to_owned());
        cells.filter(|text| !text.is_empty()).collect()
    };
    body.split("<tr>").skip(1).map(cells).collect()
}

/// The days of the test rows, for functions that take weeks.
fn test_weeks(client: &mut Client) -> String {
    let sql = "SELECT format('from_week => %L, to_week => %L', data ->> 'test_from', data ->> 'time_to')
               FROM reco.versions WHERE model = 'launch' AND version = 1";
    value(client, sql)
}

#[test]
fn its_numbers_are_those_of_the_functions() {
    let database = Database::trained();
    let mut client = database.connect();
    let page: String = value(&mut client, REPORT);
    let weeks = test_weeks(&mut client);
    let area = |client: &mut Client, column: &str, rest: &str| -> f64 {
        let from = format!("reco.evaluate('launch', 'launch_features', {weeks}{rest}");
        value(client, &format!("SELECT {column} FROM {from}"))
    };
    let auroc = area(&mut client, "auroc", ")");
    assert_eq!(marked(&page, "data-curve=\"auroc\""), figure(auroc));
    let precision = area(&mut client, "average_precision", ")");
    assert_eq!(marked(&page, "data-curve=\"average-precision\""), figure(precision));

    // Popularity is not stored by row: it is counted again, and comes to what the trainer has measured.
    let stored = |client: &mut Client, metric: &str| -> f64 {
        let path = format!("metrics #>> '{{test,popularity,{metric}}}'");
        value(client, &format!("SELECT ({path})::float8 FROM reco.versions WHERE version = 1"))
    };
    let popularity = stored(&mut client, "auroc");
    assert_eq!(marked(&page, "data-curve=\"popularity-auroc\""), figure(popularity));
    let popularity = stored(&mut client, "average_precision");
    assert_eq!(marked(&page, "data-curve=\"popularity-average-precision\""), figure(popularity));

    for (region, shown) in table(&page, "AUROC by region").iter().map(|row| (&row[0], &row[3])) {
        let rest = format!(", by => 'region') WHERE slice = '{region}'");
        assert_eq!(*shown, figure(area(&mut client, "auroc", &rest)), "{region}");
    }
    let shown = table(&page, "AUROC by week");
    let days = "SELECT count(DISTINCT week) FROM launch_features, reco.versions
                WHERE purchased IS NOT NULL AND week >= (data ->> 'test_from')::date";
    assert_eq!(shown.len() as i64, value::<i64>(&mut client, days));
    for row in shown {
        let rest = format!(", by => 'week') WHERE slice = '{}'", row[0]);
        assert_eq!(row[3], figure(area(&mut client, "auroc", &rest)), "{row:?}");
    }
    let lift: Vec<String> = table(&page, "Lift").into_iter().map(|row| row[3].clone()).collect();
    let expected: Vec<f64> = client
        .query(&format!("SELECT lift FROM reco.lift('launch', 'launch_features', {weeks})"), &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(lift.len(), 10);
    for (shown, lift) in lift.iter().zip(expected) {
        assert!((shown.parse::<f64>().unwrap() - lift).abs() <= 5e-4, "{shown} {lift}");
    }
    let calibration = table(&page, "Calibration").len() as i64;
    let bins = format!("SELECT count(*) FROM reco.calibration('launch', 'launch_features', {weeks})");
    assert_eq!(calibration, value::<i64>(&mut client, &bins));
}

#[test]
fn weeks_are_iso_dates_and_the_page_the_same_under_any_settings() {
    let database = Database::trained();
    let mut client = database.connect();
    let page: String = value(&mut client, REPORT);
    client
        .batch_execute("SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = 0")
        .unwrap();
    let again: String = value(&mut client, REPORT);
    let without_minute = |page: &str| page.split(" UTC.").nth(1).unwrap().to_owned();
    assert_eq!(without_minute(&page), without_minute(&again));
    assert!(table(&page, "AUROC by week").iter().all(|row| row[0].starts_with("2024-")));
}

#[test]
fn promotions_and_tests_are_those_of_the_catalog() {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param(r#""seed": 5, "importance": true"#).call(&mut client);
    client
        .batch_execute(
            "SELECT reco.promote('launch', 2, 'better <b>by far</b>');
             SELECT reco.start_ab_test('halves', 'launch', '[{\"arm\": \"one\", \"version\": 1, \"share\": 0.5},
                                                            {\"arm\": \"two\", \"version\": 2, \"share\": 0.5}]');
             SELECT reco.log_recommendations(array_agg(product_id), array_agg(region), 'launch', as_of => week)
             FROM launch_features WHERE purchased IS NOT NULL GROUP BY week",
        )
        .unwrap();
    let page: String = value(&mut client, REPORT);
    assert_eq!(table(&page, "History of promotions").len(), 2);
    assert!(page.contains("better &lt;b&gt;by far&lt;/b&gt;") && !page.contains("<b>"));
    let arms = table(&page, "Arms of halves");
    let counts = rows(
        &mut client,
        "SELECT arm, exposures, purchases FROM reco.ab_report('halves') WHERE region IS NULL",
    );
    let shown: Vec<String> = arms
        .iter()
        .map(|arm| format!("({},{},{})", arm[0], arm[3].replace(',', ""), arm[5].replace(',', "")))
        .collect();
    assert_eq!(shown, counts);
    let lift: f64 =
        value(&mut client, "SELECT lift FROM reco.ab_report('halves') WHERE region IS NULL AND arm = 'two'");
    assert_eq!(arms[1][7].replace('−', "-").trim_start_matches('+'), format!("{:.1} %", 100.0 * lift));
    let best: String = value(&mut client, "SELECT reco.model_card('launch') -> 'columns' -> 0 ->> 'name'");
    assert_eq!(table(&page, "Importance of columns")[0][0], best);
}

#[test]
fn each_part_is_shown_as_far_as_the_caller_may_see_it() {
    let database = Database::trained();
    let mut owner = database.connect();
    owner
        .batch_execute(
            "CREATE ROLE report_scorer LOGIN; CREATE ROLE report_trainer LOGIN; CREATE ROLE report_stranger LOGIN;
             SELECT reco.grant_model('launch', 'report_scorer', 'score');
             SELECT reco.grant_model('launch', 'report_trainer', 'train');
             GRANT SELECT ON launch_features TO report_scorer;
             GRANT USAGE ON SCHEMA reco TO report_scorer, report_trainer, report_stranger",
        )
        .unwrap();
    let page = |role: &str| -> String { value(&mut database.connect_as(role), REPORT) };

    let scorer = page("report_scorer");
    assert!(scorer.contains("which rows it was tested on is shown to those who may train the model"));
    assert!(scorer.contains("<h2 id=\"promotions-heading\"") && !table(&scorer, "Leaderboard").is_empty());
    let data: Value = value(&mut owner, "SELECT data FROM reco.versions");
    for hidden in [data["test_from"].as_str().unwrap(), data["digest"].as_str().unwrap(), "data-curve"] {
        assert!(!scorer.contains(hidden), "{hidden}");
    }

    // Who may train but not read the source sees the card and no curve.
    let trainer = page("report_trainer");
    assert!(trainer.contains("permission denied for table launch_features"));
    assert!(trainer.contains(data["digest"].as_str().unwrap()) && !trainer.contains("data-curve"));
    owner.batch_execute("GRANT SELECT ON launch_features TO report_trainer").unwrap();
    assert!(page("report_trainer").contains("data-curve"));

    // Rows that are hidden from the caller do not count.
    owner
        .batch_execute(
            "ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY one ON launch_features TO report_trainer USING (region = 'r1')",
        )
        .unwrap();
    let regions = table(&page("report_trainer"), "AUROC by region");
    assert_eq!(regions.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["r1"]);

    let mut stranger = database.connect_as("report_stranger");
    refusal(&mut stranger, REPORT).expect("42501", &["permission denied"], &[]);
}

#[test]
fn what_monitoring_found_stands_there_as_far_as_the_caller_may_see_it() {
    let database = Database::trained();
    let mut owner = database.connect();
    let not_yet = "The model was not monitored yet";
    assert!(value::<String>(&mut owner, REPORT).contains(not_yet));
    owner
        .batch_execute(
            "UPDATE launch_features SET sales_1w = sales_1w * 3 + 30 WHERE week = '2024-06-17';
             CREATE ROLE report_monitored LOGIN; GRANT USAGE ON SCHEMA reco TO report_monitored;
             SELECT reco.grant_model('launch', 'report_monitored', 'score')",
        )
        .unwrap();
    owner.batch_execute("CALL reco.monitor('launch')").unwrap();
    let page: String = value(&mut owner, REPORT);
    assert!(!page.contains(not_yet));

    let judged = "FROM reco.monitoring WHERE NOT is_region AND judged_at IS NOT NULL";
    let weeks = owner
        .query(
            &format!("SELECT week::text, auroc, test_auroc, calibration_error {judged} ORDER BY week"),
            &[],
        )
        .unwrap();
    let shown = table(&page, "Judged weeks");
    assert!(weeks.len() >= 2 && shown.len() == weeks.len(), "{shown:?}");
    for (shown, week) in shown.iter().zip(&weeks) {
        let figures = [1, 2].map(|n| figure(week.get(n)));
        assert_eq!([&shown[0], &shown[4], &shown[5]], [&week.get::<_, String>(0), &figures[0], &figures[1]]);
    }
    let of_newest = "FROM reco.drift WHERE week = (SELECT max(week) FROM reco.drift)";
    let drift = table(&page, "Drift by column");
    assert_eq!(drift.len() as i64, value::<i64>(&mut owner, &format!("SELECT count(*) {of_newest}")));
    let psi = format!("SELECT psi {of_newest} AND column_name = 'sales_1w'");
    let sales = drift.iter().find(|row| row[0] == "sales_1w").unwrap();
    assert_eq!(sales[2], figure(value(&mut owner, &psi)));
    let reasons = owner
        .query("SELECT r ->> 'words' FROM reco.health, jsonb_array_elements(reasons) AS r", &[])
        .unwrap();
    assert!(!reasons.is_empty());
    for reason in reasons {
        let words: String = reason.get(0);
        assert!(page.contains(&words.replace('"', "&quot;")), "{words}");
    }
    assert!(page.contains("data-status=\"alarm\""));

    // Who may only score sees the figures of whole weeks, and no column, no note and no reason.
    let scorer: String = value(&mut database.connect_as("report_monitored"), REPORT);
    assert_eq!(table(&scorer, "Judged weeks").len(), weeks.len());
    assert!(
        scorer.contains("data-status=\"alarm\"") && scorer.contains("Drift is shown to those who may train")
    );
    for hidden in ["drifted from training", "Drift by column", "weeks behind"] {
        assert!(page.contains(hidden) && !scorer.contains(hidden), "{hidden}");
    }
}

#[test]
fn a_source_that_is_gone_takes_only_its_part_along() {
    let database = Database::trained();
    let mut client = database.connect();
    client.batch_execute("ALTER TABLE launch_features RENAME TO elsewhere").unwrap();
    let page: String = value(&mut client, REPORT);
    assert!(page.contains("cannot be shown") && page.contains("does not exist"));
    assert_eq!(table(&page, "History of promotions").len(), 1);

    // A view whose function fails is an error of that part, and the transaction goes on.
    client
        .batch_execute(
            "CREATE FUNCTION fails(day date) RETURNS date LANGUAGE plpgsql AS $$ BEGIN RAISE 'it <i>fails</i>'; END $$;
             DO $$ BEGIN EXECUTE (SELECT format('CREATE VIEW launch_features AS SELECT fails(week) AS week, %s FROM elsewhere',
                 string_agg(quote_ident(attname), ', ')) FROM pg_attribute
                 WHERE attrelid = 'elsewhere'::regclass AND attnum > 0 AND attname <> 'week'); END $$;
             BEGIN",
        )
        .unwrap();
    let page: String = value(&mut client, REPORT);
    assert!(page.contains("cannot be shown: it &lt;i&gt;fails&lt;/i&gt;."));
    client.batch_execute("CREATE TABLE still_alive (); COMMIT").unwrap();
}

#[test]
fn it_takes_no_longer_than_it_may_and_ends_with_a_cancel() {
    let database = Database::trained();
    let mut client = database.connect();
    let page: String = value(&mut client, "SELECT reco.report('launch', time_limit => '1 microsecond')");
    assert!(page.contains("takes longer than was allowed") && page.contains("Leaderboard"));
    client
        .batch_execute(
            "ALTER TABLE launch_features RENAME TO elsewhere;
             CREATE FUNCTION sleeps() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1000); RETURN true; END $$;
             CREATE VIEW launch_features AS SELECT * FROM elsewhere WHERE sleeps();
             SET statement_timeout = '300ms'",
        )
        .unwrap();
    refusal(&mut client, REPORT).expect("57014", &["statement timeout"], &[]);
}

#[test]
fn versions_and_arguments_are_checked() {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param(r#""seed": 5"#).call(&mut client);
    let second: String = value(&mut client, "SELECT reco.report('launch', 2)");
    assert!(second.contains("<title>launch, version 2</title>"));
    refusal(&mut client, "SELECT reco.report('launch', 3)").expect("42704", &["no version 3"], &[]);
    refusal(&mut client, "SELECT reco.report('nothing')").expect("42704", &["\"nothing\""], &[]);
    refusal(&mut client, "SELECT reco.report(NULL)").expect("22023", &["model"], &[]);
    refusal(&mut client, "SELECT reco.report('launch', time_limit => '-1 s')").expect(
        "22023",
        &["time_limit"],
        &[],
    );
    client.batch_execute("SELECT reco.archive_version('launch', 2)").unwrap();
    let archived: String = value(&mut client, "SELECT reco.report('launch', 2)");
    assert!(archived.contains("is archived") && archived.contains("Lineage"));
}

#[test]
fn a_quantity_has_errors_instead_of_curves() {
    let database = Database::with_data();
    let mut client = database.connect();
    client
        .batch_execute("CREATE VIEW sold AS SELECT product_id, region, week, price, sales_1w, purchased::int * sales_4w AS quantity FROM launch_features")
        .unwrap();
    Training::new("launch").source("sold").label("quantity").call(&mut client);
    let page: String = value(&mut client, REPORT);
    let weeks = test_weeks(&mut client);
    let rmse: f64 = value(&mut client, &format!("SELECT rmse FROM reco.evaluate('launch', 'sold', {weeks})"));
    let errors = table(&page, "Errors on test rows");
    assert_eq!(errors[0][1], figure(rmse));
    assert!(!page.contains("Popularity cannot") && table(&page, "RMSE by region").len() == 4);
}
