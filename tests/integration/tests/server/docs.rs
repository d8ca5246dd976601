use integration::{Database, Training};
use std::path::{Path, PathBuf};

const OPEN: &str = "```sql\n";
const CLOSE: &str = "```";

/// The SQL of a document, block by block.
fn examples(document: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(document).unwrap_or_else(|error| panic!("{document:?}: {error}"));
    text.split(OPEN).skip(1).map(|rest| rest.split(CLOSE).next().unwrap_or_default().to_owned()).collect()
}

/// The Markdown files of a folder, by name.
pub fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let mut pages: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(is_page).collect();
    pages.sort();
    pages
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where the links of a text lead, those between back quotes and in blocks of code left out.
fn links(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    let prose = prose.split('`').step_by(2).collect::<Vec<_>>().join("code");
    prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a text's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    let headings =
        prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings.map(anchor).collect()
}

fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let folders = ["", "docs", "docs/decisions", "docs/reference", "bench", "k8s", "terraform"];
    let mut checked = 0;
    for document in folders.iter().flat_map(|folder| pages(&root().join(folder))) {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (path, section) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{document:?} links to {link}, which is not there");
            if !section.is_empty() {
                let there = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(
                    there.iter().any(|anchor| anchor == section),
                    "{document:?} links to {link}: {there:?}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked >= 40, "only {checked} links were found");
}

#[test]
fn the_page_of_settings_says_what_the_server_says() {
    let page = std::fs::read_to_string(root().join("docs/settings.md")).unwrap();
    let cells =
        |line: &str| line.split('|').map(|cell| cell.trim().replace('`', "")).skip(1).collect::<Vec<_>>();
    let settings: Vec<_> = page.lines().filter(|line| line.starts_with("| `reco.")).map(cells).collect();
    assert!(settings.iter().all(|cells| cells[5].len() > 20), "each says what it does: {settings:?}");
    let said: Vec<_> = settings.iter().map(|cells| cells[..5].join(" | ")).collect();
    let mut client = Database::with_data().connect();
    // Brings the library into the session.
    client.batch_execute("SELECT reco.week(date '2024-01-01')").unwrap();
    let sql = "SELECT concat_ws(' | ', name, coalesce(boot_val, ''), coalesce(unit, ''), coalesce(min_val || ' to ' || max_val, ''),
                                CASE context WHEN 'user' THEN 'anybody' WHEN 'superuser' THEN context
                                             WHEN 'sighup' THEN 'configuration file' END)
               FROM pg_settings WHERE name LIKE 'reco.%' ORDER BY name COLLATE \"C\"";
    let found: Vec<String> = client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(said, found);
    // No other page has a table of its own.
    for document in pages(&root().join("docs")).iter().filter(|path| !path.ends_with("settings.md")) {
        let text = std::fs::read_to_string(document).unwrap();
        assert!(!text.contains("\n| `reco.max_training") && !text.contains("\n| setting |"), "{document:?}");
    }
}

/// Paths in back quotes that begin with a folder of the repository, those with a placeholder left out.
fn paths(text: &str) -> Vec<String> {
    const FOLDERS: [&str; 9] =
        ["src/", "crates/", "sql/", "tests/", "scripts/", "bench/", "demo/", "docs/", "fuzz/"];
    let is_path = |code: &&str| {
        FOLDERS.iter().any(|folder| code.starts_with(folder))
            && !code.contains(['*', '{', '<', '…', ' '])
            && !code.contains("VERSION")
    };
    let prose = text.split("```").step_by(2).collect::<String>();
    prose.split('`').skip(1).step_by(2).filter(is_path).map(str::to_owned).collect()
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let folders = ["", "docs", "docs/decisions", "docs/reference", "bench", "k8s", "terraform"];
    let mut checked = 0;
    for document in folders.iter().flat_map(|folder| pages(&root().join(folder))) {
        for path in paths(&std::fs::read_to_string(&document).unwrap()) {
            assert!(root().join(&path).exists(), "{document:?} names {path}, which is not there");
            checked += 1;
        }
    }
    assert!(checked >= 40, "only {checked} paths were found");
}

#[test]
fn the_sql_of_every_document_runs() {
    let root = root();
    let mut documents = pages(&root.join("docs"));
    // It begins with an empty database, and has a test of its own.
    documents.retain(|page| !page.ends_with("tutorial.md"));
    documents.insert(0, root.join("README.md"));
    let database = Database::trained();
    let mut client = database.connect();
    // What the documents take for granted.
    client
        .batch_execute(
            "CREATE ROLE analyst;
             SET reco.default_model = 'launch';
             CREATE TABLE three_numbers AS SELECT product_id, region, week, price AS a, sales_1w AS b,
                    sales_1w - price AS c, purchased FROM launch_features",
        )
        .unwrap();
    Training::new("numbers").source("three_numbers").call(&mut client);
    let mut examples_run = 0;
    for document in documents {
        for example in examples(&document) {
            let sql = example.replace("CREATE EXTENSION", "CREATE EXTENSION IF NOT EXISTS");
            client.batch_execute(&sql).unwrap_or_else(|error| panic!("{document:?}: {error:?}\n{sql}"));
            examples_run += 1;
        }
    }
    assert!(examples_run >= 4, "only {examples_run} examples were found");
}

/// The lines of a file of the demo that psql shows: between `ECHO queries` and `ECHO none`, but for what only generated sales
/// have, with its variables as they are in the page.
fn shown(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("demo").join(file)).unwrap();
    let (mut echo, mut skip, mut lines) = (false, false, Vec::new());
    for line in text.lines() {
        match line {
            "\\set ECHO queries" => echo = true,
            "\\set ECHO none" => echo = false,
            "\\endif" => skip = false,
            line if line.starts_with("\\if") => skip = true,
            line if echo && !skip && !line.is_empty() => lines.push(line.to_owned()),
            _ => {}
        }
    }
    let values =
        [(":'test'", "'trees of version 2'"), (":champion", "1"), (":trees", "2"), (":best", "16809471")];
    let filled =
        |line: &String| values.iter().fold(line.clone(), |line, (name, value)| line.replace(name, value));
    lines.iter().map(filled).collect()
}

#[test]
fn the_page_of_the_demo_has_every_statement_of_the_demo() {
    let page = std::fs::read_to_string(root().join("docs/demo.md")).unwrap();
    let mut rest = page.lines();
    for file in ["features.sql", "train.sql", "recommend.sql", "serve.sql"] {
        for line in shown(file) {
            assert!(
                rest.any(|there| there == line),
                "docs/demo.md lacks this line of {file}, or has it elsewhere: {line}"
            );
        }
    }
}

#[test]
fn what_the_readme_shows_is_in_the_page_of_the_demo() {
    let [readme, page] =
        ["README.md", "docs/demo.md"].map(|name| std::fs::read_to_string(root().join(name)).unwrap());
    let block = readme.split("```\n").find(|block| block.contains("NOTICE:")).expect("README shows the demo");
    for line in block.lines().filter(|line| *line != "…") {
        assert!(page.contains(line), "docs/demo.md lacks a line of README: {line}");
    }
}

#[test]
fn every_component_of_the_original_platform_has_what_does_it_here_and_a_test() {
    let page = std::fs::read_to_string(root().join("docs/from_the_original_platform.md")).unwrap();
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let table = page.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let rows: Vec<Vec<&str>> = table
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    for row in &rows {
        assert!(row.len() == 4 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        let mut shown = 0;
        for code in row[3].split('`').skip(1).step_by(2) {
            if let Some(target) = code.strip_prefix("make ").and_then(|rest| rest.split(' ').next()) {
                let is_there = makefile.contains(&format!("\n{target}:"));
                assert!(is_there, "{row:?}: there is no make {target}");
                shown += 1;
            } else if code.ends_with(".rs") {
                let file = if code.contains('/') {
                    code.into()
                } else {
                    format!("tests/integration/tests/server/{code}")
                };
                assert!(root().join(&file).exists(), "{row:?}: {file} is not there");
                shown += 1;
            }
        }
        assert!(shown > 0, "no test shows {row:?}");
    }
    let components = [
        "Data lake",
        "Airflow",
        "PySpark",
        "Azure ML",
        "PyTorch",
        "TensorFlow",
        "MLflow",
        "Docker",
        "Flask",
        "Kubernetes",
        "GitHub Actions",
        "Terraform",
        "Prometheus, Grafana",
        "Access control",
        "Key Vault",
        "A/B tests over five regions",
    ];
    for component in components {
        assert!(rows.iter().any(|row| row[0].starts_with(component)), "the page lacks {component}");
    }
}
