//! The nodes of trees, and the fast walk through them.
//!
//! A walk ends and stays within bounds whatever the nodes hold: it stops at a node whose child does not exist or does
//! not come after its parent.

use crate::stored::recipe::UNSEEN;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Four nodes share a cache line.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Node {
    /// The bits of the threshold or leaf value; for a category the first word of its set and, above 32 bits, how
    /// many there are.
    pub payload: u64,
    /// The number or category tested, with [`MISSING_LEFT`] and [`CATEGORY`]; [`LEAF`] in a leaf.
    pub test: u32,
    /// The left child among all nodes; the node itself in a leaf.
    pub child: u32,
}

pub const MISSING_LEFT: u32 = 1 << 31;
pub const CATEGORY: u32 = 1 << 30;
pub const INPUT: u32 = CATEGORY - 1;
/// The input of a leaf: a number that no row has. It is missing, a missing number goes left, and the left child of a
/// leaf is the leaf itself.
pub const LEAF: u32 = MISSING_LEFT | INPUT;

/// Bits of a word of a category set.
pub const WORD: usize = 64;
/// How many trees are walked side by side, since a walk mostly waits for the memory of its next node.
const LANES: usize = 8;

impl Node {
    pub fn input(self) -> usize {
        (self.test & INPUT) as usize
    }

    pub fn is_leaf(self) -> bool {
        self.test == LEAF
    }

    pub fn is_category(self) -> bool {
        self.test & CATEGORY != 0
    }

    pub fn is_number(self) -> bool {
        !self.is_leaf() && !self.is_category()
    }

    pub fn number(self) -> f64 {
        f64::from_bits(self.payload)
    }

    /// Where the words of a category's set stand.
    pub fn words(self) -> std::ops::Range<usize> {
        let first = self.payload as u32 as usize;
        first..first + (self.payload >> 32) as usize
    }
}

/// The nodes and category sets of a forest.
#[derive(Clone, Copy)]
pub struct Walk<'a> {
    pub nodes: &'a [Node],
    pub sets: &'a [u64],
}

impl Walk<'_> {
    /// The sum of the leaf values that trees with these roots give a row.
    pub fn sum(self, roots: &[u32], numbers: &[f64], codes: &[u32]) -> f64 {
        let (groups, rest) = roots.as_chunks::<LANES>();
        let mut sum = 0.0;
        for group in groups {
            sum = self.leaves(*group, numbers, codes).iter().fold(sum, |sum, leaf| sum + leaf);
        }
        for root in rest {
            sum += self.leaves([*root], numbers, codes)[0];
        }
        sum
    }

    /// The leaf values that trees with these roots give a row.
    fn leaves<const N: usize>(self, roots: [u32; N], numbers: &[f64], codes: &[u32]) -> [f64; N] {
        let mut at = roots;
        loop {
            let next = at.map(|at| self.next(at, numbers, codes));
            if next == at {
                return at.map(|at| self.nodes.get(at as usize).map_or(0.0, |node| node.number()));
            }
            at = next;
        }
    }

    /// Where a row goes from a node. The code has no branch, since the processor would predict every second one wrong.
    pub fn next(self, at: u32, numbers: &[f64], codes: &[u32]) -> u32 {
        let Some(node) = self.nodes.get(at as usize).copied() else { return at };
        let left = if node.is_category() {
            self.contains(node, codes.get(node.input()).copied().unwrap_or(UNSEEN))
        } else {
            let number = numbers.get(node.input()).copied().unwrap_or(f64::NAN);
            (number < node.number()) | (number.is_nan() & (node.test & MISSING_LEFT != 0))
        };
        node.child.wrapping_add(u32::from(!left)).max(at)
    }

    /// Whether the code is in the node's set; a code beyond the set is not.
    fn contains(self, node: Node, code: u32) -> bool {
        let word = self.sets.get(node.words()).and_then(|set| set.get(code as usize / WORD));
        word.is_some_and(|word| word >> (code as usize % WORD) & 1 == 1)
    }
}
