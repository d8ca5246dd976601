//! A forest that only scores: arrays that can be part of an image.

use super::blocks::Blocks;
use super::walk::{Node, Walk};
use super::{Forest, Rows, MAX_OUTPUTS};
use crate::error::ModelError;
use crate::score::array::Array;
use crate::score::image::{refused, ImageReader, ImageWriter};

pub(crate) struct Trees {
    bases: Vec<f64>,
    way: Way,
}

enum Way {
    Blocks(Box<Blocks>),
    /// What does not fit in blocks is walked from node to node.
    Nodes(Nodes),
}

struct Nodes {
    /// For each output the roots of its trees.
    roots: Vec<Array<u32>>,
    nodes: Array<Node>,
    sets: Array<u64>,
}

impl Trees {
    pub fn new(forest: &Forest) -> Self {
        let way = match Blocks::new(forest) {
            Some(blocks) => Way::Blocks(Box::new(blocks)),
            None => Way::Nodes(Nodes::new(forest)),
        };
        Self { bases: forest.bases.clone(), way }
    }

    /// The output for one row: see [`Forest::margin`], whose bits it has.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn margin(&self, output: usize, numbers: &[f64], codes: &[u32]) -> f64 {
        let sum = match &self.way {
            Way::Blocks(blocks) => blocks.sum(output, numbers, codes),
            Way::Nodes(nodes) => nodes.sum(output, numbers, codes),
        };
        self.bases[output] + sum
    }

    /// The output for each of many rows, as [`Self::margin`] gives it.
    ///
    /// # Panics
    /// If there is no such output, or not one margin for each row.
    pub fn margins(&self, output: usize, rows: &Rows, margins: &mut [f64]) {
        match &self.way {
            Way::Blocks(blocks) => blocks.sums(output, rows, margins),
            Way::Nodes(nodes) => {
                for (n, margin) in margins.iter_mut().enumerate() {
                    let (numbers, codes) = rows.get(n);
                    *margin = nodes.sum(output, numbers, codes);
                }
            }
        }
        margins.iter_mut().for_each(|margin| *margin += self.bases[output]);
    }

    /// The largest size that a margin can have, about.
    pub fn largest(&self) -> f64 {
        let most = |values: &mut dyn Iterator<Item = f64>| {
            values.fold(0.0, |most: f64, value| most.max(value.abs()))
        };
        let (leaf, trees) = match &self.way {
            Way::Blocks(blocks) => (most(&mut blocks.leaves()), blocks.trees()),
            Way::Nodes(nodes) => (most(&mut nodes.leaves()), nodes.trees()),
        };
        most(&mut self.bases.iter().copied()) + trees as f64 * leaf
    }

    /// What [`Self::take`] has to know: the base score of each output, and whether there are blocks.
    pub fn description(&self) -> (Vec<f64>, bool) {
        (self.bases.clone(), matches!(self.way, Way::Blocks(_)))
    }

    /// Bytes of this process's own memory, about.
    pub fn memory(&self) -> usize {
        match &self.way {
            Way::Blocks(blocks) => blocks.memory(),
            Way::Nodes(nodes) => nodes.memory(),
        }
    }

    pub fn put(&self, image: &mut ImageWriter) {
        match &self.way {
            Way::Blocks(blocks) => blocks.put(image),
            Way::Nodes(nodes) => nodes.put(image),
        }
    }

    pub fn take((bases, blocks): (Vec<f64>, bool), image: &mut ImageReader) -> Result<Self, ModelError> {
        if bases.len() > MAX_OUTPUTS {
            return Err(refused());
        }
        let way = match blocks {
            true => Way::Blocks(Box::new(Blocks::take(bases.len(), image)?)),
            false => Way::Nodes(Nodes::take(bases.len(), image)?),
        };
        Ok(Self { bases, way })
    }
}

impl Nodes {
    fn new(forest: &Forest) -> Self {
        Self {
            roots: forest.roots.iter().map(|roots| roots.clone().into()).collect(),
            nodes: forest.nodes.clone().into(),
            sets: forest.sets.clone().into(),
        }
    }

    fn sum(&self, output: usize, numbers: &[f64], codes: &[u32]) -> f64 {
        Walk { nodes: &self.nodes, sets: &self.sets }.sum(&self.roots[output], numbers, codes)
    }

    fn leaves(&self) -> impl Iterator<Item = f64> + '_ {
        self.nodes.iter().filter(|node| node.is_leaf()).map(|node| node.number())
    }

    /// The most trees of an output.
    fn trees(&self) -> usize {
        self.roots.iter().map(|roots| roots.len()).max().unwrap_or(0)
    }

    fn memory(&self) -> usize {
        let roots: usize = self.roots.iter().map(Array::memory).sum();
        self.nodes.memory() + self.sets.memory() + roots
    }

    fn put(&self, image: &mut ImageWriter) {
        self.roots.iter().for_each(|roots| image.put(roots));
        image.put(&self.nodes);
        image.put(&self.sets);
    }

    fn take(outputs: usize, image: &mut ImageReader) -> Result<Self, ModelError> {
        let roots = (0..outputs).map(|_| image.take()).collect::<Result<_, _>>()?;
        Ok(Self { roots, nodes: image.take()?, sets: image.take()? })
    }
}
