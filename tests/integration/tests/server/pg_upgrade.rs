//! A database that pg_upgrade brings from an older PostgreSQL to the one under test, with models, feature views, A/B tests,
//! schedules and monitored weeks.

use super::dump::{fill, ANSWERS, VIEWS};
use super::schedules::run_now;
use super::shared_models::{network, score};
use super::support::{sum_of_scores, versions};
use super::views;
use integration::query::major_version;
use integration::{data, rows, value, Cluster, Training};
use postgres::Client;

/// What the weights of every version are, chunk by chunk.
const CHUNKS: &str = "SELECT artifact_id, position, md5(body) FROM reco.artifact_chunk ORDER BY 1, 2";
/// The indexes, constraints and privileges of the catalog and of the view's partitions.
const OBJECTS: [&str; 3] = [
    "SELECT indrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
     WHERE relnamespace = 'reco'::regnamespace OR relname LIKE 'demand%' ORDER BY 1, 2",
    // The owner's own privileges are one more from PostgreSQL 17 on.
    "SELECT relname, ARRAY(SELECT concat(grantee::regrole, ' ', privilege_type, is_grantable) FROM aclexplode(relacl)
                           WHERE grantee <> relowner ORDER BY 1), pg_get_partition_constraintdef(oid) FROM pg_class
     WHERE relkind IN ('r', 'p', 'v') AND (relnamespace = 'reco'::regnamespace OR relname LIKE 'demand%') ORDER BY 1, 2",
    "SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
     WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
       AND classid IN ('pg_class'::regclass, 'pg_proc'::regclass) ORDER BY 1",
];

fn prepare(client: &mut Client) {
    data::create(client);
    Training::new("launch").call(client);
    fill(client);
    let sums = r#"CALL reco.train('trees', 'launch_features', 'sales_1w', 'boosted_trees', '{"trees": 10, "threads": 1}')"#;
    client.batch_execute(sums).unwrap();
    let large = network(2_100, 1);
    client.execute("SELECT reco.import_model('large', $1)", &[&large]).unwrap();
}

/// All that is asked of the database before and after.
fn told(client: &mut Client) -> Vec<(String, Vec<String>)> {
    let catalog = VIEWS.map(|view| format!("SELECT * FROM reco.{view} AS v ORDER BY v::text"));
    let questions =
        catalog.into_iter().chain(ANSWERS.into_iter().chain(OBJECTS).chain([CHUNKS]).map(str::to_owned));
    let mut told: Vec<_> = questions.map(|sql| (sql.clone(), rows(client, &sql))).collect();
    for model in ["launch", "other", "trees"] {
        told.push((model.into(), vec![sum_of_scores(client, model).to_bits().to_string()]));
    }
    told.push(("large".into(), vec![score(client, "large").to_string()]));
    told
}

#[test]
fn a_database_that_was_upgraded_is_whole_scores_the_same_and_goes_on() {
    let old = Cluster::older();
    let mut client = old.connect("postgres");
    prepare(&mut client);
    let was = major_version(&mut client);
    let several = "SELECT max(position) > 0 FROM reco.artifact_chunk";
    assert!(value::<bool>(&mut client, several), "no version has weights in more than one chunk");
    let before = told(&mut client);
    drop(client);

    let new = old.upgraded();
    let mut client = new.connect("postgres");
    assert!(major_version(&mut client) > was);
    for ((question, expected), (_, found)) in before.iter().zip(told(&mut client)) {
        let may_be_empty = ["run_candidates", "training_progress"].iter().any(|view| question.contains(view));
        assert!(may_be_empty || !expected.is_empty(), "{question}");
        assert_eq!(*expected, found, "{question}");
    }
    let faults = "SELECT * FROM reco.check_setup() WHERE NOT ok AND item <> 'schedules'";
    assert!(rows(&mut client, faults).is_empty(), "{:?}", rows(&mut client, faults));

    views::refresh(&mut client, "'demand'");
    assert_eq!(views::contents(&mut client, "demand"), views::built_anew(&mut client));
    client.batch_execute("CALL reco.retrain('launch')").unwrap();
    assert_eq!(versions(&mut client, "launch"), [1, 2, 3]);
    run_now(&mut client);
    let failed = "SELECT kind, status, error FROM reco.schedule_runs WHERE status <> 'succeeded'";
    assert!(rows(&mut client, failed).is_empty(), "{:?}", rows(&mut client, failed));
}
