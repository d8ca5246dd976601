//! A schema before pg_catalog in a superuser's search path has an operator, a function, an aggregate, a type and a relation of
//! another's for all that pg_catalog has, and for what our SQL names. None of it runs, whatever is called.

use super::what_if;
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;
use std::collections::BTreeSet;

/// Every one raises an error that names it.
const PLANTED: &str = r#"
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.planted(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'planted % ran', what; END $$;

-- Functions: those of pg_catalog and of reco, with the same arguments.
DO $$
DECLARE f record;
BEGIN
    FOR f IN SELECT p.proname, p.pronamespace::regnamespace AS place, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
             FROM pg_proc p WHERE p.prokind = 'f' AND p.pronamespace IN ('pg_catalog'::regnamespace, 'reco'::regnamespace)
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
                           f.proname, f.arguments, f.result, 'planted function ' || f.proname || ' ran');
        EXCEPTION WHEN OTHERS THEN NULL; -- of internal or other types that PL/pgSQL does not take
        END;
    END LOOP;
END $$;

-- Aggregates.
DO $$
DECLARE a record;
BEGIN
    FOR a IN SELECT p.oid, p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
             FROM pg_proc p WHERE p.prokind = 'a' AND p.pronamespace = 'pg_catalog'::regnamespace
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION hostile.step_%s(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
                           a.oid, concat_ws(', ', a.result, nullif(a.arguments, '')), a.result, 'planted aggregate ' || a.proname || ' ran');
            EXECUTE format('CREATE AGGREGATE hostile.%I(%s) (SFUNC = hostile.step_%s, STYPE = %s)',
                           a.proname, coalesce(nullif(a.arguments, ''), '*'), a.oid, a.result);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END $$;

-- Operators: those of pg_catalog, and better matches where it takes one after a conversion.
DO $$
DECLARE o record;
BEGIN
    FOR o IN
        WITH types (t) AS (
            SELECT unnest('{text,varchar,bpchar,name,uuid,int2,int4,int8,oid,float4,float8,numeric,date,timestamp,timestamptz,bool,jsonb,text[],name[]}'::text[]::regtype[])
        ), better AS (
            SELECT n.name, l.t AS l, r.t AS r, n.result::regtype AS result
            FROM (VALUES ('=', 'bool'), ('<>', 'bool'), ('<', 'bool'), ('<=', 'bool'), ('>', 'bool'), ('>=', 'bool'), ('~', 'bool'),
                         ('+', 'float8'), ('-', 'float8'), ('*', 'float8'), ('/', 'float8'), ('||', 'text'), ('->', 'jsonb'), ('->>', 'text'),
                         ('#>', 'jsonb'), ('#>>', 'text'), ('&', 'int4'), ('|', 'int8'), ('<<', 'int8')) AS n (name, result),
                 types AS l, types AS r
        )
        SELECT name, l, r, (array_agg(result ORDER BY known DESC))[1] AS result
        FROM (SELECT oprname AS name, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result, true AS known
              FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft <> 0
              UNION ALL SELECT name, l, r, result, false FROM better) AS all_of_them
        GROUP BY 1, 2, 3
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION hostile.%I(%s, %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
                           'op ' || o.name, o.l, o.r, o.result, format('planted operator %s of %s and %s ran', o.name, o.l, o.r));
            EXECUTE format('CREATE OPERATOR hostile.%s (FUNCTION = hostile.%I, LEFTARG = %s, RIGHTARG = %s)', o.name, 'op ' || o.name, o.l, o.r);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END $$;

-- Types, and relations.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY '{text,name,uuid,int2,int4,int8,oid,float4,float8,date,timestamp,timestamptz,interval,bool,jsonb,bytea,regclass,numeric}'::text[] LOOP
        EXECUTE format('CREATE DOMAIN hostile.%1$I AS pg_catalog.%1$I CHECK (hostile.planted(%2$L))', t, 'type ' || t);
    END LOOP;
    FOR t IN SELECT DISTINCT relname FROM pg_class
             WHERE relkind IN ('r', 'v', 'p') AND relnamespace IN ('pg_catalog'::regnamespace, 'reco'::regnamespace) LOOP
        EXECUTE format('CREATE TABLE hostile.%I ()', t);
    END LOOP;
END $$;
"#;

/// What is called: every function and procedure that can run SQL is among it. Names of tables are said with their schema, as
/// are the few functions that the statements use themselves; `;;` ends a statement.
const CALLS: &str = r#"
SELECT reco.relation_name('a', 'b');;
SELECT reco.feature_view_name(v.view_id, v.table_schema, v.table_name, v.created_by),
       reco.feature_view_table(v.view_id, v.table_schema, v.table_name, v.created_by)
FROM reco.feature_view AS v;;
SELECT reco.predict('launch', f) FROM public.launch_features AS f LIMIT 1;;
SELECT reco.predict('numbers', ARRAY[1, 2, 3]::pg_catalog.float4[]);;
SELECT reco.predict_quantiles('units', f) FROM public.launch_features AS f LIMIT 1;;
SELECT reco.recommend(1, 'r1', 'launch');;
SELECT reco.recommend(1, 'r1');;
SELECT reco.recommend(1, 'r1', 'launch', as_of => '2024-05-01');;
SELECT reco.recommend(1, 'r1', 'by_view');;
SELECT reco.recommend('p1'::pg_catalog.text, 'r1', 'texts');;
SELECT reco.recommend('p1'::pg_catalog.text, 'r1', 'odd');;
SELECT reco.recommend(1, 'r1', 'planned', plan => '{"display": true, "price": 2}');;
SELECT reco.recommend_plans(1, 'r1', ARRAY['{"theme": "easter"}', NULL]::pg_catalog.jsonb[], 'planned');;
SELECT reco.plan_seen(1, 'r1', '{"display": true, "coupon": false, "price": 2, "theme": "easter"}', 'planned');;
SELECT reco.plan_effect(1, 'r1', '{"display": false, "coupon": true, "price": 2, "theme": null}', 'planned');;
SELECT reco.top_products('r1', 3, 'planned', plan => '{"price": 2}');;
SELECT reco.explain(1, 'r1', 'launch');;
SELECT reco.explain('p1'::pg_catalog.text, 'r1', 'texts');;
SELECT reco.explain_row('launch', f) FROM public.launch_features AS f LIMIT 1;;
SELECT reco.similar_launches(1, 'r1', model => 'launch');;
SELECT reco.similar_launches('p1'::pg_catalog.text, 'r1', model => 'texts');;
SELECT reco.similar_launches(2, 'r1', model => 'fresh');;
SELECT reco.top_products('r1', 3, 'launch');;
SELECT reco.top_products('r1', 3, 'launch', as_of => '2024-05-01', candidates => ARRAY[1, 2]);;
SELECT reco.top_products('r1', 3, 'texts', candidates => ARRAY['p1', 'p2']);;
SELECT reco.top_regions(1, 3, 'launch');;
SELECT reco.top_regions('p1'::pg_catalog.text, 3, 'texts');;
SELECT reco.forecast('r1', 'launch', 'units', by => 'category');;
SELECT reco.forecast_products('r1', 'launch', as_of => '2024-05-01');;
SELECT reco.evaluate('launch', 'public.launch_features', by => 'week', from_week => '2024-02-01', version => 1);;
SELECT reco.roc_curve('launch', 'public.launch_features');;
SELECT reco.confusion_matrix('launch', 'public.launch_features');;
SELECT reco.calibration('launch', 'public.launch_features');;
SELECT reco.lift('launch', 'public.launch_features');;
CALL reco.train('launch', 'public.launch_features', 'purchased', params => '{"epochs": 1, "hidden": [4]}');;
CALL reco.train('auto', 'public.launch_features', 'purchased', algorithm => 'auto', params => '{"epochs": 1, "hidden": [4], "trees": 3}');;
CALL reco.tune('tuned', 'public.launch_features', 'purchased', trials => 2, params => '{"epochs": 2}');;
SELECT reco.export_training_set('public.launch_features', 'purchased', params => '{"hidden": [4]}');;
CALL reco.retrain('launch');;
CALL reco.monitor('launch');;
SELECT reco.set_monitoring('launch', '{"psi_alarm": 0.3}');;
SELECT reco.report('launch');;
SELECT reco.backtest('public.launch_features', '2024-04-01', '2024-04-08', label => 'purchased', params => '{"epochs": 1, "hidden": [4]}');;
SELECT reco.promote_if_better('launch', 2);;
SELECT reco.promote('launch', 2, 'a test');;
SELECT reco.rollback('launch');;
SELECT reco.set_alias('launch', 'challenger', 2);;
SELECT reco.drop_alias('launch', 'challenger');;
SELECT reco.leaderboard('launch');;
SELECT reco.model_card('launch'), reco.model_card_text('launch');;
SELECT reco.describe_model('launch', 'a test');;
SELECT reco.has_model_privilege('launch', 'score', 'hostile_grantee');;
SELECT reco.grant_model('launch', 'hostile_grantee', 'train');;
SELECT reco.revoke_model('launch', 'hostile_grantee', 'score');;
SELECT reco.import_model('copy', reco.export_model('launch'), 'public.launch_features', label => 'purchased');;
SELECT reco.import_onnx('copy', reco.export_model('launch', NULL, 'onnx'), 'public.launch_features', label => 'purchased');;
SELECT reco.calibrate('copy', 1, 'public.launch_features');;
SELECT reco.set_model_owner('copy', 'hostile_grantee');;
SELECT reco.archive_version('launch', 2);;
SELECT reco.start_ab_test('split', 'launch', '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 3, "share": 0.5}]');;
SELECT reco.recommend(1, 'r1', 'launch');;
SELECT reco.ab_arm('split', 1, 'r1'), reco.ab_arm('split', '1'::pg_catalog.text, 'r1');;
SELECT reco.log_recommendations(ARRAY[1, 2]::pg_catalog.int8[], ARRAY['r1', 'r2'], 'launch', '2024-05-01');;
SELECT reco.log_recommendations(ARRAY['1', '2'], ARRAY['r1', 'r2'], 'launch');;
SELECT reco.ab_report('split');;
SELECT reco.stop_ab_test('split', 'a');;
SELECT reco.start_ab_test('keyed', 'launch', '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 3, "share": 0.5}]', unit => 'key');;
SELECT reco.ab_arm('keyed', 'anna');;
SELECT reco.stop_ab_test('keyed');;
SELECT reco.drop_model('copy', force => true);;
SELECT reco.run_is_alive('00000000-0000-4000-8000-000000000000');;
SELECT reco.is_own_feature_view('public.launch_features'::pg_catalog.regclass, 'postgres');;
SELECT reco.check_setup();;
SELECT * FROM reco.scoring_counters();;
SELECT reco.scoring_slots();;
SELECT reco.create_feature_view('public.weekly', $d$SELECT '2024-01-01'::pg_catalog.date AS week, 1 AS product_id, 'r1' COLLATE pg_catalog."C" AS region, true AS bought$d$,
                                '{product_id,region}', label => 'bought', available => $a$SELECT '2024-01-01'::pg_catalog.date, '2024-01-08'::pg_catalog.date$a$);;
CALL reco.refresh_features('public.weekly');;
CALL reco.refresh_features('public.weekly', '2024-01-01', '2024-01-01');;
SELECT reco.features_as_of(NULL::public.weekly, s) FROM public.spine AS s;;
SELECT reco.schedule_refresh('public.weekly', '0 0 1 1 *');;
SELECT reco.schedule_retraining('launch', '0 0 1 1 *');;
SELECT reco.schedule_monitoring('launch', '0 0 1 1 *');;
SELECT reco.pause_schedule('refresh', 'public.weekly', 'a test');;
SELECT reco.resume_schedule('refresh', 'public.weekly');;
CALL reco.run_due(wait => true);;
CALL reco.wait_for('launch', 1, NULL);;
CREATE TABLE public.from_the_lake AS SELECT product_id, region, price::pg_catalog.float8 FROM public.launch_features LIMIT 0;;
CALL reco.save_parquet('SELECT product_id, region, price::pg_catalog.float8 FROM public.launch_features', 'FOLDER/hostile_lake/');;
CALL reco.load_parquet('public.from_the_lake', 'FOLDER/hostile_lake/*.parquet', '{"price": "price"}', 'new_files');;
SELECT reco.publish_catalog();;
SELECT reco.schedule_run_is_alive(pg_catalog.now(), NULL, NULL), reco.schedule_run_is_alive(pg_catalog.now(), 1, NULL);;
SELECT reco.unschedule('refresh', 'public.weekly');;
SELECT reco.drop_feature_view('public.weekly');;
SELECT reco.create_launch_features('public.new_products', 'public.sales', 'public.products', 'public.stores', launch_date => 'launch_date', warm_up_weeks => 0);;
CALL reco.refresh_features('public.new_products');;
SELECT reco.drop_feature_view('public.new_products', with_inputs => true);;
"#;

/// What the calls are about.
fn prepared() -> Database {
    let database = Database::trained();
    let mut admin = database.connect();
    admin
        .batch_execute(
            "CREATE ROLE hostile_grantee;
             CREATE TABLE numbers AS SELECT product_id, region, week, price, clicks, sales_1w, purchased FROM launch_features;
             CREATE VIEW by_view AS SELECT product_id, region, week, price, purchased FROM launch_features;
             CREATE TABLE texts AS SELECT 'p' || product_id AS product_id, region, week, price, purchased FROM launch_features;
             CREATE TABLE odd AS SELECT ('p' || product_id)::varchar(20) AS product_id, region::bpchar AS region, week::timestamp AS week, price, purchased FROM launch_features;
             CREATE TABLE fresh AS SELECT product_id, region, week, price, purchased,
                    ((week - date '2024-01-01') / 7)::real AS weeks_since_launch FROM launch_features;
             CREATE TABLE spine AS SELECT 1 AS product_id, 'r1' AS region, date '2024-02-01' AS day;
             CREATE TABLE products AS SELECT p::bigint AS product_id, 'tea' AS category, date '2024-01-10' + p::int AS launch_date FROM generate_series(1, 9) AS p;
             CREATE TABLE stores AS SELECT s AS store_id, 'r' || s AS region FROM generate_series(0, 1) AS s;
             CREATE TABLE sales AS SELECT p::bigint AS product_id, s AS store_id, timestamp '2024-01-01' + interval '1 day' * d AS sold_at, 2.5::numeric AS amount,
                    1 AS quantity, 0::numeric AS discount, p * 100 + d AS customer_id
                    FROM generate_series(1, 9) AS p, generate_series(0, 1) AS s, generate_series(0, 69) AS d WHERE (p * 7 + d * 3 + s) % 5 < 2 OR d % 7 = 6",
        )
        .unwrap();
    let keyed = |model: &str, source: &str| {
        Training::new(model)
            .source(source)
            .params(r#"{"epochs": 1, "hidden": [4]}"#)
            .with("keys => '{product_id,region}'")
            .with("time_column => 'week'")
    };
    for source in ["numbers", "by_view", "texts", "odd", "fresh"] {
        keyed(source, source).call(&mut admin);
    }
    what_if::create(&mut admin);
    keyed("planned", "planned").label("bought").call(&mut admin);
    keyed("units", "launch_features").label("sales_1w").call(&mut admin);
    admin
        .batch_execute(
            "ALTER DATABASE {0} SET reco.default_model = 'launch'".replace("{0}", &database.name).as_str(),
        )
        .unwrap();
    admin.batch_execute(PLANTED).unwrap();
    database
}

/// The names of the functions and procedures that can run SQL: what is immutable computes.
fn that_run_sql(honest: &mut Client) -> BTreeSet<String> {
    let sql = "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'reco'::regnamespace AND prokind IN ('f', 'p') AND provolatile <> 'i'";
    rows(honest, sql).iter().map(|name| name.trim_matches(['(', ')']).to_owned()).collect()
}

#[test]
fn nothing_of_a_schema_before_pg_catalog_runs() {
    let database = prepared();
    let (mut honest, mut client) = (database.connect(), database.connect());
    let called =
        that_run_sql(&mut honest).into_iter().filter(|name| !CALLS.contains(&format!("reco.{name}(")));
    assert_eq!(called.collect::<Vec<_>>(), Vec::<String>::new(), "is called by no statement of this test");
    let views = rows(
        &mut honest,
        "SELECT relname FROM pg_class WHERE relnamespace = 'reco'::regnamespace AND relkind IN ('v', 'r')",
    );

    client.batch_execute("SET search_path = hostile, pg_catalog, public").unwrap();
    for trap in [
        "SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text",
        "SELECT lower('A'::pg_catalog.text)",
        "SELECT DATE '2024-01-01'",
        "SELECT max(1)",
    ] {
        refusal(&mut client, trap).expect("P0001", &["planted"], &[]);
    }
    let planted: i64 =
        value(&mut honest, "SELECT count(*) FROM pg_operator WHERE oprnamespace = 'hostile'::regnamespace");
    assert!(planted > 5000, "{planted}");

    let mut failed = Vec::new();
    let folder = format!("file://{}", database.cluster.folder().display());
    let calls = CALLS.split(";;").map(str::trim).filter(|call| !call.is_empty());
    let calls = calls.map(|call| call.replace("FOLDER", &folder));
    let reads = views.iter().map(|view| format!("SELECT * FROM reco.{}", view.trim_matches(['(', ')'])));
    for sql in calls.chain(reads) {
        if let Err(error) = client.batch_execute(&sql) {
            failed.push(format!("{sql}\n    {error:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_extension_is_not_made_in_a_schema_where_others_wait_for_it() {
    let database = Database::with_data();
    let name = format!("{}_empty", database.name);
    database.connect().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let mut client = database.cluster.connect(&name);
    client.batch_execute("CREATE ROLE waits_in_schema").unwrap();
    let waiting = [
        "CREATE SCHEMA reco AUTHORIZATION waits_in_schema",
        "CREATE SCHEMA reco; GRANT CREATE ON SCHEMA reco TO waits_in_schema",
        "CREATE SCHEMA reco; CREATE FUNCTION reco.same(text, name) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    ];
    for schema in waiting {
        client.batch_execute(schema).unwrap();
        let error = refusal(&mut client, "CREATE EXTENSION pg_recommend");
        error.expect("42501", &["\"reco\"", "not the extension's alone"], &["Drop or rename"]);
        client.batch_execute("DROP SCHEMA reco CASCADE").unwrap();
    }
    client.batch_execute("CREATE SCHEMA reco; CREATE EXTENSION pg_recommend").unwrap();
}
