//! Many rows scored at once: a network's layers are matrix products then. The scores are those of [`Scorer::score`], to the
//! last bit.

use super::{Engine, Networks, Row, Scorer};
use crate::score::forest::Rows;
use crate::score::stack::Pick;
use crate::score::tiles::{TileScratch, ROWS};

/// Rows that wait for being scored together: made by [`Scorer::batch`], reused for all.
pub struct Batch {
    rows: usize,
    /// The rows' inputs of the networks, one row after the other.
    inputs: Vec<f32>,
    /// The rows' bins, where they are no inputs.
    picks: Vec<Pick>,
    /// The codes of their categories, if a forest reads them, or several networks, each with embeddings of its own.
    codes: Vec<u32>,
    /// The numbers that a forest reads.
    numbers: Vec<f64>,
    networks: Option<OfNetworks>,
    /// The rows' scores; until the batch is scored only what is known of them row by row.
    scores: Vec<f64>,
    /// What a forest adds to each row.
    margins: Vec<f64>,
}

/// Buffers for the networks' values.
struct OfNetworks {
    scratch: Vec<TileScratch>,
    logits: Vec<f32>,
    sums: Vec<f64>,
}

impl Batch {
    /// True once it takes no more rows.
    pub fn is_full(&self) -> bool {
        self.rows == ROWS
    }
}

impl Scorer {
    /// A batch without rows. It belongs to the scorer that made it.
    pub fn batch(&self) -> Batch {
        let networks = self.networks_by_matrices().map(|networks| OfNetworks {
            scratch: networks.members.iter().map(|member| TileScratch::of(&member.heads[0].0)).collect(),
            logits: vec![0.0; ROWS],
            sums: vec![0.0; ROWS],
        });
        Batch {
            rows: 0,
            inputs: Vec::new(),
            picks: Vec::new(),
            codes: Vec::new(),
            numbers: Vec::new(),
            networks,
            scores: Vec::with_capacity(ROWS),
            margins: Vec::new(),
        }
    }

    /// Networks that score a batch by matrix products: those without cross layers.
    fn networks_by_matrices(&self) -> Option<&Networks> {
        let networks = self.engine.networks.as_ref();
        networks.filter(|networks| networks.members.iter().all(|member| member.crosses.is_none()))
    }

    /// Adds a row to the batch.
    ///
    /// # Panics
    /// If the batch is full, or batch or row are another scorer's.
    #[inline]
    pub fn put(&self, row: &mut Row, batch: &mut Batch) {
        assert!(!batch.is_full(), "the batch is full");
        if batch.rows == 0 {
            batch.scores.clear();
        }
        batch.rows += 1;
        let Engine { networks, forest, rates, offset } = &self.engine;
        let (mut number, mut reads_codes) = (*offset, forest.is_some());
        if let Some(networks) = self.networks_by_matrices() {
            batch.inputs.extend_from_slice(&row.inputs);
            batch.picks.extend_from_slice(&row.picks);
            reads_codes |= networks.members.len() > 1;
        } else if let Some(networks) = networks {
            number += networks.number(self.kernel, row, 0);
        }
        if forest.is_some() {
            batch.numbers.extend_from_slice(&row.numbers);
        }
        if reads_codes {
            batch.codes.extend_from_slice(&row.codes);
        }
        if let Some((rates, gain)) = rates {
            number += gain * rates.of(row.key);
        }
        batch.scores.push(number);
    }

    /// The score of each row that was put into the batch since it was last scored, in their order. The batch is empty then.
    ///
    /// # Panics
    /// If the batch is another scorer's.
    pub fn score_batch<'b>(&self, batch: &'b mut Batch) -> &'b [f64] {
        let rows = std::mem::take(&mut batch.rows);
        let Batch { inputs, picks, codes, numbers, networks: buffers, scores, margins, .. } = batch;
        if rows == 0 {
            scores.clear();
        }
        if let (Some(networks), Some(buffers)) = (self.networks_by_matrices(), buffers) {
            let sums = networks.sums(self, rows, (inputs, picks), codes, buffers);
            scores.iter_mut().zip(sums).for_each(|(score, sum)| *score += sum);
        }
        if let Some((forest, gain)) = &self.engine.forest {
            margins.resize(rows, 0.0);
            forest.margins(0, &Rows::new(rows, numbers, codes), margins);
            scores.iter_mut().zip(&*margins).for_each(|(score, margin)| *score += gain * margin);
        }
        scores.iter_mut().for_each(|score| *score = self.finish(*score));
        inputs.clear();
        picks.clear();
        codes.clear();
        numbers.clear();
        scores
    }
}

impl Networks {
    /// The first output of each row, averaged over the members.
    fn sums<'b>(
        &self,
        scorer: &Scorer,
        rows: usize,
        (inputs, picks): (&mut [f32], &[Pick]),
        codes: &[u32],
        OfNetworks { scratch, logits, sums }: &'b mut OfNetworks,
    ) -> &'b [f64] {
        let (logits, sums) = (&mut logits[..rows], &mut sums[..rows]);
        for (m, (member, scratch)) in self.members.iter().zip(scratch).enumerate() {
            if m > 0 {
                self.embed_rows(m, inputs, codes);
            }
            scorer.kernel.logits(&member.heads[0].0, inputs, picks, scratch, logits);
            for (sum, logit) in sums.iter_mut().zip(&*logits) {
                *sum = if m == 0 { f64::from(*logit) } else { *sum + f64::from(*logit) };
            }
        }
        sums
    }

    fn embed_rows(&self, member: usize, inputs: &mut [f32], codes: &[u32]) {
        if self.places.is_empty() {
            return;
        }
        for (inputs, codes) in inputs.chunks_exact_mut(self.width).zip(codes.chunks_exact(self.places.len()))
        {
            for (category, code) in codes.iter().enumerate() {
                self.embed(member, category, *code, inputs);
            }
        }
    }
}
