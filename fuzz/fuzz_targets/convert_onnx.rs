//! Whatever the bytes, a model in ONNX is converted or refused; one that is converted can be written and read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::conversion::Conversion;
use model::Artifact;

fuzz_target!(|bytes: &[u8]| {
    let names = Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    for conversion in [Conversion::default(), Conversion { names, ..Conversion::default() }] {
        let Ok((artifact, _)) = onnx::import::convert(bytes, &conversion) else { continue };
        let written = artifact.to_bytes().expect("what was converted can be written");
        Artifact::from_bytes(&written).expect("and read");
    }
});
