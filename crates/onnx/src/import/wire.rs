//! A look over the bytes before they are decoded: how deep messages are nested and how many there are. A short message can
//! become a large value in memory, and a nested one takes stack, so both are bounded first.
//!
//! Protocol Buffers encoding: <https://protobuf.dev/programming-guides/encoding/>.

use super::error::{refuse, Result};

/// Most bytes of a model.
pub const MAX_BYTES: usize = 1 << 31;
/// Most messages of any kind, and most texts, in the whole model.
const MAX_MESSAGES: usize = 4_000_000;
/// Most nodes of the graph.
pub const MAX_NODES: usize = 20_000;

/// What a field holds, as far as it matters here.
#[derive(Clone, Copy)]
enum Kind {
    Message(&'static [(u64, Kind)]),
    /// A text or bytes of which each is a value of its own.
    Text,
    /// A node, which is counted by itself.
    Node,
}

use Kind::{Message, Node, Text};

const TENSOR: &[(u64, Kind)] = &[(6, Text), (13, Text)];
const ATTRIBUTE: &[(u64, Kind)] = &[(5, Message(TENSOR)), (6, Text), (9, Text), (11, Text)];
const NODE: &[(u64, Kind)] = &[(1, Text), (2, Text), (5, Message(ATTRIBUTE))];
const DIMENSIONS: &[(u64, Kind)] = &[(1, Text)];
const TENSOR_TYPE: &[(u64, Kind)] = &[(2, Message(DIMENSIONS))];
const TYPE: &[(u64, Kind)] = &[(1, Message(TENSOR_TYPE))];
const VALUE: &[(u64, Kind)] = &[(2, Message(TYPE))];
const GRAPH: &[(u64, Kind)] =
    &[(1, Node), (5, Message(TENSOR)), (11, Message(VALUE)), (12, Message(VALUE)), (15, Text)];
const MODEL: &[(u64, Kind)] = &[(7, Message(GRAPH)), (8, Text), (14, Text), (25, Text)];

/// An error where the bytes are no protobuf or hold too much. The depth is that of the tables above.
pub fn check(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_BYTES {
        return refuse(format!("the model has {} bytes, more than {MAX_BYTES}", bytes.len()));
    }
    let mut counts = Counts::default();
    counts.look(bytes, MODEL)
}

#[derive(Default)]
struct Counts {
    messages: usize,
    nodes: usize,
}

impl Counts {
    fn look(&mut self, mut bytes: &[u8], fields: &[(u64, Kind)]) -> Result<()> {
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            let content = match tag & 7 {
                0 => {
                    varint(&mut bytes)?;
                    continue;
                }
                1 => take(&mut bytes, 8)?,
                2 => {
                    let length = varint(&mut bytes)?;
                    take(&mut bytes, usize::try_from(length).unwrap_or(usize::MAX))?
                }
                5 => take(&mut bytes, 4)?,
                _ => return not_onnx(),
            };
            let kind = fields.iter().find(|(number, _)| tag & 7 == 2 && *number == tag >> 3);
            let Some((_, kind)) = kind else { continue };
            self.messages += 1;
            if self.messages > MAX_MESSAGES {
                return refuse(format!("the model has more than {MAX_MESSAGES} parts"));
            }
            match kind {
                Text => {}
                Message(fields) => self.look(content, fields)?,
                Node => {
                    self.nodes += 1;
                    if self.nodes > MAX_NODES {
                        return refuse(format!("the model has more than {MAX_NODES} nodes"));
                    }
                    self.look(content, NODE)?;
                }
            }
        }
        Ok(())
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let Some((first, rest)) = bytes.split_first() else { return not_onnx() };
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift).unwrap_or(0);
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    not_onnx()
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let Some((taken, rest)) = bytes.split_at_checked(length) else { return not_onnx() };
    *bytes = rest;
    Ok(taken)
}

fn not_onnx<T>() -> Result<T> {
    refuse("the bytes are no ONNX model: they are no whole protobuf message")
}
