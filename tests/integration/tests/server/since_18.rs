//! What came with PostgreSQL 18: columns that are computed when they are read, keys without overlaps, constraints that are
//! not enforced, and extensions in folders of their own.

use super::own_folder::{assert_all_from, copy, with_own_folder};
use super::support::{artifact, sum_of_scores};
use super::views;
use integration::installation::Installation;
use integration::{rows, value, Database, Training};
use postgres::Client;

const BY_KEY: &str = "generate_series(1::bigint, 60) AS p, unnest('{r0,r1,r2,r3}'::text[]) AS r";

/// Asserts that two models, trained on the same rows, are the same and score the same in every way.
#[track_caller]
fn assert_same(client: &mut Client, one: &str, other: &str, source_of_other: &str) {
    assert!(artifact(client, one, 1) == artifact(client, other, 1), "they learned something else");
    let newest = format!("SELECT DISTINCT ON (product_id, region) * FROM {source_of_other} ORDER BY product_id, region, week DESC");
    for (asked, of_one, of_other) in [
        (
            "predict",
            format!("SELECT product_id, region, week, reco.predict('{one}', f) FROM {source_of_other} AS f"),
            String::new(),
        ),
        ("recommend", format!("SELECT p, r, reco.recommend(p, r, '{one}') FROM {BY_KEY}"), String::new()),
        (
            "newest row",
            format!("SELECT p, r, reco.recommend(p, r, '{other}') FROM {BY_KEY}"),
            format!("SELECT product_id AS p, region AS r, reco.predict('{other}', n) FROM ({newest}) AS n"),
        ),
        (
            "as of",
            format!("SELECT p, r, reco.recommend(p, r, '{one}', as_of => '2024-03-04') FROM {BY_KEY}"),
            String::new(),
        ),
        ("top", format!("SELECT t.* FROM reco.top_products('r1', 10, '{one}') AS t"), String::new()),
        ("explain", format!("SELECT e.* FROM reco.explain(7::bigint, 'r2', '{one}') AS e"), String::new()),
    ] {
        let of_other = if of_other.is_empty() {
            of_one.replace(&format!("'{one}'"), &format!("'{other}'"))
        } else {
            of_other
        };
        let in_order = |sql: &str| format!("SELECT * FROM ({sql}) AS q ORDER BY q::text");
        let expected = rows(client, &in_order(&of_other));
        assert!(expected.len() > 3, "{asked}");
        assert_eq!(rows(client, &in_order(&of_one)), expected, "{asked}");
    }
}

const VIRTUAL: &str = "
    ALTER TABLE launch_features
        ADD COLUMN promoted_sales double precision GENERATED ALWAYS AS (sales_1w * on_promotion::integer) VIRTUAL,
        ADD COLUMN level text GENERATED ALWAYS AS (CASE WHEN price > 5 THEN 'high' ELSE 'low' END) VIRTUAL;
    CREATE TABLE stored (LIKE launch_features);
    INSERT INTO stored SELECT * FROM launch_features;
    ALTER TABLE stored ADD PRIMARY KEY (product_id, region, week);
    ANALYZE stored";

#[test]
fn columns_that_are_computed_when_read_score_as_stored_ones() {
    let mut client = Database::with_data().connect();
    client.batch_execute(VIRTUAL).unwrap();
    Training::new("computed").call(&mut client);
    Training::new("stored").source("stored").call(&mut client);
    let used = "SELECT count(*) FROM reco.explain(1::bigint, 'r1', 'computed') AS e WHERE e::text ~ 'promoted_sales|level'";
    assert!(value::<i64>(&mut client, used) >= 2, "the model does not use them");
    assert_same(&mut client, "computed", "stored", "stored");
    assert_eq!(sum_of_scores(&mut client, "computed"), sum_of_scores(&mut client, "stored"));
}

#[test]
fn columns_that_are_computed_when_read_score_as_stored_ones_from_partitions() {
    let mut client = Database::with_data().connect();
    client.batch_execute(VIRTUAL).unwrap();
    client
        .batch_execute(
            "CREATE TABLE parted (LIKE launch_features INCLUDING GENERATED, PRIMARY KEY (product_id, region, week))
                 PARTITION BY RANGE (week);
             CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2024-04-01');
             CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2024-04-01') TO ('2025-01-01');
             INSERT INTO parted (product_id, region, week, price, sales_1w, on_promotion, purchased)
             SELECT product_id, region, week, price, sales_1w, on_promotion, purchased FROM launch_features;
             CREATE TABLE parted_stored (LIKE launch_features);
             INSERT INTO parted_stored SELECT * FROM parted;
             ALTER TABLE parted_stored ADD PRIMARY KEY (product_id, region, week); ANALYZE parted, parted_stored",
        )
        .unwrap();
    Training::new("computed").source("parted").call(&mut client);
    Training::new("stored").source("parted_stored").call(&mut client);
    assert_same(&mut client, "computed", "stored", "parted_stored");
}

#[test]
fn a_label_and_a_column_of_a_feature_view_may_be_computed_when_read() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "ALTER TABLE launch_features ADD COLUMN bought boolean GENERATED ALWAYS AS (purchased) VIRTUAL;
             CREATE TABLE features AS SELECT * FROM launch_features; ALTER TABLE features DROP COLUMN purchased;
             ALTER TABLE launch_features ADD COLUMN spent double precision GENERATED ALWAYS AS (price * sales_1w) VIRTUAL;
             SELECT reco.create_feature_view('spending',
                 'SELECT product_id, region, week, spent, purchased FROM launch_features WHERE week BETWEEN $1 AND $2',
                 keys => '{product_id,region}', label => 'purchased',
                 available => 'SELECT min(week), max(week) + 7 FROM launch_features');
             CALL reco.refresh_features('spending')",
        )
        .unwrap();
    let same = "SELECT count(*) FILTER (WHERE s.spent IS NOT DISTINCT FROM l.price * l.sales_1w), count(s.spent) > 5000
                FROM spending AS s JOIN launch_features AS l USING (product_id, region, week)";
    assert_eq!(rows(&mut client, same), ["(6000,t)"]);
    // The table's own column of the same values is left out by a view of it.
    client.batch_execute("CREATE VIEW without_purchased AS SELECT product_id, region, week, price, sales_1w, bought FROM launch_features").unwrap();
    client
        .batch_execute(
            "CREATE VIEW usual AS SELECT product_id, region, week, price, sales_1w, bought FROM features",
        )
        .unwrap();
    Training::new("computed").source("without_purchased").label("bought").call(&mut client);
    Training::new("stored").source("usual").label("bought").call(&mut client);
    assert!(artifact(&mut client, "computed", 1) == artifact(&mut client, "stored", 1));
}

#[test]
fn a_key_without_overlaps_tells_product_and_region_and_scores_as_another() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE EXTENSION btree_gist;
             CREATE TABLE plain AS SELECT product_id, region, week, price, sales_1w, category, purchased FROM launch_features;
             ALTER TABLE plain ADD PRIMARY KEY (product_id, region, week);
             CREATE TABLE periods AS SELECT *, daterange(week, week + 7) AS holds FROM plain;
             ALTER TABLE periods ADD PRIMARY KEY (product_id, region, holds WITHOUT OVERLAPS);
             ANALYZE plain, periods",
        )
        .unwrap();
    for (source, exclude) in [("plain", ""), ("periods", r#""exclude": ["holds"]"#)] {
        let training = Training::new(source).source(source);
        let training = if exclude.is_empty() { training } else { training.param(exclude) };
        training.call(&mut client);
        let keys =
            format!("SELECT keys::text[] || time_column::text FROM reco.versions WHERE model = '{source}'");
        assert_eq!(value::<Vec<String>>(&mut client, &keys), ["product_id", "region", "week"]);
    }
    let scores = |model: &str| format!("SELECT p, r, reco.recommend(p, r, '{model}') FROM {BY_KEY}");
    assert_eq!(rows(&mut client, &scores("periods")), rows(&mut client, &scores("plain")));
}

#[test]
fn a_refresh_makes_partitions_of_a_view_whose_owner_added_constraints_of_every_kind() {
    let mut client = Database::with_data().connect();
    views::create(&mut client, ", partition_by => 'month'");
    views::refresh(&mut client, "'demand', to_week => '2024-01-22'");
    client
        .batch_execute(
            "ALTER TABLE demand ADD CONSTRAINT never_looked_at CHECK (quantity < 0) NOT ENFORCED,
                                ADD CONSTRAINT has_quantity NOT NULL quantity NOT VALID;
             ALTER TABLE demand VALIDATE CONSTRAINT has_quantity",
        )
        .unwrap();
    views::refresh(&mut client, "'demand'");
    assert_eq!(views::contents(&mut client, "demand"), views::built_anew(&mut client));
    assert!(
        value::<i64>(&mut client, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'demand'::regclass")
            > 1
    );
}

#[test]
fn an_extension_in_a_folder_of_its_own_brings_its_own_sql_library_and_trainer() {
    let (cluster, folder) = with_own_folder("");
    let theirs = Installation::get().share.join("extension");
    let ours = folder.join("share/extension");
    for entry in std::fs::read_dir(&theirs).expect("the extensions are readable").flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("pg_recommend") {
            copy(&entry.path(), &ours.join(name));
        }
    }
    let control = ours.join("pg_recommend.control");
    let text = std::fs::read_to_string(&control).expect("the control file is readable");
    let text: String =
        text.lines().filter(|line| !line.starts_with("comment")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&control, text + "comment = 'of its own folder'\n").expect("the control file is writable");
    cluster.reconfigure(&format!("extension_control_path = '{}:$system'", folder.join("share").display()));
    let mut client = cluster.connect("postgres");
    assert_all_from(&mut client, &folder);
    let comment =
        "SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'pg_recommend'";
    assert_eq!(value::<String>(&mut client, comment), "of its own folder");
}
