//! The whole demo, on generated sales, on one server and on Citus: every answer is the same.

use crate::nodes::{answer, demo, Nodes, DATABASE};
use integration::{value, Training};
use postgres::Client;

const SMALL: [&str; 4] = ["products=250", "weeks=30", "stores=20", "households=100"];
/// Of the same server, without Citus in it.
const ALONE: &str = "alone";

/// What an analyst and an application ask. Sums of doubles depend on the order of the rows, so none is asked for.
const QUESTIONS: [&str; 13] = [
    "SELECT product_id, region, week, purchased, md5(f::text) FROM launch_features AS f ORDER BY 1, 2, 3",
    "SELECT product_id, region, week, purchases, returned, reco.total_sales(sales), reco.unique_customers(sales) \
     FROM launch_features_weekly ORDER BY 1, 2, 3",
    "SELECT view, weeks, first_week, last_week, rows FROM reco.feature_views ORDER BY 1",
    "SELECT version, metrics -> 'test' -> 'model' ->> 'auroc', metrics -> 'validation' -> 'model' ->> 'log_loss' \
     FROM reco.versions WHERE model = 'launch' ORDER BY 1",
    "SELECT p, r, reco.recommend(p, 'r' || r, 'launch'), reco.recommend(p, 'r' || r, 'launch', as_of => '2017-05-29') \
     FROM generate_series(1::bigint, 250) AS p, generate_series(0, 4) AS r ORDER BY 1, 2",
    "SELECT product_id, region, week, reco.predict('launch', f) FROM launch_features AS f ORDER BY 1, 2, 3",
    "SELECT * FROM reco.top_products('r1', 20, 'launch')",
    "SELECT level, category, product_id, products, round(purchases::numeric, 9) FROM reco.forecast('r1', 'launch', by => 'department')",
    "SELECT column_name, value, contribution FROM reco.explain((SELECT product_id::bigint FROM reco.top_products('r1', 1, 'launch')), 'r1', 'launch')",
    "SELECT slice, rows, positives, round(auroc::numeric, 9), round(log_loss::numeric, 9) \
     FROM reco.evaluate('launch', 'launch_features', by => 'region') ORDER BY 1",
    "SELECT score, plan_score FROM reco.plan_effect((SELECT product_id::bigint FROM reco.top_products('r1', 1, 'launch')), 'r1', \
                                                    '{\"display\": 1, \"mailer\": 1}', 'launch')",
    "SELECT similar_product, week, round(similarity::numeric, 9), outcome \
     FROM reco.similar_launches((SELECT product_id::bigint FROM reco.top_products('r1', 1, 'launch')), 'r1', model => 'launch')",
    "SELECT k.product_id, k.region, f.week, f.sales_4w \
     FROM (SELECT p AS product_id, 'r' || r AS region, timestamp '2017-06-07' AS at \
           FROM generate_series(1::bigint, 250) AS p, generate_series(0, 4) AS r) AS k, \
          reco.features_as_of(NULL::launch_features, k, 'at') AS f ORDER BY 1, 2",
];

const FEATURES: &str = "
CREATE EXTENSION IF NOT EXISTS pg_recommend;
SELECT reco.create_launch_features('launch_features',
    sales => 'sales', products => 'products', stores => 'stores', amount => 'sales_value',
    discount => '{retail_disc,coupon_disc,coupon_match_disc}', customer => 'household_id',
    category => 'product_category', attributes => '{brand,department}',
    plans => '{\"table\": \"promotions\", \"shares\": [\"display\", \"mailer\"]}')";

/// A week more: that of the last sales, once again.
const MORE: &str = "
INSERT INTO sales
SELECT household_id, store_id, basket_id + 1000, product_id, quantity, sales_value, retail_disc, coupon_disc, coupon_match_disc,
       week + 1, sold_at + interval '7 days'
FROM sales WHERE sold_at >= (SELECT date_trunc('week', max(sold_at)) FROM sales)";

/// Both, each with the demo's sales, and the catalog on the workers.
struct Both {
    _nodes: Nodes,
    alone: Client,
    sharded: Client,
}

impl Both {
    /// `distribute` is SQL that distributes tables; `views` distributes feature views.
    fn new(distribute: &str, views: &str) -> Self {
        let nodes = Nodes::new();
        nodes.coordinator.connect("postgres").batch_execute(&format!("CREATE DATABASE {ALONE}")).unwrap();
        for database in [DATABASE, ALONE] {
            demo(&nodes.coordinator, database, "generator.sql", &SMALL);
        }
        nodes.replicate_catalog();
        let (alone, mut sharded) = (nodes.coordinator.connect(ALONE), nodes.connect());
        sharded.batch_execute(distribute).unwrap();
        let mut this = Self { _nodes: nodes, alone, sharded };
        this.both("SET synchronous_commit = remote_apply");
        this.both(FEATURES);
        this.sharded.batch_execute(views).unwrap();
        this.both("CALL reco.refresh_features('launch_features')");
        this
    }

    fn both(&mut self, sql: &str) {
        for client in [&mut self.alone, &mut self.sharded] {
            client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
        }
    }

    #[track_caller]
    fn same(&mut self, sql: &str) {
        let [alone, sharded] = [&mut self.alone, &mut self.sharded].map(|client| answer(client, sql));
        assert!(!alone.is_empty(), "{sql}");
        let differ = alone.iter().zip(&sharded).find(|(one, other)| one != other);
        assert!(alone == sharded, "{sql}\n{} and {} rows; {differ:?}", alone.len(), sharded.len());
    }

    /// The demo, from features to the end of an A/B test. `second` makes the second version in both.
    fn demo(&mut self, second: fn(&mut Self)) {
        self.both(&Training::new("launch").sql());
        QUESTIONS.iter().for_each(|sql| self.same(sql));

        // Sales come, and late ones too: each refresh after the first replaces weeks.
        self.both(MORE);
        self.both("CALL reco.refresh_features('launch_features', lookback => 3)");
        self.both("CALL reco.refresh_features('launch_features')");
        QUESTIONS.iter().for_each(|sql| self.same(sql));

        second(self);
        self.both("SELECT reco.promote('launch', 2)");
        // Metrics and the importance of columns, by which launches are similar, are not in a file.
        let in_files = |sql: &&&str| !sql.contains("reco.versions") && !sql.contains("similar_launches");
        QUESTIONS.iter().filter(in_files).for_each(|sql| self.same(sql));
        self.both(
            "SELECT reco.start_ab_test('test', 'launch', '[{\"arm\": \"one\", \"version\": 1, \"share\": 0.5}, \
                                                          {\"arm\": \"two\", \"version\": 2, \"share\": 0.5}]')",
        );
        self.same(QUESTIONS[4]);
        self.both(
            "SELECT reco.log_recommendations(array_agg(product_id ORDER BY product_id, region), \
                                             array_agg(region ORDER BY product_id, region), 'launch', as_of => week) \
             FROM launch_features WHERE week BETWEEN '2017-05-01' AND '2017-06-05' GROUP BY week",
        );
        self.same("SELECT region, arm, exposures, purchases FROM reco.ab_report('test') ORDER BY 1, 2");
        self.both("SELECT reco.stop_ab_test('test', 'one', 'sells no worse')");
        self.both("SELECT reco.rollback('launch', 'the demo is over')");
        self.same(QUESTIONS[4]);
        self.same(
            "SELECT action, from_version, to_version FROM reco.promotions WHERE model = 'launch' ORDER BY step",
        );
        self.same("SELECT status FROM reco.feature_refreshes ORDER BY started_at");
        let faults = "SELECT count(*) FROM reco.check_setup() WHERE item = 'catalog' AND NOT ok";
        assert_eq!(value::<i64>(&mut self.sharded, faults), 0);
    }

    /// Trains a second version in each.
    fn train_again(&mut self) {
        self.both(&Training::new("launch").param(r#""seed": 5"#).sql());
        self.same(
            "SELECT promoted, champion_version FROM reco.promote_if_better('launch', 2, metric => 'auroc')",
        );
        self.both("CALL reco.monitor('launch')");
        self.same(
            "SELECT week, region, version, rows, round(auroc::numeric, 9) FROM reco.monitoring \
             WHERE model = 'launch' ORDER BY 1, 2, 3",
        );
    }

    /// Trains a second version in the server alone, and takes it over. What is learned depends on the order of the rows, and
    /// after a refresh that is another in a table of one server. Without a refit: the weights that are measured are those that
    /// are exported.
    fn take_over(&mut self) {
        self.alone
            .batch_execute(&Training::new("launch").param(r#""seed": 5, "refit": false"#).sql())
            .unwrap();
        let artifact: Vec<u8> = value(&mut self.alone, "SELECT reco.export_model('launch', 2)");
        let import =
            "SELECT reco.import_model('launch', $1, source => 'launch_features', label => 'purchased')";
        assert_eq!(self.sharded.query_one(import, &[&artifact]).unwrap().get::<_, i32>(0), 2);
        // Each training of the same rows in shards is the same.
        let train = Training::new("own").param(r#""seed": 5"#).sql();
        self.sharded.batch_execute(&train).unwrap();
        self.sharded.batch_execute(&train).unwrap();
        let different =
            "SELECT count(DISTINCT metrics -> 'test' -> 'model') FROM reco.versions WHERE model = 'own'";
        assert_eq!(value::<i64>(&mut self.sharded, different), 1);
        self.sharded.batch_execute("SELECT reco.drop_model('own', force => true)").unwrap();
    }
}

#[test]
fn the_demo_is_the_same_over_distributed_sales() {
    Both::new(
        "SELECT create_distributed_table('sales', 'product_id');
         SELECT create_reference_table('products'), create_reference_table('stores'), create_reference_table('promotions')",
        "",
    )
    .demo(Both::train_again);
}

#[test]
fn the_demo_is_the_same_with_sales_and_feature_views_in_shards() {
    Both::new(
        "SELECT create_distributed_table('sales', 'product_id');
         SELECT create_reference_table('products'), create_reference_table('stores'), create_reference_table('promotions')",
        "SELECT create_distributed_table('launch_features_weekly', 'product_id', colocate_with => 'sales');
         SELECT create_distributed_table('launch_features', 'product_id', colocate_with => 'sales')",
    )
    .demo(Both::take_over);
}
