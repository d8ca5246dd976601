//! The events on standard output: one JSON object a line, flushed at once so that progress is seen live.

use crate::error::TrainerError;
use model::protocol::Event;
use std::io::{self, Write};

/// Writes events for the backend.
pub struct Reporter<W: Write> {
    out: W,
}

impl Reporter<io::Stdout> {
    pub fn stdout() -> Self {
        Self { out: io::stdout() }
    }
}

impl Reporter<io::Sink> {
    /// One that nobody reads.
    pub fn silent() -> Self {
        Self { out: io::sink() }
    }
}

impl<W: Write> Reporter<W> {
    /// Fails with [`TrainerError::HungUp`] once nobody reads, since the training has then lost its purpose.
    pub fn send(&mut self, event: &Event) -> Result<(), TrainerError> {
        let mut line = serde_json::to_vec(event)
            .map_err(|e| TrainerError::internal(format!("an event as JSON: {e}")))?;
        line.push(b'\n');
        self.out.write_all(&line).and_then(|()| self.out.flush()).map_err(|_| TrainerError::HungUp)
    }

    pub fn warn(&mut self, message: impl Into<String>) -> Result<(), TrainerError> {
        self.send(&Event::Warning { message: message.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_one_line_even_if_its_text_has_several() {
        let mut reporter = Reporter { out: Vec::new() };
        reporter.warn("first\nsecond").unwrap();
        reporter.warn("third").unwrap();
        let text = String::from_utf8(reporter.out).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| serde_json::from_str::<Event>(line).is_ok()));
    }
}
