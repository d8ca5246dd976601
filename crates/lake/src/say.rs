//! The pipes to and from the backend.

use crate::error::{LakeError, Result};
use lake_protocol::frame::{self, HEADER, MESSAGE, ROWS};
use lake_protocol::message::Event;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Stdin, Stdout, Write};

/// Says something to the backend.
pub fn event(event: &Event) -> Result<()> {
    let text = serde_json::to_vec(event).map_err(|error| LakeError::process(error.to_string()))?;
    if text.len() > frame::LONGEST_MESSAGE {
        return Err(LakeError::argument("the names of the files are too long for one message")
            .hint("Load the files folder by folder."));
    }
    send(MESSAGE, &text)
}

/// Sends a piece of the rows.
pub fn rows(bytes: &[u8]) -> Result<()> {
    bytes.chunks(frame::LONGEST_ROWS).try_for_each(|piece| send(ROWS, piece))
}

fn send(kind: u8, bytes: &[u8]) -> Result<()> {
    let mut out: Stdout = io::stdout();
    let sent = out.write_all(&frame::header(kind, bytes.len())).and_then(|()| out.write_all(bytes));
    sent.and_then(|()| out.flush()).map_err(gone)
}

/// The next frame of the backend: its kind, and its bytes in `room`. `None` if the backend has closed the pipe.
pub fn next(room: &mut Vec<u8>) -> Result<Option<u8>> {
    let mut input: Stdin = io::stdin();
    let mut header = [0; HEADER];
    match input.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read.map_err(gone)?,
    }
    let (kind, length) =
        frame::parse(header).ok_or_else(|| LakeError::process("what the backend says is no frame"))?;
    room.clear();
    room.resize(length, 0);
    input.read_exact(room).map_err(gone)?;
    Ok(Some(kind))
}

/// A message of the backend.
pub fn message<T: DeserializeOwned>() -> Result<T> {
    let mut room = Vec::new();
    match next(&mut room)? {
        Some(MESSAGE) => serde_json::from_slice(&room)
            .map_err(|error| LakeError::process(format!("what the backend says cannot be read: {error}"))),
        _ => Err(LakeError::process("the backend has not said what is to be done")),
    }
}

fn gone(error: io::Error) -> LakeError {
    LakeError::process(format!("the backend cannot be reached: {error}"))
}
