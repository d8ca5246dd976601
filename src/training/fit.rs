//! A training whose result is not stored: it has no run and becomes no version.

use super::attempt::PATIENCE;
use super::temp_file::TempFile;
use super::trainer::{reported, wait_for_any, News, Trainer};
use crate::error::Error;
use model::protocol::{Event, Spec};
use model::Artifact;

/// The artifact that a trainer makes from these rows. A cancel is the error [`Error::Interrupted`].
pub fn fit(spec: &Spec, data: &TempFile) -> Result<Artifact, Error> {
    let spec = TempFile::with_content("what is to be trained", &serde_json::to_vec(spec)?)?;
    let output = TempFile::create("the trained model");
    let mut trainer = Trainer::start(&spec, data, &output)?;
    let mut finished = false;
    loop {
        match trainer.news()? {
            News::Event(event) => match *event {
                Event::Error { cause, message, detail, hint } => {
                    return Err(reported(cause, message, detail, hint))
                }
                Event::Warning { message } => warn!("{message}"),
                Event::Finished { .. } => finished = true,
                _ => {}
            },
            News::None => wait_for_any(std::iter::once(&trainer), PATIENCE)?,
            News::End if finished => return Ok(Artifact::from_pieces(&output)?),
            News::End => return Err(trainer.cause_of_death()),
        }
    }
}
