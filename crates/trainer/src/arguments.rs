//! The command line.

use crate::error::TrainerError;
use std::ffi::OsString;
use std::path::PathBuf;

const USAGE: &str = "pg_recommend_trainer --spec SPEC.json --data DATA.arrow --out MODEL.safetensors \
                     [--measured MODEL.safetensors] [--scores SCORES.arrow], or pg_recommend_trainer --check, or \
                     pg_recommend_trainer --convert MODEL.onnx --spec SPEC.json --out MODEL.safetensors, or \
                     pg_recommend_trainer --prepare DATA.arrow --spec SPEC.json --out SET.arrow";

/// What the program is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Mode {
    Train(Arguments),
    /// `--check`: say what a training would run on.
    Check,
    /// `--convert`: make an artifact of a model in ONNX.
    Convert(Files),
    /// `--prepare`: make of the rows what a network reads, for a training elsewhere.
    Prepare(Files),
}

impl Mode {
    /// Takes the arguments after the program's name.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, TrainerError> {
        let arguments: Vec<_> = arguments.collect();
        match arguments.as_slice() {
            [only] if only == "--check" => Ok(Self::Check),
            [first, ..] if first == "--convert" => Files::parse("--convert", arguments).map(Self::Convert),
            [first, ..] if first == "--prepare" => Files::parse("--prepare", arguments).map(Self::Prepare),
            _ => Arguments::parse(arguments.into_iter()).map(Self::Train),
        }
    }
}

/// Where to read and write. Any of the paths may be a descriptor under `/proc/self/fd`.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// JSON of [`model::protocol::Spec`].
    pub spec: PathBuf,
    /// Arrow IPC, file or stream.
    pub data: PathBuf,
    /// Where the model goes.
    pub out: PathBuf,
    /// Where the model goes that was measured, if that is not the one that is served (see [`crate::refit`]).
    pub measured: Option<PathBuf>,
    /// Where libtorch's own probability of every row goes, if anywhere.
    pub scores: Option<PathBuf>,
}

/// The files of a conversion or a preparation.
#[derive(Debug, PartialEq, Eq)]
pub struct Files {
    /// The model, or the rows as a training reads them.
    pub from: PathBuf,
    /// JSON of [`model::conversion::Conversion`], or of [`model::protocol::Spec`].
    pub spec: PathBuf,
    /// Where the artifact goes, or the training set.
    pub out: PathBuf,
}

impl Files {
    fn parse(mode: &'static str, arguments: Vec<OsString>) -> Result<Self, TrainerError> {
        let [from, spec, out] = paths([mode, "--spec", "--out"], arguments.into_iter())?;
        Ok(Self { from: needed(from)?, spec: needed(spec)?, out: needed(out)? })
    }
}

impl Arguments {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, TrainerError> {
        let names = ["--spec", "--data", "--out", "--measured", "--scores"];
        let [spec, data, out, measured, scores] = paths(names, arguments)?;
        Ok(Self {
            spec: needed(spec)?,
            data: needed(data)?,
            out: needed(out)?,
            measured: measured.1,
            scores: scores.1,
        })
    }
}

/// The paths that are given under these names, each once at most.
fn paths<const N: usize>(
    names: [&'static str; N],
    mut arguments: impl Iterator<Item = OsString>,
) -> Result<[(&'static str, Option<PathBuf>); N], TrainerError> {
    let mut given = names.map(|name| (name, None));
    while let Some(name) = arguments.next() {
        let Some((name, place)) = given.iter_mut().find(|(known, _)| name == *known) else {
            return Err(usage(format!("unknown argument {}", name.display())));
        };
        if place.is_some() {
            return Err(usage(format!("{name} is given twice")));
        }
        *place = Some(arguments.next().ok_or_else(|| usage(format!("{name} needs a path")))?.into());
    }
    Ok(given)
}

fn needed((name, path): (&str, Option<PathBuf>)) -> Result<PathBuf, TrainerError> {
    path.ok_or_else(|| usage(format!("{name} is missing")))
}

fn usage(message: String) -> TrainerError {
    TrainerError::spec(message, format!("Usage: {USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, TrainerError> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn paths_are_named_in_any_order() {
        let arguments = parse("--out o --data d --spec s").unwrap();
        assert_eq!((arguments.spec, arguments.data), ("s".into(), "d".into()));
        assert_eq!((arguments.out, arguments.scores), ("o".into(), None));
    }

    #[test]
    fn a_check_needs_no_files_and_takes_none() {
        let task = |line: &str| Mode::parse(line.split_whitespace().map(OsString::from));
        assert_eq!(task("--check").unwrap(), Mode::Check);
        assert!(matches!(task("--spec s --data d --out o").unwrap(), Mode::Train(_)));
        assert!(matches!(task("--prepare d --out o --spec s").unwrap(), Mode::Prepare(_)));
        assert_eq!(task("--check --out o").unwrap_err().to_string(), "unknown argument --check");
    }

    #[test]
    fn a_mistake_is_named() {
        for (line, message) in [
            ("--spec s --data d", "--out is missing"),
            ("--spec s --spec d", "--spec is given twice"),
            ("--spec", "--spec needs a path"),
            ("--speck s", "unknown argument --speck"),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), message);
        }
    }
}
