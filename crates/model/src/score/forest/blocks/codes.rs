//! The answers of the tests of categories, by code.
//!
//! For each category that trees test there is a table with one line for each code, and a last line of zeros for all codes that
//! are in no set. In a line the answers to the category's tests, one bit each, stand in the order of the blocks and
//! lanes, up to eight of the same block in a byte.

use super::super::walk::WORD;
use super::line::{Line, ROWS};
use crate::error::ModelError;
use crate::score::array::Array;
use crate::score::forest::Rows;
use crate::score::image::{ImageReader, ImageWriter};
use crate::stored::recipe::UNSEEN;
use std::collections::BTreeMap;
use std::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most categories that trees may test.
const TABLES: usize = 32;
/// Blocks that are told apart.
pub const GROUP: usize = 16;
/// Bytes of a line that many rows read together.
const BYTES: usize = size_of::<u64>();
/// Tests whose answers share a byte.
const TESTS: usize = 8;

/// A table of answers.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Table {
    /// Where it begins, in bytes.
    first: u64,
    /// Bytes of a line.
    line: u32,
    /// The lines before that of zeros.
    codes: u32,
    category: u32,
    unused: u32,
}

/// Up to eight tests of one category in one block.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Part {
    /// The lanes, one bit each.
    pub lanes: u64,
    /// Where their answers are in a line.
    byte: u32,
    pub table: u16,
    /// Of the block's number only what is left of it within [`GROUP`].
    block: u16,
}

pub struct Codes {
    tables: Array<Table>,
    parts: Array<Part>,
    bits: Array<u8>,
}

/// The answers to a row's codes.
pub struct Lines<'a> {
    /// For each table where the line of the row's code begins.
    firsts: [usize; TABLES],
    parts: &'a [Part],
    bits: &'a [u8],
}

impl Lines<'_> {
    /// For some parts the block of each, and the lanes whose tests send the row left, one bit each; `put` moves the lowest bits of
    /// a word to the bits of a mask.
    #[inline(always)]
    pub fn left(&self, parts: Range<usize>, put: impl Fn(u64, u64) -> u64, mut each: impl FnMut(usize, u64)) {
        for part in self.parts.get(parts).unwrap_or_default() {
            let at = self.firsts[usize::from(part.table) % TABLES].wrapping_add(part.byte as usize);
            let answers = self.bits.get(at).copied().unwrap_or(0);
            each(usize::from(part.block) % GROUP, put(answers.into(), part.lanes));
        }
    }
}

/// A few bytes of the lines of many rows' codes, of one table.
#[derive(Clone)]
pub struct Window {
    /// Where the lines begin.
    firsts: [usize; ROWS],
    /// Which of a line's bytes these are: what comes before has so many times [`BYTES`].
    at: u32,
    bytes: [Line; BYTES],
}

/// A test of a category.
pub struct Test<'a> {
    pub block: usize,
    pub lane: usize,
    pub category: usize,
    pub set: &'a [u64],
}

/// What is known of a table before it is filled.
#[derive(Default)]
struct Plan {
    line: usize,
    codes: usize,
}

impl Codes {
    /// Turns the tests round, which are ordered by block, category and lane; also says where the parts of each of
    /// `blocks` blocks begin. `None` if there are too many categories, or the tables would take more than `most` bytes.
    pub fn new(tests: &[Test], blocks: usize, most: usize) -> Option<(Self, Vec<u32>)> {
        let neighbours = tests.chunk_by(|a, b| (a.block, a.category) == (b.block, b.category));
        let groups: Vec<&[Test]> = neighbours.flat_map(|tests| tests.chunks(TESTS)).collect();
        let mut plans: BTreeMap<usize, Plan> = BTreeMap::new();
        for group in &groups {
            let plan = plans.entry(group[0].category).or_default();
            plan.line += 1;
            plan.codes = group.iter().map(|test| codes(test.set)).fold(plan.codes, usize::max);
        }
        let size = |plan: &Plan| plan.line.saturating_mul(plan.codes + 1);
        let whole = plans.values().map(size).fold(0, usize::saturating_add);
        if plans.len() > TABLES || whole > most {
            return None;
        }
        let mut tables = Vec::new();
        let mut first = 0;
        for (category, plan) in &plans {
            let (line, codes) = (plan.line as u32, plan.codes as u32);
            tables.push(Table { first: first as u64, line, codes, category: *category as u32, unused: 0 });
            first += size(plan);
        }
        let mut codes = Self { tables: tables.into(), parts: Array::default(), bits: Array::default() };
        let (mut parts, mut bits) = (Vec::new(), vec![0; whole]);
        let mut ends = vec![0; plans.len()];
        let mut of_block = vec![0; blocks + 1];
        for group in groups {
            let table = plans.keys().position(|category| *category == group[0].category)?;
            let lanes = group.iter().fold(0, |lanes, test| lanes | 1 << test.lane);
            let block = (group[0].block % GROUP) as u16;
            parts.push(Part { lanes, byte: ends[table], table: table as u16, block });
            codes.fill(table, ends[table] as usize, group, &mut bits);
            ends[table] += 1;
            of_block[group[0].block + 1] += 1;
        }
        for block in 0..blocks {
            of_block[block + 1] += of_block[block];
        }
        codes.parts = parts.into();
        codes.bits = bits.into();
        Some((codes, of_block))
    }

    fn fill(&self, table: usize, byte: usize, group: &[Test], bits: &mut [u8]) {
        let table = self.tables[table];
        for (n, test) in group.iter().enumerate() {
            for code in (0..codes(test.set)).filter(|code| test.set[code / WORD] >> (code % WORD) & 1 == 1) {
                bits[table.first as usize + code * table.line as usize + byte] |= 1 << n;
            }
        }
    }

    /// A row's codes; those beyond the end of the slice count as never seen.
    #[inline(always)]
    pub fn lines(&self, codes: &[u32]) -> Lines<'_> {
        let mut firsts = [0; TABLES];
        for (first, table) in firsts.iter_mut().zip(&self.tables[..]) {
            let code = codes.get(table.category as usize).copied().unwrap_or(UNSEEN);
            let before = u64::from(table.line) * u64::from(code.min(table.codes));
            *first = table.first.wrapping_add(before) as usize;
        }
        Lines { firsts, parts: &self.parts, bits: &self.bits }
    }

    /// The lines of many rows' codes, one window for each table.
    pub fn windows(&self, rows: &Rows) -> Vec<Window> {
        let window = Window { firsts: [0; ROWS], at: u32::MAX, bytes: [Line::ZERO; BYTES] };
        let mut windows = vec![window; self.tables.len().min(TABLES)];
        for n in 0..rows.count().min(ROWS) {
            let lines = self.lines(rows.get(n).1);
            windows.iter_mut().zip(lines.firsts).for_each(|(window, first)| window.firsts[n] = first);
        }
        windows
    }

    pub fn parts(&self, parts: Range<usize>) -> &[Part] {
        self.parts.get(parts).unwrap_or_default()
    }

    /// The rows' answers to the tests of a part, in the order of its lanes.
    #[inline(always)]
    pub fn answers<'w>(&self, window: &'w mut Window, part: &Part) -> &'w Line {
        let (at, byte) = (part.byte / BYTES as u32, part.byte as usize % BYTES);
        if window.at != at {
            window.at = at;
            let mut words = [0; ROWS];
            for (word, first) in words.iter_mut().zip(&window.firsts) {
                *word = self.word(first.wrapping_add(at as usize * BYTES));
            }
            for (n, bytes) in window.bytes.iter_mut().enumerate() {
                bytes.0.iter_mut().zip(&words).for_each(|(byte, word)| *byte = (word >> (8 * n)) as u8);
            }
        }
        &window.bytes[byte]
    }

    /// The bytes from one on, the first of them lowest, and zeros behind the last.
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        let bytes = self.bits.get(at..).unwrap_or_default();
        match bytes.first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        }
    }

    pub fn memory(&self) -> usize {
        self.tables.memory() + self.parts.memory() + self.bits.memory()
    }

    pub fn put(&self, image: &mut ImageWriter) {
        image.put(&self.tables);
        image.put(&self.parts);
        image.put(&self.bits);
    }

    pub fn take(image: &mut ImageReader) -> Result<Self, ModelError> {
        Ok(Self { tables: image.take()?, parts: image.take()?, bits: image.take()? })
    }
}

/// The codes below which all of a set lie.
fn codes(set: &[u64]) -> usize {
    let last = set.iter().rposition(|word| *word != 0);
    last.map_or(0, |last| (last + 1) * WORD - set[last].leading_zeros() as usize)
}
