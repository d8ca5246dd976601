//! Many rows at once: a test is decided for all of them by a few vectors, a byte for each row, so that they share what it costs to
//! find the test and what it compares.
//!
//! From the last tests to the first it is found by which exit each row leaves that comes to a lane: it is the exit of one of the
//! two lanes behind it. No row is followed on its way, so that the processor has no branch to guess. The loops are plain ones
//! over bytes, which the compiler turns into the vectors of the kernel that they become part of.

use super::codes::Window;
use super::line::{Line, ROWS};
use super::ranks::{Few, SLOTS};
use super::{Block, Blocks, Head, LANES};
use crate::score::forest::Rows;

/// As many as a byte can point to, so that none points elsewhere.
const ENDS: usize = 256;

/// What rows are to a forest's blocks, and what is known of one of the blocks.
struct View<'a> {
    blocks: &'a Blocks,
    /// What tests compare. First for each lane of a category 0 where a row goes left, else 1; then for each slot the rows' ranks, and the
    /// ranks with 1 added: see [`Head::missing`].
    compared: Vec<Line>,
    windows: Vec<Window>,
    /// For each lane the exits by which the rows leave that come there, and then the exits themselves, for [`exit`].
    ends: [Line; ENDS],
}

/// The tests of a block.
struct Tests {
    /// For each lane what it compares: a line of [`View::compared`].
    line: [u16; LANES],
    /// A row goes left if it has less there.
    below: [u8; LANES],
    /// Where in [`View::ends`] it stands what comes of a row that goes right, and of one that goes left.
    behind: [[u8; LANES]; 2],
}

/// Where in [`View::ends`] the exit stands of a row that leaves at a lane, to the right (0) or to the left (1).
const fn exit(lane: usize, side: usize) -> usize {
    LANES + 1 + lane - side
}

/// Sets each row's sum to that of the leaves that it reaches from the roots, added in their order. There are as many sums as rows, and no
/// more than [`ROWS`]; no tree has a link. For `count` see [`super::ranks::Ranks::of`].
#[inline(always)]
pub fn sums(
    blocks: &Blocks,
    mut roots: &[u32],
    rows: &Rows,
    count: impl Fn(&Few, f64) -> usize,
    sums: &mut [f64],
) {
    let mut view = View::new(blocks, rows, count);
    let mut all = [0.0; ROWS];
    while let Some(first) = roots.first() {
        let block = *first as usize / LANES;
        let mine = roots.iter().take_while(|root| **root as usize / LANES == block).count();
        let (now, later) = roots.split_at(mine);
        roots = later;
        view.decide(block);
        for root in now {
            view.add_leaves(block, *root as usize % LANES, &mut all);
        }
    }
    sums.copy_from_slice(&all[..sums.len()]);
}

impl<'a> View<'a> {
    #[inline(always)]
    fn new(blocks: &'a Blocks, rows: &Rows, count: impl Fn(&Few, f64) -> usize) -> Self {
        let mut ends = [Line::ZERO; ENDS];
        for lane in 0..LANES {
            ends[exit(lane, 0)] = Line([lane as u8; ROWS]);
        }
        let mut compared = vec![Line::ZERO; LANES + 2 * blocks.ranks.slots().min(SLOTS)];
        blocks.ranks.each(rows, count, |slot, row, rank| {
            if let Some([plain, plus]) = compared[LANES..].as_chunks_mut().0.get_mut(slot) {
                (plain.0[row], plus.0[row]) = (rank, rank.wrapping_add(1));
            }
        });
        Self { blocks, compared, windows: blocks.codes.windows(rows), ends }
    }

    /// Finds the exits to which the rows come from the lanes of a block.
    #[inline(always)]
    fn decide(&mut self, block: usize) {
        let Blocks { blocks, heads, orders, .. } = self.blocks;
        let all = (blocks.get(block), heads.get(block), orders.get(block));
        let (Some(block), Some(head), Some(order)) = all else { return };
        let mut tests = Tests::new(block, head);
        self.answer(head, &mut tests);
        let Tests { line, below, behind: [right, left] } = &tests;
        for lane in order {
            let lane = usize::from(*lane) % LANES;
            let compared = self.compared.get(usize::from(line[lane])).unwrap_or(&Line::ZERO);
            let [right, left] = [right, left].map(|behind| &self.ends[usize::from(behind[lane])]);
            self.ends[lane] = choose(compared, below[lane], left, right);
        }
    }

    /// Reads the rows' answers to a block's tests of categories, and has these tests compare them.
    #[inline(always)]
    fn answer(&mut self, head: &Head, tests: &mut Tests) {
        for part in self.blocks.codes.parts(head.part as usize..head.end as usize) {
            let Some(window) = self.windows.get_mut(usize::from(part.table)) else { continue };
            let answers = self.blocks.codes.answers(window, part);
            let mut lanes = part.lanes;
            for n in 0..part.lanes.count_ones() {
                let bit = 1_u8.checked_shl(n).unwrap_or(0);
                let lane = lanes.trailing_zeros() as usize % LANES;
                let line = self.compared[lane].0.iter_mut().zip(&answers.0);
                line.for_each(|(to, answers)| *to = u8::from(answers & bit == 0));
                (tests.line[lane], tests.below[lane]) = (lane as u16, 1);
                lanes &= lanes - 1;
            }
        }
    }

    /// Adds the leaves to which the rows come from a lane of the block.
    #[inline(always)]
    fn add_leaves(&self, block: usize, lane: usize, sums: &mut [f64; ROWS]) {
        let values = self.blocks.exits.as_chunks::<LANES>().0.get(block).unwrap_or(&[0.0; LANES]);
        for (sum, exit) in sums.iter_mut().zip(&self.ends[lane].0) {
            *sum += values[usize::from(*exit) % LANES];
        }
    }
}

impl Tests {
    /// Those of a block, as if none were of a category.
    #[inline(always)]
    fn new(block: &Block, head: &Head) -> Self {
        let mut line = [0; LANES];
        for (lane, (line, slot)) in line.iter_mut().zip(&block.slot).enumerate() {
            *line = LANES as u16 + 2 * u16::from(*slot) + (head.missing >> lane & 1) as u16;
        }
        let mut behind = block.next;
        for (side, behind) in behind.iter_mut().enumerate() {
            for (lane, behind) in behind.iter_mut().enumerate() {
                *behind = if usize::from(*behind) == lane { exit(lane, side) as u8 } else { *behind };
            }
        }
        Self { line, below: block.below, behind }
    }
}

/// The left byte of each row that has less than `below`, else the right one.
#[inline(always)]
fn choose(compared: &Line, below: u8, left: &Line, right: &Line) -> Line {
    let mut chosen = Line::ZERO;
    for (n, chosen) in chosen.0.iter_mut().enumerate() {
        // Bits of both sides: of a condition the compiler makes no vectors.
        let is_left = u8::from(compared.0[n] < below).wrapping_neg();
        *chosen = left.0[n] & is_left | right.0[n] & !is_left;
    }
    chosen
}
