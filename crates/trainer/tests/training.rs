//! Whole trainings that succeed: what is learned, that it is served alike, and that it can be repeated.

mod support;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, StringArray};
use model::params::{CalibrationChoice, Metric, Schedule};
use model::protocol::{Event, Profile, Role};
use model::recipe::{Family, Input};
use model::{Algorithm, Params, Predictor, Quality};
use rand::seq::SliceRandom;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use support::sales::{column, sales, served, Source};
use support::{fit, largest_difference, quick, train, Trainer};

fn auroc(quality: &Quality) -> Option<f64> {
    quality.value(Metric::Auroc)
}

fn rows(quality: &Quality) -> u64 {
    match quality {
        Quality::Binary(metrics) => metrics.rows,
        Quality::Regression(metrics) => metrics.rows,
    }
}

#[test]
fn learns_a_separable_problem_and_serves_what_libtorch_learned() {
    let sales = sales(6000);
    let params =
        Params { epochs: 12, learning_rate: Some(0.01), hidden: vec![32, 8], dropout: Some(0.1), ..quick() };
    let run = train(&Source::of(&sales), params);

    let (validation, test, best, parity) = run.finished();
    let (validation, test) = (validation.expect("validation"), test.expect("test"));
    assert!(auroc(&test.model).unwrap() > 0.93, "{:?}", auroc(&test.model));
    assert!(auroc(&validation.model).unwrap() > auroc(&test.popularity).unwrap() + 0.2);
    assert!(parity < 1e-5);
    let losses = run.losses();
    let least = losses.iter().map(|(_, v)| v.unwrap()).fold(f64::INFINITY, f64::min);
    assert_eq!(losses[best as usize - 1].1, Some(least), "the kept epoch has the least validation loss");

    let data = run.data();
    let unlabelled = sales.iter().filter(|s| s.label.is_none()).count() as u64;
    assert_eq!((data.rows, data.unlabelled), (6000, unlabelled));
    assert_eq!(data.train + data.validation + data.test, 6000 - unlabelled);
    assert_eq!((rows(&validation.model), rows(&test.model)), (data.validation, data.test));
    assert_eq!(data.time_from.as_deref(), Some("2017-01-02"));
    assert_eq!(data.time_to.as_deref(), Some("2017-05-15"));
    assert_eq!(data.validation_from.as_deref(), Some("2017-04-10"));
    assert_eq!(data.test_from.as_deref(), Some("2017-05-01"));

    let difference = largest_difference(&run.scores, &served(&run.artifact(), &sales));
    assert!(difference < 1e-5, "{difference:e}");
}

#[test]
fn a_row_unlike_all_others_is_served_as_libtorch_scores_it() {
    let mut sales = sales(2000);
    let known = sales.len();
    let mut odd = sales[0].clone();
    odd.label = None;
    (odd.brand, odd.flag, odd.double) = (Some("never seen".into()), None, None);
    sales.push(odd.clone());
    (odd.double, odd.large, odd.launched) = (Some(f64::MAX), Some(i64::MIN), Some(-700_000));
    sales.push(odd.clone());
    (odd.brand, odd.region, odd.lags) = (None, None, None);
    sales.push(odd);
    let run = train(&Source::of(&sales), quick());
    let difference = largest_difference(&run.scores[known..], &served(&run.artifact(), &sales)[known..]);
    assert!(difference < 1e-5, "{difference:e}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let source = Source::of(&sales(1500));
    let params = Params { dropout: Some(0.2), ..quick() };
    let first = train(&source, params.clone());
    assert_eq!(first.model, train(&source, params.clone()).model);
    assert_ne!(first.model, train(&source, Params { seed: 43, ..params }).model);
}

#[test]
fn the_order_of_the_rows_changes_nothing() {
    let mut sales = sales(1500);
    sales.extend_from_within(..50);
    let first = train(&Source::of(&sales), quick());
    sales.shuffle(&mut ChaCha8Rng::seed_from_u64(3));
    let second = train(&Source::of(&sales), quick());
    assert_eq!(first.data(), second.data());
    assert_eq!(first.model, second.model);
    sales[7].double = sales[7].double.map(|v| v + 1.0);
    assert_ne!(train(&Source::of(&sales), quick()).data().digest, first.data().digest);
}

#[test]
fn a_stream_and_a_pipe_serve_as_well_as_a_file() {
    let source = Source::of(&sales(900));
    let from_file = train(&source, quick());
    let trainer = Trainer::with_stream(&source, quick());
    let by_stream = trainer.run();
    assert_eq!(by_stream.code, Some(0), "{:?}", by_stream.events.last());
    assert_eq!(by_stream.model, from_file.model);

    let shell = format!(
        r#"cat data.arrow | "{}" --spec spec.json --data /proc/self/fd/0 --out /proc/self/fd/3 3<>piped"#,
        env!("CARGO_BIN_EXE_pg_recommend_trainer")
    );
    let status = std::process::Command::new("sh")
        .args(["-c", &shell])
        .current_dir(trainer.folder.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read(trainer.path("piped")).ok(), from_file.model);
}

#[test]
fn the_embedding_of_unseen_values_is_trained_and_stands_in_for_a_null_never_seen() {
    let mut sales = sales(3000);
    sales.iter_mut().for_each(|sale| sale.region = sale.region.or(Some("east")));
    let embeddings = |learning_rate| {
        let params = Params { learning_rate, epochs: 5, ..quick() };
        match train(&Source::of(&sales), params).artifact().predictor {
            Predictor::Networks(mut networks) => networks.remove(0).embeddings,
            other => panic!("{other:?}"),
        }
    };
    let (start, trained) = (embeddings(Some(1e-12)), embeddings(Some(0.01)));
    for (category, (start, trained)) in start.iter().zip(&trained).enumerate() {
        let moved = (&trained.row(0) - &start.row(0)).iter().fold(0.0_f32, |all, x| all.max(x.abs()));
        assert!(moved > 0.01, "category {category}: {moved}");
    }
    // The first category is the region, where NULL does not occur; the second the brand, where it does.
    assert_eq!(trained[0].row(0), trained[0].row(1));
    assert_ne!(trained[1].row(0), trained[1].row(1));
}

#[test]
fn patience_stops_early_and_the_best_epoch_is_the_one_stored() {
    let sales = sales(800);
    let params =
        Params { epochs: 200, learning_rate: Some(0.05), patience: Some(3), refit: false, ..quick() };
    let run = train(&Source::of(&sales), params);
    let (.., best, _) = run.finished();
    let losses = run.losses();
    assert_eq!(losses.len() as u32, best + 3);

    // What the stored network loses on the validation rows, before calibration, is what that epoch reported.
    let mut artifact = run.artifact();
    artifact.output = model::Output::Platt(model::calibration::Platt::IDENTITY);
    let weeks = 17_168 + 7 * 14..17_168 + 7 * 17;
    let held_out: Vec<_> =
        sales.into_iter().filter(|s| s.label.is_some() && weeks.contains(&s.week)).collect();
    let labels: Vec<bool> = held_out.iter().filter_map(|s| s.label).collect();
    assert_eq!(labels.len() as u64, run.data().validation);
    let stored = model::metrics::log_loss(&served(&artifact, &held_out), &labels).unwrap();
    let reported = losses[best as usize - 1].1.unwrap();
    assert!((stored - reported).abs() < 1e-5, "{stored} {reported}");
}

#[test]
fn the_best_epoch_is_that_of_the_metric_that_was_asked_for() {
    let source = Source::of(&sales(800));
    let params = Params { epochs: 40, learning_rate: Some(0.1), patience: Some(0), ..quick() };
    let best_of = |metric| {
        let run = train(&source, Params { metric, ..params.clone() });
        let (.., best, _) = run.finished();
        (best as usize - 1, run.aurocs(), run.losses())
    };
    let (best, aurocs, _) = best_of(Some(Metric::Auroc));
    let highest = aurocs.iter().copied().fold(0.0, f64::max);
    assert_eq!(aurocs.iter().position(|auroc| *auroc == highest), Some(best));
    let (by_loss, same, losses) = best_of(None);
    assert_eq!(same, aurocs);
    assert!(losses.iter().all(|(_, loss)| *loss >= losses[by_loss].1));
    assert_ne!(by_loss, best, "the data do not tell loss and metric apart");
}

#[test]
fn without_times_keys_are_split_and_without_shares_nothing_is_held_out() {
    let source = Source::of(&sales(3000)).without("week");
    let run = train(&source, quick());
    let data = run.data();
    assert_eq!((&data.time_from, &data.test_from), (&None, &None));
    assert!(data.validation > 150 && data.test > 150, "{data:?}");

    let run = train(&source, Params { validation_share: 0.0, test_share: 0.0, ..quick() });
    let (validation, test, best, parity) = run.finished();
    assert_eq!((validation, test, best), (None, None, 3));
    assert!(parity > 0.0 && parity < 1e-5);
    assert!(run.losses().iter().all(|(_, validation)| validation.is_none()));
}

#[test]
fn two_times_are_too_few_and_this_is_said() {
    let mut sales = sales(1000);
    sales.iter_mut().for_each(|sale| sale.week = 17_168 + 7 * (sale.week / 7 % 2));
    let run = train(&Source::of(&sales), quick());
    assert!(run.warnings().iter().any(|w| w.contains("only 2 distinct times")), "{:?}", run.warnings());
}

#[test]
fn useless_columns_are_ignored_and_named() {
    let count = 1200;
    let sales = sales(count);
    let nulls = |data_type| arrow_array::new_null_array(&data_type, count);
    let list = arrow_schema::DataType::new_list(arrow_schema::DataType::Float64, true);
    let each: StringArray = (0..count).map(|row| Some(format!("row {row}"))).collect();
    let constant: ArrayRef = Arc::new(Int32Array::from(vec![7; count]));
    let source = Source::of(&sales)
        .with(column("gone", "real", Family::Number, Role::Feature), nulls(arrow_schema::DataType::Float32))
        .with(column("gone text", "text", Family::Text, Role::Feature), nulls(arrow_schema::DataType::Utf8))
        .with(column("gone array", "double precision[]", Family::NumberArray, Role::Feature), nulls(list))
        .with(column("seven", "integer", Family::Number, Role::Feature), constant)
        .with(column("receipt", "text", Family::Text, Role::Feature), Arc::new(each));
    let run = train(&source, quick());
    let warnings: Vec<_> = run.warnings().into_iter().filter(|w| w.contains("are ignored")).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0]
        .contains(r#"NULL in every training row and are ignored: "gone", "gone text", "gone array"."#));
    assert!(warnings[1].contains(r#"constant in the training rows and are ignored: "seven"."#));
    assert!(warnings[2].contains(r#": "receipt"."#));
}

#[test]
fn numbers_zero_and_one_are_labels() {
    let sales = sales(1000);
    let labels = sales.iter().map(|s| s.label.map(f64::from));
    let numbers: ArrayRef = Arc::new(labels.collect::<Float64Array>());
    let by_boolean = train(&Source::of(&sales), quick());
    let mut source = Source::of(&sales).set("purchased", numbers);
    source.columns.last_mut().unwrap().family = Family::Number;
    assert_eq!(train(&source, quick()).data().positives, by_boolean.data().positives);
}

#[test]
fn validation_of_one_class_is_said_and_neither_stops_nor_calibrates() {
    let mut sales = sales(2000);
    sales.iter_mut().filter(|s| s.week >= 17_168 + 7 * 14).for_each(|s| s.label = Some(false));
    let run = train(&Source::of(&sales), quick());
    assert!(run.warnings().iter().any(|w| w.contains("validation rows have the same label")));
    assert_eq!(run.artifact().output, model::Output::Platt(model::calibration::Platt::IDENTITY));
    assert!(run.losses().iter().all(|(_, validation)| validation.is_none()));
    let (_, test, best, _) = run.finished();
    assert_eq!((auroc(&test.unwrap().model), best), (None, 3));
}

#[test]
fn a_logistic_regression_on_categories_alone_works() {
    let sales = sales(1500);
    let brands: ArrayRef = Arc::new(sales.iter().map(|s| s.brand.as_deref()).collect::<StringArray>());
    let labels: ArrayRef = Arc::new(sales.iter().map(|s| s.label).collect::<BooleanArray>());
    let source = Source::empty()
        .with(column("brand", "text", Family::Text, Role::Feature), brands)
        .with(column("purchased", "boolean", Family::Boolean, Role::Label), labels);
    let params = Params { hidden: Vec::new(), class_weight: 3.0, weight_decay: 1e-4, ..quick() };
    let run = train(&source, params);
    assert!(largest_difference(&run.scores, &served(&run.artifact(), &sales)) < 1e-5);
}

#[test]
fn it_ends_quietly_when_nobody_listens_any_more() {
    let source = Source::of(&sales(2000));
    let trainer = Trainer::new(&source, Params { epochs: 100_000, patience: Some(0), ..quick() });
    let mut child = trainer.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(matches!(serde_json::from_str(&first).unwrap(), Event::Started { .. }));
    // Standard output is closed here; without an end to the training this would wait for hours.
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// Trains these algorithms on the sales.
#[test]
fn every_algorithm_serves_what_its_library_predicts() {
    let sales = sales(4000);
    let source = Source::of(&sales);
    for (algorithm, at_least) in [
        (Algorithm::Logistic, 0.85),
        (Algorithm::BoostedTrees, 0.9),
        (Algorithm::Mlp, 0.9),
        (Algorithm::DeepCross, 0.9),
    ] {
        let params = Params { epochs: 8, learning_rate: Some(0.01), members: 2, batch_norm: true, ..quick() };
        let run = fit(&[algorithm], &source, params);
        let (_, test, ..) = run.finished();
        assert!(auroc(&test.unwrap().model).unwrap() > at_least, "{algorithm}");
        let difference = largest_difference(&served(&run.artifact(), &sales), &run.scores);
        assert!(difference < 1e-5, "{algorithm}: {difference}");
        assert_eq!(run.artifact().algorithm, algorithm);
    }
}

#[test]
fn trees_keep_to_the_directions_that_are_given() {
    let sales = sales(3000);
    let source = Source::of(&sales);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let bound =
        Params { increasing: names(&["double"]), decreasing: names(&["lags"]), trees: Some(60), ..quick() };
    let changed = |change: fn(&mut support::sales::Sale)| {
        let mut sales = sales.clone();
        sales.iter_mut().for_each(change);
        sales
    };
    let more = changed(|sale| sale.double = sale.double.map(|value| value + 4e4));
    let longer = changed(|sale| {
        sale.lags = sale.lags.map(|lags| lags.map(|lag| lag.map(|value| value + 0.5)));
    });
    // How many rows move against each direction.
    let against = |params: Params| {
        let artifact = fit(&[Algorithm::BoostedTrees], &source, params).artifact();
        let [plain, more, longer] = [&sales, &more, &longer].map(|sales| served(&artifact, sales));
        let count = |moved: &[f64], sign: f64| {
            moved.iter().zip(&plain).filter(|(moved, plain)| sign * (*moved - *plain) < -1e-9).count()
        };
        (count(&more, 1.0), count(&longer, -1.0))
    };
    assert_eq!(against(bound.clone()), (0, 0));
    let free = against(Params { increasing: Vec::new(), decreasing: Vec::new(), ..bound });
    assert!(free.0 > 100 && free.1 > 1000, "the data hold no row to be bound: {free:?}");
}

#[test]
fn the_best_of_several_is_kept_and_all_are_told() {
    let source = Source::of(&sales(3000));
    let algorithms = [Algorithm::Popularity, Algorithm::BoostedTrees, Algorithm::Mlp, Algorithm::Blend];
    let run_with = |metric, seed| {
        let params = Params { epochs: 6, learning_rate: Some(0.01), metric, seed, ..quick() };
        let run = fit(&algorithms, &source, params);
        let candidates = run.events.iter().filter_map(|event| match event {
            Event::Candidate(candidate) => Some((candidate.algorithm, candidate.validation.clone().unwrap())),
            _ => None,
        });
        let told: Vec<_> = candidates.collect();
        assert_eq!(told.iter().map(|(algorithm, _)| *algorithm).collect::<Vec<_>>(), algorithms);
        (told, run.artifact().algorithm)
    };
    let by = |told: &[(Algorithm, Quality)], metric: Metric| {
        let best = told.iter().max_by(|a, b| {
            let [a, b] = [a, b].map(|(_, quality)| quality.value(metric).unwrap());
            if metric.prefers(a, b) {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Less
            }
        });
        best.unwrap().0
    };
    let (told, kept) = run_with(Some(Metric::AveragePrecision), 10);
    assert_eq!(kept, by(&told, Metric::AveragePrecision), "{told:?}");
    // Where none is asked for, a network that is ahead in average precision gives way to a blend of a lower loss.
    let (told, kept) = run_with(None, 10);
    assert_eq!(by(&told, Metric::AveragePrecision), Algorithm::Mlp, "the data show nothing: {told:?}");
    assert_eq!((by(&told, Metric::LogLoss), kept), (Algorithm::Blend, Algorithm::Blend), "{told:?}");
}

#[test]
fn there_are_no_more_threads_than_processors_whatever_is_asked_for() {
    let cores = std::thread::available_parallelism().unwrap().get();
    for (asked, expected) in [(0, cores), (1, 1), (1024, cores)] {
        let params = Params { threads: asked, epochs: 1, ..quick() };
        let run = fit(&[Algorithm::Mlp, Algorithm::BoostedTrees], &Source::of(&sales(600)), params);
        let started = run.events.iter().find_map(|event| match event {
            Event::Started { threads, .. } => Some(*threads),
            _ => None,
        });
        assert_eq!(started, Some(expected), "{asked} asked for");
    }
}

#[test]
fn a_time_budget_ends_training_with_the_best_so_far() {
    let source = Source::of(&sales(3000));
    let params = Params { epochs: 100_000, patience: Some(0), time_budget: 1.0, ..quick() };
    let run = fit(&[Algorithm::Logistic, Algorithm::Mlp], &source, params);
    assert_eq!(run.artifact().algorithm, Algorithm::Logistic);
    assert!(run.warnings().iter().any(|w| w.contains("mlp was not tried")), "{:?}", run.warnings());
}

#[test]
fn probabilities_stay_right_when_negatives_are_left_out() {
    let source = Source::of(&sales(4000));
    let params = Params {
        epochs: 10,
        learning_rate: Some(0.01),
        negative_share: 0.3,
        schedule: Schedule::OneCycle,
        calibration: CalibrationChoice::None,
        ..quick()
    };
    let run = fit(&[Algorithm::Mlp], &source, params);
    let (_, test, ..) = run.finished();
    let Quality::Binary(test) = &test.unwrap().model else { panic!("binary") };
    let mean: f64 = test.calibration.iter().map(|bin| bin.mean_score * bin.rows as f64).sum::<f64>();
    let ratio = mean / test.positives as f64;
    assert!((0.85..1.18).contains(&ratio), "{ratio}");
}

#[test]
fn the_training_rows_and_the_scores_are_kept_as_histograms() {
    let run = fit(&[Algorithm::Mlp], &Source::of(&sales(3000)), Params { epochs: 2, ..quick() });
    let finished = run.events.iter().find_map(|event| match event {
        Event::Finished { profiles, test, refit_rows, .. } => {
            Some((profiles.clone(), test.clone(), *refit_rows))
        }
        _ => None,
    });
    // The rows that the served model has learned from.
    let (profiles, test, rows) = finished.unwrap();
    let data = run.data();
    assert_eq!(rows, Some(data.train + data.validation + data.test));
    let recipe = run.artifact().recipe;
    assert_eq!(profiles.len(), recipe.columns.len() + 1);
    assert_eq!(profiles[0].column, None);
    let Quality::Binary(test) = test.unwrap().model else { panic!("binary") };
    assert_eq!(profiles[0].histogram.total(), test.rows);
    for (column, profile) in recipe.columns.iter().zip(&profiles[1..]) {
        let Profile { column: name, histogram } = profile;
        assert_eq!(name.as_ref(), Some(&column.name));
        assert!(histogram.fits(), "{profile:?}");
        let values = rows.unwrap() * column.numbers().max(1) as u64;
        assert_eq!(histogram.total(), values, "{profile:?}");
        assert!(serde_json::to_string(histogram).unwrap().len() < 1000, "{profile:?}");
        let has_missing = match &column.input {
            Input::Numbers(scalings) => scalings.iter().any(|scaling| scaling.indicator),
            _ => histogram.nulls > 0,
        };
        assert_eq!(has_missing, histogram.nulls > 0, "{profile:?}");
    }
}

#[test]
fn the_columns_that_matter_come_first() {
    let run = fit(&[Algorithm::Mlp], &Source::of(&sales(3000)), Params { epochs: 8, ..quick() });
    let importance = run
        .events
        .iter()
        .find_map(|event| match event {
            Event::Finished { importance, .. } => Some(importance.clone()),
            _ => None,
        })
        .unwrap();
    assert_eq!(importance.len(), run.artifact().recipe.columns.len());
    assert!(importance[0].loss > 0.02, "{importance:?}");
    assert!(importance.windows(2).all(|pair| pair[0].loss >= pair[1].loss));
}
