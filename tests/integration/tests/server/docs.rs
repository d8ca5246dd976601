use integration::{Database, Training};
use std::path::{Path, PathBuf};

const OPEN: &str = "```sql\n";
const CLOSE: &str = "```";

/// The SQL of a document, block by block.
fn examples(document: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(document).unwrap_or_else(|error| panic!("{document:?}: {error}"));
    text.split(OPEN).skip(1).map(|rest| rest.split(CLOSE).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_sql_of_every_document_runs() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut documents: Vec<_> =
        std::fs::read_dir(root.join("docs")).unwrap().map(|d| d.unwrap().path()).collect();
    documents.sort();
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
