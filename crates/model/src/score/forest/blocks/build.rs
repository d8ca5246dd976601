//! Lays out a forest in blocks: see [`super`].

use super::codes::{Codes, Test};
use super::ranks::Slots;
use super::{link, linked, place, Block, Blocks, Head, LANES};
use crate::score::forest::walk::{Node, MISSING_LEFT};
use crate::score::forest::Forest;
use std::collections::BinaryHeap;

/// Bytes that tables of answers may take whatever the size of the forest.
const FEW: usize = 1 << 20;

/// See [`Blocks::new`].
pub fn blocks(forest: &Forest) -> Option<Blocks> {
    let slots = Slots::new(&forest.nodes)?;
    let mut layout = Layout {
        nodes: &forest.nodes,
        leaves: leaves(&forest.nodes),
        slots: &slots,
        tops: Shelf::default(),
        rest: Shelf::default(),
        open: Vec::new(),
        tests: Vec::new(),
        steps: 0,
    };
    let roots = forest.roots.iter().map(|roots| layout.trees(roots).into()).collect();
    let Layout { tops, rest, tests, steps, .. } = layout;
    let mut tests = tests;
    let before = tops.blocks.len();
    // Blocks of the rest follow those of the tops.
    tests.iter_mut().filter(|test| test.rest).for_each(|test| test.block += before);
    tests.sort_unstable_by_key(|test| (test.block, test.node.input(), test.lane));
    let tests: Vec<Test> = tests
        .iter()
        .map(|test| Test {
            block: test.block,
            lane: test.lane,
            category: test.node.input(),
            set: &forest.sets[test.node.words()],
        })
        .collect();
    let most = forest.memory().max(FEW);
    let (codes, parts) = Codes::new(&tests, before + rest.blocks.len(), most)?;
    let exits = tops.exits.iter().chain(&rest.exits);
    let exits = exits.map(|exit| match exit.is_nan() {
        true => link(linked(*exit) + place(before, 0)),
        false => *exit,
    });
    let missing = tops.missing.iter().chain(&rest.missing);
    let heads = missing.zip(parts.windows(2));
    Some(Blocks {
        exits: exits.collect(),
        heads: heads.map(|(m, p)| Head { missing: *m, part: p[0], end: p[1] }).collect(),
        orders: tops.orders.iter().chain(&rest.orders).copied().collect(),
        blocks: tops.blocks.iter().chain(&rest.blocks).copied().collect(),
        roots,
        codes,
        steps: vec![steps].into(),
        ranks: slots.ranks(),
    })
}

/// How many leaves lie below each node; children come after their parents.
fn leaves(nodes: &[Node]) -> Vec<u32> {
    let mut leaves = vec![1; nodes.len()];
    for (at, node) in nodes.iter().enumerate().rev().filter(|(_, node)| !node.is_leaf()) {
        leaves[at] = leaves[node.child as usize] + leaves[node.child as usize + 1];
    }
    leaves
}

/// Blocks that are filled one after the other.
#[derive(Default)]
struct Shelf {
    blocks: Vec<Block>,
    missing: Vec<u64>,
    orders: Vec<[u8; LANES]>,
    exits: Vec<f64>,
    /// Lanes of the last block that are taken.
    taken: usize,
}

impl Shelf {
    /// Room for a piece: its block, and the lane of its entry.
    fn room(&mut self, lanes: usize) -> (usize, usize) {
        if self.blocks.is_empty() || self.taken + lanes > LANES {
            // Every lane leads to itself.
            let own = std::array::from_fn(|lane| lane as u8);
            self.blocks.push(Block { slot: [0; LANES], below: [0; LANES], next: [own; 2] });
            self.missing.push(0);
            self.orders.push(own);
            self.exits.resize(self.blocks.len() * LANES, 0.0);
            self.taken = 0;
        }
        let entry = self.taken;
        self.taken += lanes;
        (self.blocks.len() - 1, entry)
    }
}

/// A test of a category.
struct CodeTest {
    /// Whether the block is one of the rest.
    rest: bool,
    block: usize,
    lane: usize,
    node: Node,
}

/// A piece that has its room and is to be filled.
struct Piece {
    root: u32,
    rest: bool,
    block: usize,
    entry: usize,
}

struct Layout<'a> {
    nodes: &'a [Node],
    leaves: Vec<u32>,
    slots: &'a Slots,
    /// The pieces at which trees begin, and all others.
    tops: Shelf,
    rest: Shelf,
    open: Vec<Piece>,
    tests: Vec<CodeTest>,
    steps: u32,
}

impl Layout<'_> {
    /// Lays out the trees of an output, and says where they begin.
    fn trees(&mut self, roots: &[u32]) -> Vec<u32> {
        // Trees of two outputs share no block.
        self.tops.taken = LANES;
        let places = roots.iter().map(|root| {
            let at = self.piece(*root, false);
            while let Some(piece) = self.open.pop() {
                self.fill(&piece);
            }
            at
        });
        places.collect()
    }

    /// Makes room for the piece that begins at a node. A link always leads to a later place, because the rest's pieces have
    /// room made for them in the order in which they are found.
    fn piece(&mut self, root: u32, rest: bool) -> u32 {
        let lanes = LANES.min(self.leaves[root as usize] as usize);
        let shelf = if rest { &mut self.rest } else { &mut self.tops };
        let (block, entry) = shelf.room(lanes);
        self.open.push(Piece { root, rest, block, entry });
        place(block, entry)
    }

    fn fill(&mut self, piece: &Piece) {
        let Piece { root, entry, .. } = *piece;
        let inside = self.inside(root);
        if inside.is_empty() {
            self.exit(piece, entry, root);
            return;
        }
        // For each node inside, its lane.
        let mut lanes = vec![0; inside.len()];
        let mut last = entry;
        self.number(root, 1, &inside, &mut lanes, &mut last);
        let lane_of = |node: u32| inside.binary_search(&node).ok().map(|at| lanes[at]);
        let first = lane_of(root).unwrap_or(entry) as u8;
        self.block(piece).next.iter_mut().for_each(|next| next[entry] = first);
        self.order(piece, &lanes);
        let mut in_order: Vec<(usize, u32)> = lanes.iter().copied().zip(inside.iter().copied()).collect();
        in_order.sort_unstable();
        for (lane, at) in in_order {
            let node = self.nodes[at as usize];
            self.test(piece, lane, node);
            // A row that goes left has the second list, and leaves by the exit before.
            for (side, child) in [(1, node.child), (0, node.child + 1)] {
                match lane_of(child) {
                    Some(next) => self.block(piece).next[side][lane] = next as u8,
                    None => self.exit(piece, lane - side, child),
                }
            }
        }
    }

    /// The nodes of the piece that begins at a node, ascending: of the tests below it those with most leaves.
    fn inside(&self, root: u32) -> Vec<u32> {
        let mut inside = Vec::new();
        let mut next = BinaryHeap::from([(self.leaves[root as usize], root)]);
        while let Some((leaves, at)) = next.pop() {
            if leaves == 1 || inside.len() == LANES - 1 {
                break;
            }
            inside.push(at);
            let left = self.nodes[at as usize].child;
            next.extend([left, left + 1].map(|child| (self.leaves[child as usize], child)));
        }
        inside.sort_unstable();
        inside
    }

    /// Gives the nodes inside lanes from left to right.
    fn number(&mut self, at: u32, steps: u32, inside: &[u32], lanes: &mut [usize], last: &mut usize) {
        let Ok(position) = inside.binary_search(&at) else { return };
        self.steps = self.steps.max(steps);
        let left = self.nodes[at as usize].child;
        self.number(left, steps + 1, inside, lanes, last);
        *last += 1;
        lanes[position] = *last;
        self.number(left + 1, steps + 1, inside, lanes, last);
    }

    /// Notes in which order the piece's lanes are found from their ends: children come after their parents, so backwards.
    fn order(&mut self, piece: &Piece, lanes: &[usize]) {
        let order = &mut self.shelf(piece).orders[piece.block][piece.entry..];
        let backwards = lanes.iter().rev().chain([&piece.entry]);
        order.iter_mut().zip(backwards).for_each(|(to, lane)| *to = *lane as u8);
    }

    fn shelf(&mut self, piece: &Piece) -> &mut Shelf {
        match piece.rest {
            true => &mut self.rest,
            false => &mut self.tops,
        }
    }

    fn block(&mut self, piece: &Piece) -> &mut Block {
        &mut self.shelf(piece).blocks[piece.block]
    }

    fn test(&mut self, piece: &Piece, lane: usize, node: Node) {
        if node.is_category() {
            self.tests.push(CodeTest { rest: piece.rest, block: piece.block, lane, node });
            return;
        }
        let (slot, below) = self.slots.of(node);
        let missing_left = node.test & MISSING_LEFT != 0;
        self.shelf(piece).missing[piece.block] |= u64::from(missing_left) << lane;
        let block = self.block(piece);
        block.slot[lane] = slot;
        block.below[lane] = below + u8::from(missing_left);
    }

    /// Where a row goes that leaves the piece for a node.
    fn exit(&mut self, piece: &Piece, exit: usize, to: u32) {
        let node = self.nodes[to as usize];
        let value = if node.is_leaf() { node.number() } else { link(self.piece(to, true)) };
        self.shelf(piece).exits[piece.block * LANES + exit] = value;
    }
}
