//! The kernels: the sum of a row's leaves, for each instruction set, chosen at run time. All add the same values in the same
//! order, so that a score has the same bits on every processor.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod x86;

use super::codes::Lines;
use super::ranks::{Few, SLOTS};
use super::{linked, Block, Blocks, Head, LANES};
use once_cell::sync::Lazy;
use std::array::from_fn;

/// The sum of leaves for one instruction set. The function relies on the processor having that set.
pub struct Kernel {
    sum: unsafe fn(&Blocks, &[u32], &[f64], &[u32]) -> f64,
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
}

static SCALAR: Kernel = Kernel { sum: scalar };

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

fn scalar(blocks: &Blocks, roots: &[u32], numbers: &[f64], codes: &[u32]) -> f64 {
    walked(blocks, roots, numbers, codes, deposit)
}

/// Lane by lane.
#[inline(always)]
fn walked(
    blocks: &Blocks,
    roots: &[u32],
    numbers: &[f64],
    codes: &[u32],
    deposit: impl Fn(u64, u64) -> u64 + Copy,
) -> f64 {
    let count = |few: &Few, number| few.iter().map(|threshold| usize::from(*threshold <= number)).sum();
    let view = View::new(blocks, numbers, codes, count);
    let (groups, rest) = roots.as_chunks::<SIDE_BY_SIDE>();
    let mut sum = 0.0;
    for group in groups {
        sum = view.leaves(*group, deposit).iter().fold(sum, |sum, leaf| sum + leaf);
    }
    for root in rest {
        sum += view.leaves([*root], deposit)[0];
    }
    sum
}

/// A block in which a row is on its way.
#[derive(Clone, Copy)]
struct Here<'a> {
    block: &'a Block,
    missing: u64,
    /// The lanes of categories that go left.
    left: u64,
}

impl<'a> View<'a> {
    #[inline(always)]
    fn here(&self, block: usize, deposit: impl Fn(u64, u64) -> u64) -> Option<Here<'a>> {
        let (block, head) = self.block(block)?;
        let mut left = 0;
        self.lines.left(head.part as usize..head.end as usize, deposit, |_, lanes| left |= lanes);
        Some(Here { block, missing: head.missing, left })
    }

    #[inline(always)]
    fn goes_left(&self, here: &Here, lane: u8) -> bool {
        let lane = usize::from(lane) % LANES;
        let rank =
            self.ranks[usize::from(here.block.slot[lane])].wrapping_add((here.missing >> lane) as u8 & 1);
        (rank < here.block.below[lane]) | (here.left >> lane & 1 == 1)
    }

    #[inline(always)]
    fn next(&self, here: &Here, lane: u8) -> u8 {
        here.block.next[usize::from(self.goes_left(here, lane))][usize::from(lane) % LANES]
    }

    /// The values of the leaves that the row reaches from these places.
    #[inline(always)]
    fn leaves<const N: usize>(&self, places: [u32; N], deposit: impl Fn(u64, u64) -> u64 + Copy) -> [f64; N] {
        let blocks = places.map(|place| place as usize / LANES);
        let heres = blocks.map(|block| self.here(block, deposit));
        let mut leaves = [0.0; N];
        if heres.iter().all(Option::is_some) {
            let heres = heres.map(|here| here.unwrap_or(Here { block: &NOWHERE, missing: 0, left: 0 }));
            let mut lanes = places.map(|place| (place as usize % LANES) as u8);
            // No way through a block is longer.
            for _ in 0..LANES {
                let next: [u8; N] = from_fn(|n| self.next(&heres[n], lanes[n]));
                if next == lanes {
                    break;
                }
                lanes = next;
            }
            for n in 0..N {
                leaves[n] = self.leaf(places[n] as usize / LANES, &heres[n], lanes[n], deposit);
            }
        }
        leaves
    }

    /// The value at the end of a way through a block. A link that does not lead forward is the end.
    #[inline(always)]
    fn leaf(&self, block: usize, here: &Here, lane: u8, deposit: impl Fn(u64, u64) -> u64) -> f64 {
        let exit_of = |block: usize, here: &Here, lane: u8| {
            let left = usize::from(self.goes_left(here, lane));
            (block * LANES + usize::from(lane) % LANES).wrapping_sub(left)
        };
        let mut exit = exit_of(block, here, lane);
        let mut value = self.exit(exit);
        while value.is_nan() {
            let place = linked(value) as usize;
            let Some(here) = self.here(place / LANES, &deposit).filter(|_| place > exit) else { return 0.0 };
            let mut lane = (place % LANES) as u8;
            for _ in 0..LANES {
                let next = self.next(&here, lane);
                if next == lane {
                    break;
                }
                lane = next;
            }
            exit = exit_of(place / LANES, &here, lane);
            value = self.exit(exit);
        }
        value
    }
}

static NOWHERE: Block = Block { slot: [0; LANES], below: [0; LANES], next: [[0; LANES]; 2] };

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
