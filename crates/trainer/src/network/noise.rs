//! The randomness of a training step: dropout, and categories that are replaced by "never seen". It depends on the
//! seed, and not on the number of threads.

use super::rows::Rows;
use model::recipe::UNSEEN;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, TchError, Tensor};

/// The share of categories that a training batch replaces by "never seen", so that its embedding is trained as well.
const UNSEEN_SHARE: f64 = 0.02;

/// The randomness of one block of one step.
pub struct Noise {
    random: ChaCha8Rng,
    dropout: f64,
}

impl Noise {
    /// `block` numbers the blocks of all steps.
    pub fn new(seed: u64, block: u64, dropout: f64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(block);
        Self { random, dropout }
    }

    /// Dropout (Srivastava et al. 2014): sets some hidden units to 0 and raises the others, so that the mean stays.
    pub fn drop_some(&mut self, x: Tensor) -> Result<Tensor, TchError> {
        match self.factors(&x)? {
            Some(factors) => x.f_mul(&factors),
            None => Ok(x),
        }
    }

    /// The same in the memory of `x`, which libtorch's differentiation does not allow.
    pub fn drop_some_in_place(&mut self, mut x: Tensor) -> Result<Tensor, TchError> {
        match self.factors(&x)? {
            Some(factors) => x.f_mul_(&factors),
            None => Ok(x),
        }
    }

    fn factors(&mut self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        if self.dropout == 0.0 {
            return Ok(None);
        }
        let kept = self.chosen(&x.size(), self.kept_share(), x.device())?;
        kept.f_div_scalar(self.kept_share()).map(Some)
    }

    /// The share of the hidden units that are kept.
    pub fn kept_share(&self) -> f64 {
        1.0 - self.dropout
    }

    /// Replaces a few categories by "never seen".
    pub fn forget_some(&mut self, rows: &mut Rows) -> Result<(), TchError> {
        if !rows.has_categories() {
            return Ok(());
        }
        let forgotten = self.chosen(&rows.ids.size(), UNSEEN_SHARE, rows.ids.device())?;
        rows.ids = rows.ids.f_masked_fill(&forgotten.f_to_kind(Kind::Bool)?, i64::from(UNSEEN))?;
        Ok(())
    }

    /// A tensor with 1 in a random share of the elements and 0 in the others. A GPU draws the random numbers itself.
    fn chosen(&mut self, shape: &[i64], share: f64, device: Device) -> Result<Tensor, TchError> {
        if device != Device::Cpu {
            return Tensor::f_empty(shape, (Kind::Float, device))?.f_bernoulli_float_(share);
        }
        let count = shape.iter().product::<i64>() as usize;
        let mut bytes = vec![0; 2 * count];
        self.random.fill_bytes(&mut bytes);
        let below = (share * f64::from(u16::MAX)).round() as u16;
        let chosen = |pair: &[u8]| f32::from(u8::from(u16::from_le_bytes([pair[0], pair[1]]) < below));
        Tensor::f_from_slice(&bytes.chunks_exact(2).map(chosen).collect::<Vec<_>>())?.f_view_(shape)
    }
}
