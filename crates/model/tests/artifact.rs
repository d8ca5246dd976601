//! A model version as bytes: exact both ways, and safe to read from anywhere.

mod common;

use model::bytes::{Bytes, PIECE};
use model::calibration::Platt;
use model::number_bins::NumberBins;
use model::recipe::{Column, Family, Input, Scaling};
use model::{Artifact, ModelError, Output, Recipe};
use ndarray::{Array1, Array2, ShapeBuilder};
use proptest::prelude::*;
use safetensors::SafeTensors;
use std::cell::Cell;
use std::io;

fn small() -> Artifact {
    let scaling = Scaling { mean: 0.1 + 0.2, scale: 1.0 / 3.0, indicator: true, ..Scaling::default() };
    let text = common::Kind::Category { values: 3, dimension: 2 };
    let number = Column {
        name: "price \"net\"".into(),
        sql_type: "numeric".into(),
        family: Family::Number,
        input: Input::Numbers(vec![scaling]),
    };
    let recipe = Recipe { columns: vec![number, common::column(1, &text)] };
    let network = common::network(&recipe, &[3], 1);
    common::mlp(recipe, network, Platt { slope: 0.1, offset: -0.3 })
}

/// The bytes with another header, its length in front.
fn with_header(bytes: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = change(String::from_utf8(bytes[8..8 + length].to_vec()).unwrap());
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat()
}

fn refused(bytes: &[u8]) -> String {
    match Artifact::from_bytes(bytes) {
        Err(error @ ModelError::Artifact(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Bytes of a file: never in place, and of which the largest piece that was asked for is known.
struct InFile<'a>(&'a [u8], Cell<usize>);

impl Bytes for InFile<'_> {
    fn size(&self) -> io::Result<usize> {
        Ok(self.0.len())
    }

    fn piece<'a>(&'a self, at: usize, length: usize, room: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        self.1.set(self.1.get().max(length));
        room.clear();
        room.extend(self.0.get(at..at + length).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(room)
    }
}

#[test]
fn a_large_artifact_is_read_from_a_file_by_the_piece() {
    let number = common::Kind::Numbers(vec![Scaling { mean: 0.5, scale: 2.0, ..Scaling::default() }]);
    let recipe = Recipe { columns: vec![common::column(0, &number)] };
    let network = common::network(&recipe, &[800, 900], 1);
    let artifact = common::mlp(recipe, network, Platt { slope: 0.1, offset: -0.3 });
    let bytes = artifact.to_bytes().unwrap();
    let file = InFile(&bytes, Cell::new(0));
    assert_eq!(Artifact::from_pieces(&file).unwrap(), artifact);
    assert!(bytes.len() > 2 * PIECE && file.1.get() == PIECE, "{} of {}", file.1.get(), bytes.len());
    for length in [0, 7, 8, 100, PIECE, bytes.len() - 1] {
        assert_eq!(
            Artifact::from_pieces(&InFile(&bytes[..length], Cell::new(0))).map_err(|error| error.to_string()),
            Err(refused(&bytes[..length]))
        );
    }
}

proptest! {
    #[test]
    fn an_artifact_read_back_is_the_same_to_the_bit(artifact in common::any_networks()) {
        let bytes = artifact.to_bytes().unwrap();
        let back = Artifact::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&back, &artifact);
        prop_assert_eq!(back.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn changed_bytes_are_read_or_refused_but_never_panic(flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut bytes = small().to_bytes().unwrap();
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Ok(artifact) = Artifact::from_bytes(&bytes) {
            prop_assert!(artifact.check().is_ok());
        }
    }

    #[test]
    fn changed_headers_are_read_or_refused_but_never_panic(at: usize, value in "[0-9\\[\\]{}\",:a-z-]{0,4}", cut in 0..4_usize) {
        let bytes = with_header(&small().to_bytes().unwrap(), |mut header| {
            let at = at % header.len();
            header.replace_range(at..(at + cut).min(header.len()), &value);
            header
        });
        if let Ok(artifact) = Artifact::from_bytes(&bytes) {
            prop_assert!(artifact.check().is_ok());
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Artifact::from_bytes(&bytes).is_err());
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = small().to_bytes().unwrap();
    for length in 0..bytes.len() {
        refused(&bytes[..length]);
    }
    refused(&[&bytes[..], &[0]].concat());
}

#[test]
fn the_same_artifact_gives_the_same_bytes() {
    let first = small().to_bytes().unwrap();
    for _ in 0..50 {
        assert_eq!(small().to_bytes().unwrap(), first);
    }
}

#[test]
fn any_safetensors_reader_finds_the_tensors() {
    let artifact = small();
    let bytes = artifact.to_bytes().unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = tensors.names();
    names.sort_unstable();
    assert_eq!(
        names,
        ["embedding.0", "layer.0.bias", "layer.0.weight", "layer.1.bias", "layer.1.weight"]
            .map(|n| format!("network.0.{n}"))
    );
    assert_eq!(tensors.tensor("network.0.layer.0.weight").unwrap().shape(), [3, 4]);
    assert_eq!(tensors.tensor("network.0.embedding.0").unwrap().shape(), [5, 2]);
}

#[test]
fn weights_in_another_memory_order_are_written_row_by_row() {
    let mut artifact = small();
    let weight = &common::networks(&mut artifact)[0].layers[0].weight;
    let columns_first = Array2::from_shape_fn(weight.dim().f(), |at| weight[at]);
    assert!(!columns_first.is_standard_layout());
    let expected = artifact.to_bytes().unwrap();
    common::networks(&mut artifact)[0].layers[0].weight = columns_first;
    assert_eq!(artifact.to_bytes().unwrap(), expected);
}

#[test]
fn a_huge_header_length_is_refused() {
    let mut bytes = small().to_bytes().unwrap();
    for length in [0, 1, 99_999_999, 100_000_001, u64::from(u32::MAX), u64::MAX - 7, u64::MAX] {
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        refused(&bytes);
    }
}

#[test]
fn another_format_version_is_named() {
    let bytes = small().to_bytes().unwrap();
    let newer = with_header(&bytes, |h| h.replace(r#""format_version":"1""#, r#""format_version":"2""#));
    let message = refused(&newer);
    assert!(
        message.contains("format version is \"2\"") && message.contains("version \"1\" only"),
        "{message}"
    );
    let other = with_header(&bytes, |h| h.replace(r#""format":"pg_recommend""#, r#""format":"pt""#));
    assert!(refused(&other).contains("pg_recommend"));
}

#[test]
fn edges_of_bins_that_are_out_of_bounds_are_refused() {
    let mut artifact = small();
    let Input::Numbers(scalings) = &mut artifact.recipe.columns[0].input else { panic!("a number") };
    scalings[0].bins = NumberBins::fit(&[0.0, 0.5, 2.0], 2);
    let width = artifact.recipe.width();
    common::networks(&mut artifact)[0] = common::network(&artifact.recipe, &[3], 1);
    let bytes = artifact.to_bytes().unwrap();
    assert_eq!(Artifact::from_bytes(&bytes).unwrap(), artifact);
    let many: Vec<String> = (0..66).map(|edge| edge.to_string()).collect();
    let many = many.join(",");
    for edges in ["0.0", "0.0,2.0", "0.0,0.5,0.5", "0.0,0.5,-1.0", "0.0,0.5,1e999", "-1e308,0.5,1e308", &many]
    {
        let other = with_header(&bytes, |header| header.replace("[0.0,0.5,2.0]", &format!("[{edges}]")));
        assert_ne!(other, bytes);
        refused(&other);
    }
    // Good edges of another number of bins than the layers are made for.
    let message = refused(&with_header(&bytes, |h| h.replace("[0.0,0.5,2.0]", "[0.0,0.5,1.0,2.0]")));
    assert!(!message.is_empty() && width == 6, "{message}");
}

#[test]
fn hostile_headers_are_refused() {
    let bytes = small().to_bytes().unwrap();
    for (from, to) in [
        (r#""shape":[3,4]"#, r#""shape":[4,3]"#),
        (r#""shape":[3,4]"#, r#""shape":[12]"#),
        (r#""shape":[3,4]"#, r#""shape":[18446744073709551615,4]"#),
        (r#""shape":[3,4]"#, r#""shape":[4611686018427387904,4]"#),
        (r#""dtype":"F32","shape":[3,4]"#, r#""dtype":"I32","shape":[3,4]"#),
        (r#""network.0.layer.0.weight""#, r#""network.0.layer.7.weight""#),
        (r#""network.0.embedding.0""#, r#""network.0.embedding.1""#),
        (r#""recipe""#, r#""recipes""#),
        (r#"\"dimension\":2"#, r#"\"dimension\":3"#),
        (r#"\"dimension\":2"#, r#"\"dimension\":18446744073709551615"#),
        (r#"\"v1\""#, r#"\"v0\""#),
        (r#"\"v0\","#, ""),
        (r#"\"slope\":0.1"#, r#"\"slope\":-0.1"#),
        (r#"\"slope\":0.1"#, r#"\"slope\":1e999"#),
        (r#"\"family\":\"text\""#, r#"\"family\":\"number\""#),
        (r#""algorithm":"mlp""#, r#""algorithm":"""#),
        (r#"\"members\":1"#, r#"\"members\":0"#),
        (r#"\"members\":1"#, r#"\"members\":18446744073709551615"#),
        (r#"\"crosses\":0"#, r#"\"crosses\":1"#),
        (r#"\"layers\":2"#, r#"\"layers\":1"#),
        (r#"{\"networks\":{"#, r#"{\"rates\":{"#),
    ] {
        let changed = with_header(&bytes, |h| {
            assert!(h.contains(from), "{from} in {h}");
            h.replace(from, to)
        });
        refused(&changed);
    }
    let deep = format!(r#"{{"__metadata__":{}"#, "[".repeat(100_000));
    refused(&[&(deep.len() as u64).to_le_bytes()[..], deep.as_bytes()].concat());
}

#[test]
fn a_tensor_too_many_is_refused() {
    let bytes = with_header(&small().to_bytes().unwrap(), |h| {
        let end = h.trim_end().len() - 1;
        let last = h
            .split("data_offsets\":[")
            .map(|p| p.split(&[',', ']']).nth(1))
            .max_by_key(|n| n.and_then(|n| n.parse::<usize>().ok()).unwrap_or(0));
        let last = last.flatten().unwrap();
        format!(r#"{},"extra":{{"dtype":"F32","shape":[0],"data_offsets":[{last},{last}]}}}}"#, &h[..end])
    });
    assert!(refused(&bytes).contains("6 tensors"));
}

#[test]
fn an_artifact_that_does_not_fit_together_is_not_written() {
    let valid = small();
    let broken: [fn(&mut Artifact); 11] = [
        |a| common::networks(a)[0].layers[0].weight[[0, 0]] = f32::NAN,
        |a| common::networks(a)[0].layers[1].bias[0] = f32::INFINITY,
        |a| common::networks(a)[0].embeddings[0][[0, 0]] = f32::NAN,
        |a| common::networks(a)[0].embeddings.clear(),
        |a| common::networks(a)[0].layers.clear(),
        |a| common::networks(a)[0].layers.truncate(1),
        |a| common::networks(a)[0].layers[0].bias = Array1::zeros(4),
        |a| common::networks(a)[0].layers[0].weight = Array2::zeros((3, 5)),
        |a| common::networks(a)[0].embeddings[0] = Array2::zeros((4, 2)),
        |a| a.output = Output::Platt(Platt { slope: 0.0, offset: 0.0 }),
        |a| a.recipe.columns.clear(),
    ];
    assert!(valid.to_bytes().is_ok());
    for (i, breaks) in broken.iter().enumerate() {
        let mut artifact = valid.clone();
        breaks(&mut artifact);
        assert!(artifact.to_bytes().is_err(), "case {i}");
    }
}

#[test]
fn layers_beyond_the_bounds_are_refused() {
    let recipe = small().recipe;
    assert!(common::network(&recipe, &[4096], 1).check(&recipe, 1).is_ok());
    assert!(common::network(&recipe, &[4097], 1).check(&recipe, 1).is_err());
    assert!(common::network(&recipe, &[2; 64], 1).check(&recipe, 1).is_ok());
    assert!(common::network(&recipe, &[2; 65], 1).check(&recipe, 1).is_err());
}

#[test]
fn parameters_are_counted() {
    assert_eq!(small().predictor.parameters(), 5 * 2 + (3 * 4 + 3) + (3 + 1));
}
