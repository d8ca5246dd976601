//! Texts of errors and of definitions may hold data: who sees them.

use integration::{refusal, rows, value, Database};
use postgres::Client;

/// In the data, in what goes wrong with them, and in the definition of a feature view.
const SECRET: &str = "4711-secret";

fn role(database: &Database, name: &str) -> Client {
    let sql = format!("CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA reco TO {name}; GRANT CREATE ON SCHEMA public TO {name}");
    database.connect().batch_execute(&sql).unwrap();
    database.connect_as(name)
}

/// The views of the schema in which the secret is to be seen.
fn views_that_tell(client: &mut Client) -> Vec<String> {
    let views = rows(
        client,
        "SELECT c.relname FROM pg_class c
         WHERE c.relnamespace = 'reco'::regnamespace AND c.relkind = 'v' AND has_table_privilege(c.oid, 'select')",
    );
    let names = views.iter().map(|view| view.trim_matches(['(', ')']).to_owned());
    let mut telling: Vec<_> = names
        .filter(|view| {
            let sql = format!("SELECT count(*) FROM reco.{view} AS r WHERE r::text LIKE '%{SECRET}%'");
            value::<i64>(client, &sql) > 0
        })
        .collect();
    telling.sort();
    telling
}

#[test]
fn texts_of_errors_are_for_those_who_may_train_and_those_of_definitions_for_owners() {
    let database = Database::with_data();
    let mut admin = database.connect();
    let mut owner = role(&database, "told_owner");
    let mut trains = role(&database, "told_trainer");
    let mut scores = role(&database, "told_scorer");
    admin.batch_execute("GRANT SELECT ON launch_features TO PUBLIC").unwrap();
    owner
        .batch_execute(&format!(
            r#"CREATE TABLE notes AS SELECT f.product_id, f.region, f.week, f.price, f.purchased, '1' AS note FROM launch_features AS f;
             CREATE VIEW noted AS SELECT product_id, region, week, price, note::integer AS note, purchased FROM notes;
             CALL reco.train('told', 'noted', 'purchased', keys => '{{product_id,region}}', params => '{{"epochs": 1}}');
             SELECT reco.grant_model('told', 'told_trainer', 'train'), reco.grant_model('told', 'told_scorer', 'score');
             UPDATE notes SET note = '{SECRET}' WHERE product_id = 7;
             SELECT reco.create_feature_view('noted_weekly',
                 'SELECT $1 AS week, 1 AS product_id, note::integer AS note FROM notes WHERE note <> ''not {SECRET}''',
                 '{{product_id}}', available => 'SELECT date ''2024-01-01'', date ''2024-02-01'' WHERE ''{SECRET}'' IS NOT NULL')"#
        ))
        .unwrap();
    for statement in [
        "CALL reco.retrain('told')",
        "CALL reco.train('told', 'noted', 'purchased', keys => '{product_id,region}')",
        "CALL reco.tune('told', 'noted', 'purchased', keys => '{product_id,region}', trials => 1)",
        "CALL reco.refresh_features('noted_weekly')",
    ] {
        let error = refusal(&mut owner, statement);
        assert!(error.message.contains(SECRET), "{statement}: {error:?}");
    }
    let all = ["audit", "feature_refreshes", "feature_views", "runs", "tunes"];
    assert_eq!(views_that_tell(&mut owner), all);
    assert_eq!(views_that_tell(&mut admin), all);
    assert_eq!(views_that_tell(&mut trains), ["audit", "runs", "tunes"]);
    assert_eq!(views_that_tell(&mut scores), Vec::<String>::new());
    // That it failed is no secret, nor that there is such a view.
    let failed = "SELECT detail ->> 'status', detail ? 'error' FROM reco.audit WHERE action = 'retrained'";
    assert_eq!(rows(&mut scores, failed), ["(failed,f)"]);
    assert_eq!(
        rows(&mut scores, "SELECT view, created_by FROM reco.feature_views"),
        ["(public.noted_weekly,told_owner)"]
    );
    assert_eq!(rows(&mut scores, "SELECT status FROM reco.feature_refreshes"), ["(failed)"]);
}

#[test]
fn the_card_says_whose_relation_is_read() {
    let database = Database::trained();
    let mut admin = database.connect();
    let mut owner = role(&database, "card_view_owner");
    admin.batch_execute("GRANT SELECT ON launch_features TO card_view_owner").unwrap();
    owner
        .batch_execute(
            "CREATE VIEW carded AS SELECT product_id, region, week, price, purchased FROM launch_features",
        )
        .unwrap();
    admin
        .batch_execute(
            "CALL reco.train('carded', 'carded', 'purchased', 'popularity', keys => '{product_id,region}')",
        )
        .unwrap();
    let reads = |client: &mut Client, model: &str| {
        value::<String>(client, &format!("SELECT reco.model_card('{model}') ->> 'reads'"))
    };
    assert_eq!(reads(&mut admin, "launch"), r#"{"kind": "table", "owner": "postgres"}"#);
    assert_eq!(reads(&mut admin, "carded"), r#"{"kind": "view", "owner": "card_view_owner"}"#);
    let text: String = value(&mut admin, "SELECT reco.model_card_text('carded')");
    assert!(text.contains("- Reads: a view of card_view_owner"), "{text}");
    owner.batch_execute("DROP VIEW carded").unwrap();
    assert_eq!(value::<Option<String>>(&mut admin, "SELECT reco.model_card('carded') ->> 'reads'"), None);
}
