//! A forest laid out for scoring: blocks of 64 lanes, each lane one test of a tree.
//!
//! All tests of a block can be decided at once, since they compare small whole numbers: a row's number is first replaced
//! by its rank among the thresholds of its input ([`Ranks`]), and the sets of categories are turned round
//! ([`Codes`]), so that a code has the answers to all tests of its category side by side. Which leaf a row reaches
//! then follows from 64 answers and two lists of lanes ([`Block`]). The answers are exactly those of the walk through the nodes
//! ([`super::walk`]). Many rows go through a block together ([`rows`]).
//!
//! A tree of up to 64 leaves takes as many lanes as it has leaves, and several small trees share a block. Of a larger one the
//! nodes with most leaves below come first; what lies below them are pieces in later blocks, to which the exits of the
//! first piece lead.

mod build;
mod codes;
mod kernels;
mod line;
mod ranks;
mod rows;

use super::{Forest, Rows};
use crate::error::ModelError;
use crate::score::array::Array;
use crate::score::image::{ImageReader, ImageWriter};
use codes::Codes;
use kernels::Kernel;
use ranks::Ranks;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Tests that a block has room for, and exits.
const LANES: usize = 64;

/// The lanes of a block. A piece of a tree with n tests has n + 1 lanes: the first is its entry, which leads to its root, and
/// its tests follow in the order of the leaves, each behind the leaves on its left. Exit `lane - 1` is on the left of
/// a test and exit `lane` on its right, for the tests whose way out this is.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Block {
    /// Whose rank is compared: a slot of [`Ranks`].
    slot: [u8; LANES],
    /// A row goes left if its rank is below this; 0 where a category is tested. See [`Head::missing`].
    below: [u8; LANES],
    /// The lane that comes next, for a row that goes right, and for one that goes left: the lane itself where the piece ends.
    next: [[u8; LANES]; 2],
}

/// What else there is to a block.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Head {
    /// The lanes whose missing numbers go left, one bit each: to their ranks and to their bounds 1 is added, by which the rank
    /// of a missing number, the largest, becomes 0.
    missing: u64,
    /// Its parts of the codes' answers: the first, and where they end.
    part: u32,
    end: u32,
}

/// The blocks of a forest and what their tests compare.
pub struct Blocks {
    blocks: Array<Block>,
    heads: Array<Head>,
    /// The lanes of each block, each behind those to which a way leads from there.
    orders: Array<[u8; LANES]>,
    /// For each lane of each block the value of the leaf, or where the tree goes on: see [`link`].
    exits: Array<f64>,
    /// For each output the [`place`]s at which its trees begin.
    roots: Vec<Array<u32>>,
    ranks: Ranks,
    codes: Codes,
    /// How many steps the longest way through a piece has, its entry's included.
    steps: Array<u32>,
}

/// A lane of a block as one number.
fn place(block: usize, lane: usize) -> u32 {
    (block * LANES + lane) as u32
}

/// An exit that leads to a place: a NaN that holds it. The values of leaves are finite.
fn link(place: u32) -> f64 {
    f64::from_bits(f64::NAN.to_bits() | u64::from(place))
}

/// The place that a link holds.
fn linked(link: f64) -> u32 {
    link.to_bits() as u32
}

impl Blocks {
    /// `None` where the walk from node to node is faster: if this processor has no vectors, the forest compares too many inputs, or
    /// its codes' answers would take more memory than its nodes.
    pub fn new(forest: &Forest) -> Option<Self> {
        Kernel::best().is_fast.then(|| build::blocks(forest)).flatten()
    }

    /// The sum of the leaf values that the trees of an output give a row, added in the order of the trees.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn sum(&self, output: usize, numbers: &[f64], codes: &[u32]) -> f64 {
        Kernel::best().sum(self, output, numbers, codes)
    }

    /// The sums of many rows, each as [`Blocks::sum`] gives it, to the last bit.
    ///
    /// # Panics
    /// If there is no such output, or not one sum for each row.
    pub fn sums(&self, output: usize, rows: &Rows, sums: &mut [f64]) {
        assert_eq!(sums.len(), rows.count(), "a sum for each row");
        let kernel = Kernel::best();
        let together = !self.have_links();
        for (n, sums) in sums.chunks_mut(line::ROWS).enumerate() {
            let first = n * line::ROWS;
            let rows = rows.part(first..first + sums.len());
            if together && sums.len() >= kernel.fewest {
                kernel.sums(self, output, &rows, sums);
                continue;
            }
            for (n, sum) in sums.iter_mut().enumerate() {
                let (numbers, codes) = rows.get(n);
                *sum = kernel.sum(self, output, numbers, codes);
            }
        }
    }

    /// Whether trees go on behind the blocks at which they begin.
    fn have_links(&self) -> bool {
        let last = self.roots.iter().filter_map(|roots| roots.last()).max();
        self.blocks.len() > last.map_or(0, |last| *last as usize / LANES + 1)
    }

    /// The values of all leaves.
    pub fn leaves(&self) -> impl Iterator<Item = f64> + '_ {
        self.exits.iter().copied().filter(|value| !value.is_nan())
    }

    /// The most trees of an output.
    pub fn trees(&self) -> usize {
        self.roots.iter().map(|roots| roots.len()).max().unwrap_or(0)
    }

    /// Bytes of this process's own memory.
    pub fn memory(&self) -> usize {
        let roots: usize = self.roots.iter().map(Array::memory).sum();
        let blocks = self.blocks.memory() + self.heads.memory() + self.orders.memory() + self.exits.memory();
        blocks + roots + self.ranks.memory() + self.codes.memory() + self.steps.memory()
    }

    pub fn put(&self, image: &mut ImageWriter) {
        image.put(&self.blocks);
        image.put(&self.heads);
        image.put(&self.orders);
        image.put(&self.exits);
        self.roots.iter().for_each(|roots| image.put(roots));
        self.ranks.put(image);
        self.codes.put(image);
        image.put(&self.steps);
    }

    /// Reads what [`Blocks::put`] wrote, of a forest with so many outputs.
    pub fn take(outputs: usize, image: &mut ImageReader) -> Result<Self, ModelError> {
        let blocks: Array<Block> = image.take()?;
        let count = blocks.len();
        Ok(Self {
            blocks,
            heads: image.take_just(count)?,
            orders: image.take_just(count)?,
            exits: image.take_just(count * LANES)?,
            roots: (0..outputs).map(|_| image.take()).collect::<Result<_, _>>()?,
            ranks: Ranks::take(image)?,
            codes: Codes::take(image)?,
            steps: image.take_just(1)?,
        })
    }
}

#[cfg(test)]
mod tests;
