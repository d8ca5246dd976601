//! The parameters of `reco.train`, as `docs/training.md` tells of them.

use model::algorithm::Algorithm;
use model::params::{Parameter, Params, PARAMETERS};
use serde_json::Value;
use std::path::Path;

/// What stands above the table of the parameters of some algorithms.
fn heading(algorithms: &[Algorithm]) -> String {
    let names: Vec<String> = algorithms.iter().map(|algorithm| format!("`{algorithm}`")).collect();
    match names.split_last() {
        _ if algorithms == Algorithm::ALL => "Of all algorithms:".to_owned(),
        Some((last, others)) if !others.is_empty() => format!("Of {} and {last}:", others.join(", ")),
        _ => format!("Of {}:", names.concat()),
    }
}

/// Whether the document's text is the value: numbers without their fraction of 0, texts without quotes.
fn is_written_as(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Number(value) => text.parse().ok() == value.as_f64(),
        value => serde_json::from_str::<Value>(text).is_ok_and(|read| read == *value),
    }
}

#[test]
fn the_page_on_training_has_every_parameter_with_its_default_and_bounds() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/training.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n## Parameters\n").nth(1).expect("the page has a section Parameters");
    let section = section.split("\n## ").next().unwrap_or_default();
    let defaults = serde_json::to_value(Params::default()).unwrap();
    let (mut above, mut found) = ("", Vec::new());
    for line in section.lines() {
        if line.starts_with("Of ") {
            above = line;
        }
        let Some(row) = line.strip_prefix("| `") else { continue };
        let cells: Vec<String> = row.split(" | ").map(|cell| cell.replace('`', "")).collect();
        let [name, default, bounds, _] = cells.as_slice() else { panic!("not four columns: {line}") };
        let known = Parameter::find(name).unwrap_or_else(|| panic!("there is no parameter {name}"));
        assert_eq!(above, heading(known.algorithms), "{name} stands in the wrong table");
        assert!(is_written_as(&defaults[name], default), "the default of {name} is {}", defaults[name]);
        assert_eq!(*bounds, known.bounds.to_string(), "the bounds of {name}");
        found.push(name.clone());
    }
    let missing: Vec<&str> = PARAMETERS
        .iter()
        .map(|known| known.name)
        .filter(|name| !found.iter().any(|found| found == name))
        .collect();
    assert!(missing.is_empty(), "docs/training.md says nothing of {missing:?}");
    assert_eq!(found.len(), PARAMETERS.len(), "a parameter stands there twice: {found:?}");
}
