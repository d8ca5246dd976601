//! The ranks of a row's numbers among the thresholds that trees compare them with.
//!
//! A rank fits a byte: an input with many thresholds has several slots, each for the next 254 of its thresholds. A number
//! is below the threshold at position `p` of a slot exactly if its rank there, the number of the slot's thresholds that are not
//! above it, is at most `p`.

use super::super::walk::Node;
use crate::error::ModelError;
use crate::score::array::Array;
use crate::score::forest::Rows;
use crate::score::image::{ImageReader, ImageWriter};
use std::collections::BTreeMap;
use std::hint::select_unpredictable;
use std::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most slots.
pub const SLOTS: usize = 256;
/// Thresholds of a slot: ranks from 0 to this, and [`MISSING`] is another.
const THRESHOLDS: usize = 254;
/// The rank of a missing number.
const MISSING: u8 = 255;

/// Thresholds that are compared together.
pub const TOGETHER: usize = 16;
pub type Few = [f64; TOGETHER];

/// The thresholds of an input, ascending, and where its ranks go.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Scale {
    input: u32,
    /// The first slot, and how many there are.
    slot: u32,
    slots: u32,
    /// Where its few thresholds begin, each the last of as many others, and how many there are.
    coarse: u32,
    coarses: u32,
    /// Where all its thresholds begin.
    fine: u32,
}

/// The thresholds of all inputs, filled up with NaN, which is not below any number.
pub struct Ranks {
    scales: Array<Scale>,
    thresholds: Array<Few>,
}

/// The thresholds of one input.
struct Among<'a> {
    coarse: &'a [Few],
    /// All of them, and those of other inputs behind them.
    fine: &'a [Few],
    slots: Range<usize>,
}

impl Among<'_> {
    /// Calls `put` with each slot and a number's rank there. There is no branch on the number, since the processor would
    /// predict every second one wrong.
    #[inline(always)]
    fn ranks(&self, number: f64, count: impl Fn(&Few, f64) -> usize, mut put: impl FnMut(usize, u8)) {
        let before: usize = self.coarse.iter().map(|few| count(few, number)).sum();
        let rest = self.fine.get(before).unwrap_or(&[f64::NAN; TOGETHER]);
        let rank = before * TOGETHER + count(rest, number);
        for (n, slot) in self.slots.clone().enumerate() {
            let here = rank.saturating_sub(n * THRESHOLDS).min(THRESHOLDS) as u8;
            put(slot, select_unpredictable(number.is_nan(), MISSING, here));
        }
    }
}

/// Finds the slot of a test.
pub struct Slots {
    /// For each input its first slot and its thresholds.
    inputs: BTreeMap<usize, (usize, Vec<f64>)>,
}

impl Slots {
    /// The slots of all tests of numbers; `None` if there are too many.
    pub fn new(nodes: &[Node]) -> Option<Self> {
        let mut inputs: BTreeMap<usize, (usize, Vec<f64>)> = BTreeMap::new();
        for node in nodes.iter().filter(|node| node.is_number()) {
            inputs.entry(node.input()).or_default().1.push(node.number());
        }
        let mut next = 0;
        for (slot, thresholds) in inputs.values_mut() {
            thresholds.sort_unstable_by(f64::total_cmp);
            // As numbers, by which 0 is -0.
            thresholds.dedup();
            *slot = next;
            next += thresholds.len().div_ceil(THRESHOLDS);
        }
        (next <= SLOTS).then_some(Self { inputs })
    }

    /// The slot whose rank the test of a number compares, and what the rank is below if the row goes left.
    pub fn of(&self, node: Node) -> (u8, u8) {
        let Some((slot, thresholds)) = self.inputs.get(&node.input()) else { return (0, 0) };
        let position = thresholds.partition_point(|threshold| *threshold < node.number());
        ((slot + position / THRESHOLDS) as u8, (position % THRESHOLDS) as u8 + 1)
    }

    pub fn ranks(self) -> Ranks {
        let mut thresholds = Vec::new();
        let mut scales = Vec::new();
        for (input, (slot, mine)) in self.inputs {
            // At least one NaN, so that a number above all thresholds finds a few that are not above it.
            let fine = few(&[&mine[..], &[f64::NAN]].concat());
            let lasts: Vec<f64> = fine.iter().map(|few| few[TOGETHER - 1]).collect();
            let coarse = few(&lasts);
            scales.push(Scale {
                input: input as u32,
                slot: slot as u32,
                slots: mine.len().div_ceil(THRESHOLDS) as u32,
                coarse: thresholds.len() as u32,
                coarses: coarse.len() as u32,
                fine: (thresholds.len() + coarse.len()) as u32,
            });
            thresholds.extend(coarse);
            thresholds.extend(fine);
        }
        Ranks { scales: scales.into(), thresholds: thresholds.into() }
    }
}

fn few(thresholds: &[f64]) -> Vec<Few> {
    let filled = |part: &[f64]| std::array::from_fn(|n| part.get(n).copied().unwrap_or(f64::NAN));
    thresholds.chunks(TOGETHER).map(filled).collect()
}

impl Ranks {
    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.scales.last().map_or(0, |scale| scale.slot as usize + scale.slots as usize)
    }

    /// The rank of each slot; `count` says how many of a few thresholds are not above a number. Numbers beyond the end of the
    /// slice are missing.
    #[inline(always)]
    pub fn of(&self, numbers: &[f64], count: impl Fn(&Few, f64) -> usize) -> [u8; SLOTS] {
        let mut ranks = [0; SLOTS];
        for scale in &self.scales[..] {
            let number = numbers.get(scale.input as usize).copied().unwrap_or(f64::NAN);
            self.among(scale).ranks(number, &count, |slot, rank| ranks[slot] = rank);
        }
        ranks
    }

    /// As [`Self::of`] of many rows: calls `put` with each slot, row and rank. An input's thresholds are read for all rows together.
    #[inline(always)]
    pub fn each(
        &self,
        rows: &Rows,
        count: impl Fn(&Few, f64) -> usize,
        mut put: impl FnMut(usize, usize, u8),
    ) {
        for scale in &self.scales[..] {
            let among = self.among(scale);
            for (row, number) in rows.column(scale.input as usize).enumerate() {
                among.ranks(number, &count, |slot, rank| put(slot, row, rank));
            }
        }
    }

    #[inline(always)]
    fn among(&self, scale: &Scale) -> Among<'_> {
        let (coarse, slot) = (scale.coarse as usize, scale.slot as usize);
        Among {
            coarse: self.thresholds.get(coarse..coarse + scale.coarses as usize).unwrap_or_default(),
            fine: self.thresholds.get(scale.fine as usize..).unwrap_or_default(),
            slots: slot..SLOTS.min(slot + scale.slots as usize),
        }
    }

    pub fn memory(&self) -> usize {
        self.scales.memory() + self.thresholds.memory()
    }

    pub fn put(&self, image: &mut ImageWriter) {
        image.put(&self.scales);
        image.put(&self.thresholds);
    }

    pub fn take(image: &mut ImageReader) -> Result<Self, ModelError> {
        Ok(Self { scales: image.take()?, thresholds: image.take()? })
    }
}
