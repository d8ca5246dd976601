//! The kernels: the sum of a row's leaves, for each instruction set, chosen at run time. All add the same values in the same
//! order, so that a score has the same bits on every processor.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod x86;

use super::codes::Lines;
use super::ranks::{Few, SLOTS};
use super::{linked, rows, Block, Blocks, Head, LANES};
use crate::score::forest::Rows;
use once_cell::sync::Lazy;
use std::array::from_fn;

/// The sum of leaves for one instruction set. The function relies on the processor having that set.
pub struct Kernel {
    /// Whether it takes less time than the walk from node to node. The scalar one does not: it is for images that were made
    /// where there are vectors, and the plain reading of a block.
    pub is_fast: bool,
    /// Rows from which on it takes less time to score them together than one by one, about.
    pub fewest: usize,
    sum: unsafe fn(&Blocks, &[u32], &[f64], &[u32]) -> f64,
    sums: unsafe fn(&Blocks, &[u32], &Rows, &mut [f64]),
}

impl Kernel {
    /// The fastest kernel of this processor.
    pub fn best() -> &'static Kernel {
        static BEST: Lazy<&'static Kernel> = Lazy::new(|| available()[0]);
        *BEST
    }

    /// See [`Blocks::sum`].
    #[inline]
    pub fn sum(&self, blocks: &Blocks, output: usize, numbers: &[f64], codes: &[u32]) -> f64 {
        // SAFETY: `available` gives out only the kernels whose instructions this processor has.
        unsafe { (self.sum)(blocks, &blocks.roots[output], numbers, codes) }
    }

    /// See [`Blocks::sums`], for no more than [`super::line::ROWS`] rows.
    pub fn sums(&self, blocks: &Blocks, output: usize, rows: &Rows, sums: &mut [f64]) {
        // SAFETY: as above.
        unsafe { (self.sums)(blocks, &blocks.roots[output], rows, sums) }
    }
}

static SCALAR: Kernel = Kernel { is_fast: false, fewest: 8, sum: scalar, sums: scalar_sums };

/// Every kernel this processor can run, fastest first; the scalar one is always there.
pub fn available() -> Vec<&'static Kernel> {
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    kernels.extend(x86::available());
    kernels.push(&SCALAR);
    kernels
}

/// A forest's blocks and what a row is to them.
struct View<'a> {
    blocks: &'a [Block],
    heads: &'a [Head],
    exits: &'a [f64],
    ranks: [u8; SLOTS],
    lines: Lines<'a>,
}

impl<'a> View<'a> {
    #[inline(always)]
    fn new(blocks: &'a Blocks, numbers: &[f64], codes: &[u32], count: impl Fn(&Few, f64) -> usize) -> Self {
        let (ranks, lines) = (blocks.ranks.of(numbers, count), blocks.codes.lines(codes));
        Self { blocks: &blocks.blocks, heads: &blocks.heads, exits: &blocks.exits, ranks, lines }
    }

    #[inline(always)]
    fn block(&self, block: usize) -> Option<(&'a Block, &'a Head)> {
        Some((self.blocks.get(block)?, self.heads.get(block)?))
    }

    #[inline(always)]
    fn exit(&self, exit: usize) -> f64 {
        self.exits.get(exit).copied().unwrap_or(0.0)
    }
}

/// Trees that are walked side by side.
const SIDE_BY_SIDE: usize = 8;
/// Steps before it is asked whether all of them have come to an end.
const ROUND: usize = 4;

/// How many of the thresholds are not above the number.
fn count(few: &Few, number: f64) -> usize {
    few.iter().map(|threshold| usize::from(*threshold <= number)).sum()
}

fn scalar_sums(blocks: &Blocks, roots: &[u32], rows: &Rows, sums: &mut [f64]) {
    rows::sums(blocks, roots, rows, count, sums);
}

fn scalar(blocks: &Blocks, roots: &[u32], numbers: &[f64], codes: &[u32]) -> f64 {
    let view = View::new(blocks, numbers, codes, count);
    view.walked::<false>(roots, |_, head| view.left_by_code(head, deposit))
}

/// Which lanes of a block go left, one bit each.
trait Left: Fn(&Block, &Head) -> u64 + Copy {}

impl<F: Fn(&Block, &Head) -> u64 + Copy> Left for F {}

/// A block in which a row is on its way, and its lanes that go left; unless all are decided, those that compare ranks
/// are not among them.
#[derive(Clone, Copy)]
struct Here<'a> {
    block: &'a Block,
    missing: u64,
    left: u64,
}

/// A block that ends all ways.
static NOWHERE: Block = Block { slot: [0; LANES], below: [0; LANES], next: [[0; LANES]; 2] };

impl View<'_> {
    #[inline(always)]
    fn left_by_code(&self, head: &Head, deposit: impl Fn(u64, u64) -> u64) -> u64 {
        let mut left = 0;
        self.lines.left(head.part as usize..head.end as usize, deposit, |_, lanes| left |= lanes);
        left
    }

    /// The sum of the leaves that the row reaches from the roots, lane by lane.
    #[inline(always)]
    fn walked<const DECIDED: bool>(&self, roots: &[u32], left: impl Left) -> f64 {
        let (groups, rest) = roots.as_chunks::<SIDE_BY_SIDE>();
        let mut sum = 0.0;
        for group in groups {
            sum = self.leaves::<DECIDED, SIDE_BY_SIDE>(*group, left).iter().fold(sum, |sum, leaf| sum + leaf);
        }
        for root in rest {
            sum += self.leaves::<DECIDED, 1>([*root], left)[0];
        }
        sum
    }

    #[inline(always)]
    fn leaves<const DECIDED: bool, const N: usize>(&self, places: [u32; N], left: impl Left) -> [f64; N] {
        let exits = self.exits::<DECIDED, N>(places, left);
        exits.map(|mut exit| {
            let mut value = self.exit(exit);
            // A link that does not lead forward is the end.
            while value.is_nan() && linked(value) as usize > exit {
                [exit] = self.exits::<DECIDED, 1>([linked(value)], left);
                value = self.exit(exit);
            }
            if value.is_nan() {
                0.0
            } else {
                value
            }
        })
    }

    /// The exits that the row takes from blocks which it enters at these places.
    #[inline(always)]
    fn exits<const DECIDED: bool, const N: usize>(&self, places: [u32; N], left: impl Left) -> [usize; N] {
        let heres = places.map(|place| match self.block(place as usize / LANES) {
            Some((block, head)) => Here { block, missing: head.missing, left: left(block, head) },
            None => Here { block: &NOWHERE, missing: 0, left: 0 },
        });
        let mut lanes = places.map(|place| (place as usize % LANES) as u8);
        let step = |lanes: [u8; N]| from_fn(|n| self.next::<DECIDED>(&heres[n], lanes[n]));
        // No way through a block is longer.
        for _ in 0..LANES / ROUND {
            let before = (1..ROUND).fold(lanes, |lanes, _| step(lanes));
            lanes = step(before);
            if lanes == before {
                break;
            }
        }
        from_fn(|n| {
            let end = places[n] as usize / LANES * LANES + usize::from(lanes[n]) % LANES;
            end.wrapping_sub(usize::from(self.goes_left::<DECIDED>(&heres[n], lanes[n])))
        })
    }

    #[inline(always)]
    fn next<const DECIDED: bool>(&self, here: &Here, lane: u8) -> u8 {
        here.block.next[usize::from(self.goes_left::<DECIDED>(here, lane))][usize::from(lane) % LANES]
    }

    #[inline(always)]
    fn goes_left<const DECIDED: bool>(&self, here: &Here, lane: u8) -> bool {
        let lane = usize::from(lane) % LANES;
        let is_left = here.left >> lane & 1 == 1;
        if DECIDED {
            return is_left;
        }
        let plus = (here.missing >> lane) as u8 & 1;
        let rank = self.ranks[usize::from(here.block.slot[lane])].wrapping_add(plus);
        is_left | (rank < here.block.below[lane])
    }
}

/// Moves the lowest bits of a word to the bits of a mask.
fn deposit(mut bits: u64, mut mask: u64) -> u64 {
    let mut to = 0;
    while mask != 0 {
        let lowest = mask & mask.wrapping_neg();
        to |= lowest * (bits & 1);
        bits >>= 1;
        mask ^= lowest;
    }
    to
}
