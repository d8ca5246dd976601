//! The oldest Rust is said in one place, the workspace's manifest, and is what the dependencies ask for.

use integration::installation::output;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The packages that are compiled on this machine, ours among them.
fn packages() -> Vec<Value> {
    let compiler = output(Command::new("rustc").arg("-vV"));
    let host = compiler.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc says its host");
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--filter-platform", host]).current_dir(root());
    let metadata: Value = serde_json::from_str(&output(&mut command)).expect("metadata are JSON");
    metadata["packages"].as_array().expect("there are packages").clone()
}

/// Major and minor number of a package's oldest Rust; none where it says none.
fn oldest(package: &Value) -> Option<(u32, u32)> {
    let mut parts = package["rust_version"].as_str()?.split('.').map(|part| part.parse().expect("a number"));
    Some((parts.next()?, parts.next()?))
}

#[test]
fn every_package_says_what_the_newest_dependency_asks_for() {
    let packages = packages();
    let (ours, others): (Vec<_>, Vec<_>) = packages.iter().partition(|package| package["source"].is_null());
    assert!(ours.len() >= 5, "{} packages of the workspace", ours.len());
    let asked = others.iter().filter_map(|package| oldest(package)).max();
    for package in ours {
        assert_eq!(oldest(package), asked, "rust-version of {}", package["name"]);
    }
}

#[test]
fn the_readme_says_the_same() {
    let packages = packages();
    let (major, minor) = packages
        .iter()
        .find(|package| package["name"] == "pg_recommend")
        .and_then(oldest)
        .expect("the extension's package says its oldest Rust");
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    assert!(
        readme.contains(&format!("Rust ({major}.{minor} or newer)")),
        "README.md names another Rust than {major}.{minor}"
    );
}
