//! Rolling validation: what is compared, and what is stored of it.

use integration::{rows, value, Database, Training, Tuning};

#[test]
fn the_kept_algorithm_is_the_best_over_all_cut_offs_and_each_is_stored() {
    let mut client = Database::with_data().connect();
    let params =
        r#"{"epochs": 4, "learning_rate": 0.01, "trees": 20, "hidden": [16], "threads": 1, "cut_offs": 3}"#;
    Training::new("launch").params(params).with("algorithm => 'auto'").call(&mut client);
    let candidates = "SELECT count(*), bool_and(jsonb_array_length(cut_offs) = 2) FROM reco.run_candidates";
    assert_eq!(rows(&mut client, candidates), ["(6,t)"]);
    let weeks =
        "SELECT DISTINCT c ->> 'validation_from' < v.data ->> 'validation_from' FROM reco.versions AS v,
                        reco.run_candidates AS k, jsonb_array_elements(k.cut_offs) AS c";
    assert_eq!(rows(&mut client, weeks), ["(t)"]);
    let best = "SELECT algorithm FROM (
                    SELECT algorithm, (validation ->> 'average_precision')::float8 AS precision FROM reco.run_candidates
                    UNION ALL
                    SELECT algorithm, (c #>> '{validation,average_precision}')::float8
                    FROM reco.run_candidates, jsonb_array_elements(cut_offs) AS c) AS a
                GROUP BY algorithm ORDER BY avg(precision) DESC LIMIT 1";
    let kept = "SELECT algorithm FROM reco.versions";
    assert_eq!(rows(&mut client, best), rows(&mut client, kept));
    let same = "SELECT k.cut_offs = v.metrics -> 'cut_offs' FROM reco.run_candidates AS k JOIN reco.versions AS v USING (run_id) WHERE k.kept";
    assert!(value::<bool>(&mut client, same));
}

#[test]
fn trials_are_compared_by_the_mean_over_all_cut_offs() {
    let mut client = Database::with_data().connect();
    let params = r#"{"epochs": 3, "batch_size": 256, "threads": 1, "importance": false, "cut_offs": 2}"#;
    Tuning::new("tuned").trials(2).params(params).call(&mut client);
    let mean = "SELECT abs(t.value - ((v.metrics #>> '{validation,model,average_precision}')::float8
                                      + (v.metrics #>> '{cut_offs,0,validation,average_precision}')::float8) / 2) < 1e-12
                       AND jsonb_array_length(v.metrics -> 'cut_offs') = 1 AND v.data ? 'refit_rows'
                FROM reco.versions AS v JOIN reco.trials AS t USING (run_id)";
    assert!(value::<bool>(&mut client, mean));
}

#[test]
fn what_a_parameter_that_is_null_became_is_stored() {
    let mut client = Database::with_data().connect();
    let defaults = "SELECT data -> 'defaults' FROM reco.versions ORDER BY version DESC LIMIT 1";
    Training::new("launch").params(r#"{"epochs": 2, "threads": 1, "batch_size": 128}"#).call(&mut client);
    let network = r#"{"mlp": {"dropout": 0.0, "patience": 10, "learning_rate": 0.001, "number_bins": 16,
                              "min_category_keys": 1}}"#;
    assert_eq!(
        value::<serde_json::Value>(&mut client, defaults),
        serde_json::from_str::<serde_json::Value>(network).unwrap()
    );
    let trees = Training::new("launch").params(r#"{"trees": 9, "threads": 1, "leaves": 7}"#);
    trees.with("algorithm => 'boosted_trees'").call(&mut client);
    let forest = value::<serde_json::Value>(&mut client, defaults);
    let of = |name: &str| forest["boosted_trees"].get(name).cloned();
    assert_eq!((of("leaves"), of("patience")), (None, Some(30.into())), "{forest}");
    let given = "SELECT parameters ->> 'leaves' FROM reco.versions ORDER BY version DESC LIMIT 1";
    assert_eq!(value::<String>(&mut client, given), "7");
}
