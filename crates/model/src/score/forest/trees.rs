//! A forest that is only walked: arrays that can be part of an image.

use super::walk::{Node, Walk};
use super::{Forest, MAX_OUTPUTS};
use crate::error::ModelError;
use crate::score::array::Array;
use crate::score::image::{refused, ImageReader, ImageWriter};

pub(crate) struct Trees {
    bases: Vec<f64>,
    /// For each output the roots of its trees.
    roots: Vec<Array<u32>>,
    nodes: Array<Node>,
    sets: Array<u64>,
}

impl Trees {
    pub fn new(forest: &Forest) -> Self {
        Self {
            bases: forest.bases.clone(),
            roots: forest.roots.iter().map(|roots| roots.clone().into()).collect(),
            nodes: forest.nodes.clone().into(),
            sets: forest.sets.clone().into(),
        }
    }

    /// The output for one row: see [`Forest::margin`].
    ///
    /// # Panics
    /// If there is no such output.
    pub fn margin(&self, output: usize, numbers: &[f64], codes: &[u32]) -> f64 {
        let walk = Walk { nodes: &self.nodes, sets: &self.sets };
        self.bases[output] + walk.sum(&self.roots[output], numbers, codes)
    }

    /// The largest size that a margin can have, about.
    pub fn largest(&self) -> f64 {
        let most = |values: &mut dyn Iterator<Item = f64>| {
            values.fold(0.0, |most: f64, value| most.max(value.abs()))
        };
        let leaf = most(&mut self.nodes.iter().filter(|node| node.is_leaf()).map(|node| node.number()));
        let trees = self.roots.iter().map(|roots| roots.len()).max().unwrap_or(0);
        most(&mut self.bases.iter().copied()) + trees as f64 * leaf
    }

    /// The base score of each output: what [`Self::take`] has to know.
    pub fn bases(&self) -> &[f64] {
        &self.bases
    }

    /// Bytes of this process's own memory, about.
    pub fn memory(&self) -> usize {
        let roots: usize = self.roots.iter().map(Array::memory).sum();
        self.nodes.memory() + self.sets.memory() + roots
    }

    pub fn put(&self, image: &mut ImageWriter) {
        self.roots.iter().for_each(|roots| image.put(roots));
        image.put(&self.nodes);
        image.put(&self.sets);
    }

    pub fn take(bases: Vec<f64>, image: &mut ImageReader) -> Result<Self, ModelError> {
        if bases.len() > MAX_OUTPUTS {
            return Err(refused());
        }
        let roots = bases.iter().map(|_| image.take()).collect::<Result<_, _>>()?;
        Ok(Self { bases, roots, nodes: image.take()?, sets: image.take()? })
    }
}
