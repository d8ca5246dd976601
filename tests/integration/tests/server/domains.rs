//! A column of a domain is treated as one of the domain's base type, wherever a type is looked at.

use integration::{rows, value, Database, Training};
use postgres::Client;

const TYPES: &str = "CREATE DOMAIN monday AS date CHECK (VALUE IS NULL OR extract(isodow FROM VALUE) = 1);
     CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN day AS date;
     CREATE TYPE kind AS ENUM ('r0', 'r1', 'r2', 'r3');
     CREATE DOMAIN market AS kind; CREATE DOMAIN article AS bigint; CREATE DOMAIN outcome AS boolean;
     CREATE DOMAIN measure AS real; CREATE DOMAIN measures AS real[]";

/// A feature view whose columns all have types of domains.
fn view(client: &mut Client) {
    client.batch_execute(TYPES).unwrap();
    client
        .batch_execute(
            "SELECT reco.create_feature_view('domains',
                 $$SELECT product_id::article AS product_id, region::kind::market AS region, week::monday AS week,
                          sales_1w::measure AS sales_1w, history::measure[] AS history, ranks::real[]::measures AS ranks,
                          purchased::outcome AS purchased
                   FROM launch_features WHERE week BETWEEN $1 AND $2$$,
                 keys => '{region,product_id}', time_column => 'week', label => 'purchased',
                 available => $$SELECT min(week)::day, max(updated_at)::moment FROM launch_features$$,
                 partition_by => 'quarter');
             CALL reco.refresh_features('domains')",
        )
        .unwrap_or_else(|error| panic!("{error:?}"));
}

#[test]
fn a_feature_view_of_domains_is_kept_trained_and_served() {
    let mut client = Database::with_data().connect();
    view(&mut client);
    assert!(value::<i64>(&mut client, "SELECT count(*) FROM domains") > 5000);
    Training::new("domains").source("domains").call(&mut client);
    assert_eq!(
        rows(&mut client, "SELECT keys, time_column FROM reco.versions"),
        ["(\"{product_id,region}\",week)"]
    );
    let same = "SELECT count(*) > 50 AND bool_and(reco.recommend(product_id, region::text, 'domains', week)
                                                  = reco.predict('domains', d)) FROM domains AS d
                WHERE week = (SELECT max(week) FROM domains WHERE purchased IS NOT NULL)";
    assert!(value::<bool>(&mut client, same));
    for sql in [
        "SELECT count(*) = 60 FROM reco.top_products('r1', 100, 'domains')",
        "SELECT count(*) = 4 FROM reco.top_regions(7, 100, 'domains')",
        "SELECT count(*) = 60 FROM reco.forecast_products('r1', 'domains')",
        "SELECT count(*) = 4 FROM reco.explain(7, 'r1', 'domains')",
        "SELECT count(*) = 3 FROM reco.similar_launches(7, 'r1', 3, 'domains')",
        "SELECT rows > 0 AND auroc > 0.6 FROM reco.evaluate('domains', 'domains', from_week => '2024-05-01')",
    ] {
        let answer = client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert!(answer.get::<_, bool>(0), "{sql}");
    }
}

#[test]
fn a_spine_of_domains_finds_its_rows() {
    let mut client = Database::with_data().connect();
    view(&mut client);
    let found = "SELECT f.week = '2024-03-04' AND f.product_id = 7 AND f.region::kind = 'r1'::kind
                 FROM (SELECT 7::article AS product_id, 'r1'::kind::market AS region, '2024-03-13 12:00'::moment AS at) AS spine,
                      reco.features_as_of(NULL::domains, spine) AS f";
    assert_eq!(rows(&mut client, found), ["(t)"]);
    let plain = found
        .replace("::article", "::integer")
        .replace("::kind::market", "::kind")
        .replace("::moment", "::date");
    assert_eq!(rows(&mut client, &plain.replace(" 12:00", "")), ["(t)"]);
}
