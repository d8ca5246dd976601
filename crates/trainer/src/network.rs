//! The network in libtorch: embeddings, linear layers with ReLU and dropout between them, one logit.
//!
//! All parameters lie in one flat tensor and the layers are views of it, so that the optimizer updates them with a
//! handful of operations, whatever their number.

use crate::error::TrainerError;
use model::network::Dense;
use model::{Network, Recipe};
use ndarray::{Array1, Array2};
use tch::{Device, Kind, TchError, Tensor};

/// Standard deviation of an embedding before training.
const EMBEDDING_SPREAD: f64 = 0.05;

/// A network on a device.
pub struct Net {
    flat: Tensor,
    /// Views of `flat`, each a leaf of the gradient graph: the embedding tables, then weight and bias of each layer.
    leaves: Vec<Tensor>,
    embeddings: usize,
}

/// A block of encoded rows on a device.
pub struct Rows {
    /// Shape (rows, dense width).
    pub dense: Tensor,
    /// Shape (categories, rows).
    pub ids: Tensor,
}

impl Net {
    /// Embeddings from a normal distribution; linear layers from the uniform distribution that PyTorch's `nn.Linear`
    /// starts with (He et al. 2015 with a = sqrt(5): within 1 / sqrt(inputs)). Drawn on the CPU, so that every device
    /// starts from the same numbers.
    pub fn new(recipe: &Recipe, hidden: &[usize], device: Device) -> Result<Self, TchError> {
        let mut shapes: Vec<Vec<i64>> =
            recipe.categories().iter().map(|c| vec![c.rows() as i64, c.dimension as i64]).collect();
        let embeddings = shapes.len();
        let mut parts = Vec::new();
        for shape in &shapes {
            let mut table = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
            parts.push(table.f_normal_(0.0, EMBEDDING_SPREAD)?.f_flatten(0, -1)?);
        }
        let mut inputs = recipe.width() as i64;
        for outputs in hidden.iter().map(|size| *size as i64).chain([1]) {
            let bound = 1.0 / (inputs as f64).sqrt();
            for shape in [vec![outputs, inputs], vec![outputs]] {
                let mut part = Tensor::f_empty(&shape, (Kind::Float, Device::Cpu))?;
                parts.push(part.f_uniform_(-bound, bound)?.f_flatten(0, -1)?);
                shapes.push(shape);
            }
            inputs = outputs;
        }
        let flat = Tensor::f_cat(&parts, 0)?.f_to(device)?;
        let mut leaves = Vec::new();
        let mut start = 0;
        for shape in shapes {
            let length = shape.iter().product();
            leaves.push(flat.f_narrow(0, start, length)?.f_view_(&shape)?.f_set_requires_grad(true)?);
            start += length;
        }
        Ok(Self { flat, leaves, embeddings })
    }

    /// Every parameter, one after the other. To be changed without gradients only.
    pub fn flat(&self) -> Tensor {
        self.flat.shallow_clone()
    }

    pub fn leaves(&self) -> &[Tensor] {
        &self.leaves
    }

    pub fn device(&self) -> Device {
        self.flat.device()
    }

    /// Sets every parameter.
    pub fn restore(&mut self, flat: &Tensor) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        self.flat.f_copy_(flat)
    }

    /// The logit of each row. `dropout` is the share of hidden units to drop; 0 outside training.
    pub fn logits(&self, rows: &Rows, dropout: f64) -> Result<Tensor, TchError> {
        let (tables, layers) = self.leaves.split_at(self.embeddings);
        let mut parts = vec![rows.dense.shallow_clone()];
        for (index, table) in tables.iter().enumerate() {
            let ids = rows.ids.f_select(0, index as i64)?;
            parts.push(Tensor::f_embedding(table, &ids, -1, false, false)?);
        }
        let mut x = if parts.len() == 1 { rows.dense.shallow_clone() } else { Tensor::f_cat(&parts, 1)? };
        let last = layers.len() / 2 - 1;
        for (index, layer) in layers.chunks_exact(2).enumerate() {
            x = x.f_linear(&layer[0], Some(&layer[1]))?;
            if index < last {
                x = x.f_relu_()?;
                if dropout > 0.0 {
                    x = x.f_dropout(dropout, true)?;
                }
            }
        }
        x.f_squeeze_dim(1)
    }

    /// Gives NULL the embedding of an unseen value where training never saw NULL.
    pub fn alias_unseen_nulls(&mut self, null_seen: &[bool]) -> Result<(), TchError> {
        use model::recipe::{NULL, UNSEEN};
        let _guard = tch::no_grad_guard();
        for (table, seen) in self.leaves[..self.embeddings].iter().zip(null_seen) {
            if !seen {
                table.f_get(i64::from(NULL))?.f_copy_(&table.f_get(i64::from(UNSEEN))?)?;
            }
        }
        Ok(())
    }

    /// The weights as the artifact keeps them.
    pub fn export(&self) -> Result<Network, TrainerError> {
        let (tables, layers) = self.leaves.split_at(self.embeddings);
        let embeddings = tables.iter().map(matrix).collect::<Result<_, _>>()?;
        let dense = |layer: &[Tensor]| {
            Ok::<_, TrainerError>(Dense {
                weight: matrix(&layer[0])?,
                bias: Array1::from_vec(floats(&layer[1])?),
            })
        };
        Ok(Network { embeddings, layers: layers.chunks_exact(2).map(dense).collect::<Result<_, _>>()? })
    }
}

/// The values of a tensor, in C order.
pub fn floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let count = tensor.numel();
    let mut values = vec![0.0_f32; count];
    tensor.f_detach()?.f_to(Device::Cpu)?.f_contiguous()?.f_copy_data(&mut values, count)?;
    Ok(values)
}

fn matrix(tensor: &Tensor) -> Result<Array2<f32>, TrainerError> {
    let (rows, columns) = tensor.size2()?;
    Array2::from_shape_vec((rows as usize, columns as usize), floats(tensor)?)
        .map_err(|e| TrainerError::internal(e.to_string()))
}
