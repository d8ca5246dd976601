//! Whatever the bytes, an artifact is read or refused; one that is read scores, and comes back the same. So is what it tells of its
//! training.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::told::Told;
use model::{Artifact, Scorer};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    if let Some(bytes) = with_its_header_length(bytes) {
        check(&bytes);
    }
});

fn check(bytes: &[u8]) {
    let Ok(artifact) = Artifact::from_bytes(bytes) else { return };
    let written = artifact.to_bytes().expect("what was read can be written");
    assert_eq!(Artifact::from_bytes(&written).expect("and read again"), artifact);
    let scorer = Scorer::new(&artifact).expect("and scored with");
    // Finite weights may be so large that their sums overflow: whatever comes out, it comes.
    scorer.score(&mut scorer.row());
    // What it tells of its training is read or refused, too.
    if let Ok(Some(told)) = Told::read(&bytes) {
        if told.check(&artifact).is_ok() {
            let _ = told.sample.parity(&artifact);
        }
    }
}

/// The bytes with the length of the JSON that they hold from the ninth on: most changes to a header change its length,
/// and would be refused for that alone.
fn with_its_header_length(bytes: &[u8]) -> Option<Vec<u8>> {
    let rest = bytes.get(8..)?;
    let mut header = serde_json::Deserializer::from_slice(rest).into_iter::<serde_json::Value>();
    header.next()?.ok()?;
    let length = header.byte_offset() as u64;
    Some([&length.to_le_bytes(), rest].concat())
}
