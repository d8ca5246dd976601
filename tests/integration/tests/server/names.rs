//! Names in the SQL that the extension sends mean the same whatever the caller's path and settings are.

use super::views::refresh;
use integration::{rows, value, Database, Training};

/// Keys of types in a schema of their own, with names that have to be quoted.
const TYPES: &str = r#"
    CREATE SCHEMA "Shop types";
    SET search_path = "Shop types", public;
    CREATE TYPE "Market" AS ENUM ('r0', 'r1', 'r2', 'r3');
    CREATE DOMAIN "Shop types".market_of_ours AS "Market";
    CREATE DOMAIN article AS numeric(12, 0) CHECK (VALUE > 0);
    CREATE TABLE public.typed AS SELECT product_id::article, region::"Market"::market_of_ours AS region, week, price, sales_1w,
                                        size, purchased FROM public.launch_features;
    ALTER TABLE public.typed ADD PRIMARY KEY (product_id, region, week);
    CREATE VIEW public.seen AS SELECT * FROM public.typed;"#;

const ANSWERS: [&str; 8] = [
    "SELECT reco.recommend(p, 'r1', 'typed') FROM pg_catalog.generate_series(1::bigint, 9) AS p",
    "SELECT reco.recommend(p, 'r1', 'seen') FROM pg_catalog.generate_series(1::bigint, 9) AS p",
    "SELECT reco.recommend(3::bigint, 'r9', 'seen')",
    "SELECT * FROM reco.top_products('r1', 5, 'typed', candidates => '{1,2,3,4,5,6}'::bigint[])",
    "SELECT * FROM reco.top_regions(3::bigint, 3, 'typed', candidates => '{r0,r1,r2}')",
    "SELECT column_name, value FROM reco.explain(3::bigint, 'r1', 'typed')",
    "SELECT * FROM reco.similar_launches(3::bigint, 'r1', 3, 'typed')",
    "SELECT * FROM reco.forecast('r1', 'typed', by => 'size')",
];

#[test]
fn keys_are_found_whatever_the_path_is() {
    let mut client = Database::with_data().connect();
    client.batch_execute(TYPES).unwrap();
    for model in ["typed", "seen"] {
        Training::new(model)
            .source(&format!("public.{model}"))
            .with("keys => '{product_id,region}'")
            .call(&mut client);
    }
    let on_the_path = ANSWERS.map(|sql| rows(&mut client, sql));
    assert!(on_the_path.iter().all(|found| !found.is_empty()));
    for path in ["''", "pg_temp", "public, \"Shop types\"", "reco"] {
        client.batch_execute(&format!("DISCARD PLANS; SET search_path = {path}")).unwrap();
        for (sql, expected) in ANSWERS.iter().zip(&on_the_path) {
            assert_eq!(&rows(&mut client, sql), expected, "{path}: {sql}");
        }
    }
}

#[test]
fn a_version_does_not_depend_on_the_path_of_who_trains_it() {
    let mut client = Database::with_data().connect();
    let digest = "SELECT data ->> 'digest' FROM reco.versions ORDER BY version DESC LIMIT 1";
    let recipe = "SELECT recipe::text FROM reco.versions ORDER BY version DESC LIMIT 1";
    let mut found = Vec::new();
    for path in ["public", "''"] {
        client.batch_execute(&format!("SET search_path = {path}")).unwrap();
        Training::new("launch").source("public.launch_features").call(&mut client);
        found.push((value::<Option<String>>(&mut client, digest), value::<String>(&mut client, recipe)));
    }
    assert_eq!(found[0], found[1]);
    assert!(found[0].1.contains("public.pack_size") && !found[0].1.contains("pg_catalog"), "{}", found[0].1);
}

#[test]
fn a_feature_view_is_made_of_types_and_collations_off_the_path() {
    let mut client = Database::with_data().connect();
    client.batch_execute(TYPES).unwrap();
    client
        .batch_execute(
            r#"CREATE COLLATION "Shop types"."Deutsch" (provider = libc, locale = 'C.UTF-8');
               SET search_path = public;
               SELECT reco.create_feature_view('dressed', $$
                   SELECT product_id, region, category COLLATE "Shop types"."Deutsch" AS category, week, price, purchased
                   FROM (SELECT t.*, size::text AS category FROM public.typed AS t) AS t WHERE week BETWEEN $1 AND $2$$,
                   keys => '{product_id,region,category}', label => 'purchased',
                   available => 'SELECT min(week), max(week) + 7 FROM public.typed')"#,
        )
        .unwrap();
    refresh(&mut client, "'dressed'");
    client.batch_execute("SET search_path = ''").unwrap();
    refresh(&mut client, "'public.dressed', lookback => 3");
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM public.dressed"), 6000);
    let collations =
        "SELECT DISTINCT collname::text FROM pg_attribute JOIN pg_collation AS c ON c.oid = attcollation \
                      WHERE attrelid::regclass::text LIKE 'public.dressed%' AND attname = 'category'";
    assert_eq!(rows(&mut client, collations), ["(Deutsch)"]);
}
