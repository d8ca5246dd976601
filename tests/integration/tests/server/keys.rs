//! Which columns are taken for product, region and time, what the client is told of it, and that every function finds rows by
//! them.

use integration::{rows, value, Database, Training};
use postgres::Client;

/// A table of the training table's rows with these columns, which the training has beside price and sales.
fn table(client: &mut Client, name: &str, columns: &str, constraints: &str) {
    let sql = format!(
        "CREATE TABLE {name} AS SELECT {columns}, week, price, sales_1w, purchased FROM launch_features; {constraints}"
    );
    client.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Keys, time column and number of inputs of a model's newest version.
fn keys(client: &mut Client, model: &str) -> String {
    let sql = format!(
        "SELECT keys, time_column, (SELECT count(*) FROM jsonb_array_elements(recipe -> 'columns')) FROM reco.versions
         WHERE model = '{model}' ORDER BY version DESC LIMIT 1"
    );
    rows(client, &sql).concat()
}

/// Whether every function that goes by product and region answers for product 7 in region 1, given in these ways.
fn assert_served(client: &mut Client, model: &str, product: &str, region: &str) {
    let answers = [
        format!("SELECT reco.recommend({product}, {region}, '{model}') IS NOT NULL"),
        format!("SELECT count(*) = 60 FROM reco.top_products({region}, 100, '{model}')"),
        format!("SELECT count(*) = 1 FROM reco.top_products({region}, 100, '{model}', candidates => ARRAY[{product}])"),
        format!("SELECT count(*) = 4 FROM reco.top_regions({product}, 100, '{model}')"),
        format!(
            "SELECT count(*) = 1 FROM reco.top_regions({product}, 100, '{model}', candidates => ARRAY[{region}, 'none'])"
        ),
        format!(
            "SELECT (SELECT score FROM reco.top_products({region}, 100, '{model}') WHERE product_id = ({product})::text)
                    = reco.recommend({product}, {region}, '{model}')"
        ),
        format!("SELECT count(*) = 60 FROM reco.forecast_products({region}, '{model}')"),
        format!("SELECT count(*) > 0 FROM reco.explain({product}, {region}, '{model}')"),
        format!("SELECT count(*) = 3 FROM reco.similar_launches({product}, {region}, 3, '{model}')"),
        format!("SELECT reco.recommend({product}, 'none', '{model}') IS NULL"),
    ];
    for sql in answers {
        let answer = client.query_one(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(answer.get::<_, Option<bool>>(0), Some(true), "{sql}");
    }
}

#[test]
fn names_tell_the_roles_whatever_the_order_of_the_primary_key() {
    let database = Database::with_data();
    let (mut client, told) = database.listen();
    table(
        &mut client,
        "swapped",
        "region, product_id",
        "ALTER TABLE swapped ADD PRIMARY KEY (region, product_id, week)",
    );
    table(
        &mut client,
        "alike",
        "region AS region_code, 'p' || product_id AS product_code",
        "ALTER TABLE alike ADD PRIMARY KEY (week, region_code, product_code)",
    );
    table(
        &mut client,
        "one_named",
        "region, 'p' || product_id AS article",
        "ALTER TABLE one_named ADD PRIMARY KEY (region, article, week)",
    );
    table(
        &mut client,
        "by_type",
        "region AS market, product_id AS article",
        "ALTER TABLE by_type ADD PRIMARY KEY (market, article, week)",
    );
    for (model, product, keys_found) in [
        ("swapped", "7", "product_id,region"),
        ("alike", "'p7'::text", "product_code,region_code"),
        ("one_named", "'p7'::text", "article,region"),
        ("by_type", "7", "article,market"),
    ] {
        Training::new(model).source(model).call(&mut client);
        assert_eq!(keys(&mut client, model), format!("(\"{{{keys_found}}}\",week,2)"));
        assert_served(&mut client, model, product, "'r1'");
        let (product, region) = keys_found.split_once(',').unwrap();
        let expected =
            format!("NOTICE: {model}: the product is {product}, the region is {region}, the time is week");
        assert!(told.lock().unwrap().contains(&expected), "{expected}: {told:?}");
    }
    Training::new("given").source("swapped").with("keys => '{region,product_id}'").call(&mut client);
    assert_eq!(keys(&mut client, "given"), "(\"{product_id,region}\",week,2)");
    Training::new("asked").source("by_type").with("keys => '{market,article}'").call(&mut client);
    assert_eq!(keys(&mut client, "asked"), "(\"{market,article}\",week,2)");
    let told = told.lock().unwrap();
    assert!(!told.iter().any(|message| message.starts_with("WARNING")), "{told:?}");
}

#[test]
fn a_number_of_the_rows_is_neither_key_nor_input() {
    let database = Database::with_data();
    let (mut client, told) = database.listen();
    let numbered =
        "row_number() OVER (ORDER BY chance(product_id || region || week)) AS id, region, product_id";
    table(&mut client, "numbered", numbered, "ALTER TABLE numbered ADD PRIMARY KEY (id)");
    table(&mut client, "parted", numbered, "ALTER TABLE parted ADD PRIMARY KEY (id, week)");
    let unusual = "row_number() OVER (ORDER BY chance(product_id || region || week)) AS id, region AS market, product_id AS article";
    table(
        &mut client,
        "second",
        unusual,
        "ALTER TABLE second ADD PRIMARY KEY (id); CREATE UNIQUE INDEX ON second (market, article, week)",
    );
    for (model, expected) in
        [("numbered", "product_id,region"), ("parted", "product_id,region"), ("second", "article,market")]
    {
        Training::new(model).source(model).call(&mut client);
        assert_eq!(keys(&mut client, model), format!("(\"{{{expected}}}\",week,2)"));
        assert_served(&mut client, model, "7", "'r1'");
        let left_out = format!("NOTICE: {model}: no inputs, since every row has another: id");
        assert!(told.lock().unwrap().contains(&left_out), "{left_out}: {told:?}");
    }
    Training::new("included").source("numbered").param(r#""include": ["id"]"#).call(&mut client);
    assert_eq!(keys(&mut client, "included"), "(\"{product_id,region}\",week,3)");
    // A version that is trained again from its own keys has the same inputs.
    client.batch_execute("CALL reco.retrain('numbered')").unwrap();
    assert_eq!(keys(&mut client, "numbered"), "(\"{product_id,region}\",week,2)");
}

#[test]
fn who_cannot_be_recommended_is_told_so() {
    let database = Database::with_data();
    let (mut client, told) = database.listen();
    table(
        &mut client,
        "only_ids",
        "row_number() OVER () AS id, region AS market, product_id AS article",
        "ALTER TABLE only_ids ADD PRIMARY KEY (id)",
    );
    table(
        &mut client,
        "three",
        "region, product_id, 'web'::text AS channel",
        "ALTER TABLE three ADD PRIMARY KEY (channel, region, product_id, week)",
    );
    table(&mut client, "none", "region AS market, product_id AS article", "");
    let quick = r#""epochs": 1"#;
    for (model, key) in [("only_ids", "id"), ("three", "product_id, region, channel"), ("none", "")] {
        Training::new(model).source(model).param(quick).call(&mut client);
        let expected =
            format!("WARNING: recommend cannot serve model \"{model}\": its key is ({key}), not a product");
        assert!(
            told.lock().unwrap().iter().any(|message| message.starts_with(&expected)),
            "{expected}: {told:?}"
        );
    }
    told.lock().unwrap().clear();
    Training::new("named").source("none").param(quick).with("keys => '{article,market}'").call(&mut client);
    assert!(!told.lock().unwrap().iter().any(|message| message.starts_with("WARNING")), "{told:?}");
    assert_served(&mut client, "named", "7", "'r1'");
}

#[test]
fn a_region_of_any_type_that_a_text_casts_to_is_served() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TYPE market AS ENUM ('r0', 'r1', 'r2', 'r3');
             CREATE DOMAIN market_domain AS market;
             CREATE DOMAIN store AS integer CHECK (VALUE >= 0)",
        )
        .unwrap();
    let number = "substr(region, 2)::integer";
    for (n, (region, given)) in [
        (number.to_string(), "'1'"),
        (format!("{number}::bigint"), "'1'"),
        (format!("{number}::store"), "'1'"),
        (format!("{number}::numeric(5, 2)"), "'1'"),
        ("region::market".into(), "'r1'"),
        ("region::market_domain".into(), "'r1'"),
        ("md5(region)::uuid".into(), "md5('r1')"),
        ("region::varchar(5)".into(), "'r1'"),
        ("region::char(5)".into(), "'r1'"),
        ("region::name".into(), "'r1'"),
    ]
    .into_iter()
    .enumerate()
    {
        let model = format!("m{n}");
        let key = format!("ALTER TABLE {model} ADD PRIMARY KEY (region, product_id, week)");
        table(&mut client, &model, &format!("{region} AS region, product_id"), &key);
        for seed in [1, 2] {
            Training::new(&model)
                .source(&model)
                .param(&format!(r#""epochs": 2, "seed": {seed}"#))
                .call(&mut client);
        }
        assert_served(&mut client, &model, "7", given);
        let test = format!(
            r#"SELECT reco.start_ab_test('{model}', '{model}',
                   '[{{"arm": "a", "version": 1, "share": 0.5}}, {{"arm": "b", "version": 2, "share": 0.5}}]')"#
        );
        client.batch_execute(&test).unwrap();
        let log = format!(
            "SELECT reco.log_recommendations(array_agg(7::bigint), array_agg(region), '{model}',
                                             (SELECT max(week) FROM launch_features WHERE purchased IS NOT NULL))
             FROM reco.top_regions(7, 10, '{model}')"
        );
        assert_eq!(value::<i64>(&mut client, &log), 4, "{region}");
        let report =
            format!("SELECT sum(outcomes)::bigint FROM reco.ab_report('{model}') WHERE region IS NULL");
        assert_eq!(value::<i64>(&mut client, &report), 4, "{region}");
    }
}
