//! A network in libtorch: embeddings, then cross layers and hidden layers side by side, then the last layer. See
//! [`model::Network`] for what it computes.
//!
//! All parameters lie in one flat tensor and the layers are views of it, so that the optimizer updates them with a
//! handful of operations, whatever their number.

use super::noise::Noise;
use crate::error::TrainerError;
use model::network::{Cross, Dense};
use model::{Network, Recipe};
use ndarray::{Array1, Array2};
use tch::{Device, Kind, TchError, Tensor};

/// Standard deviation of an embedding before training.
const EMBEDDING_SPREAD: f64 = 0.05;

/// What a network is made of, besides what its recipe says.
#[derive(Debug, Clone)]
pub struct Shape {
    pub crosses: usize,
    pub rank: usize,
    pub hidden: Vec<usize>,
    pub outputs: usize,
}

/// A network on a device.
pub struct Net {
    flat: Tensor,
    /// Views of `flat`, each a leaf of the gradient graph: the embedding tables; down, up and bias of each cross layer;
    /// weight and bias of each linear layer.
    leaves: Vec<Tensor>,
    shapes: Vec<Vec<i64>>,
    embeddings: usize,
    crosses: usize,
}

/// A block of encoded rows on a device.
pub struct Rows {
    /// Shape (rows, dense width).
    pub dense: Tensor,
    /// Shape (categories, rows).
    pub ids: Tensor,
}

/// How a part of the parameters begins.
enum Start {
    Normal,
    /// Within this of 0.
    Uniform(f64),
    Zero,
}

impl Net {
    /// Embeddings from a normal distribution; linear layers from the uniform distribution that PyTorch's `nn.Linear`
    /// starts with (He et al. 2015 with a = sqrt(5): within 1 / sqrt(inputs)). Drawn on the CPU, so that every device
    /// starts from the same numbers.
    pub fn new(recipe: &Recipe, shape: &Shape, device: Device) -> Result<Self, TchError> {
        let plan = plan(recipe, shape);
        let parts = plan.iter().map(draw).collect::<Result<Vec<_>, _>>()?;
        let flat = Tensor::f_cat(&parts, 0)?.f_to(device)?;
        let shapes = plan.into_iter().map(|(shape, _)| shape).collect();
        Self::over(flat, shapes, recipe.categories().len(), shape.crosses)
    }

    /// How many parameters a network would have.
    pub fn size(recipe: &Recipe, shape: &Shape) -> i64 {
        plan(recipe, shape).iter().map(|(shape, _)| shape.iter().product::<i64>()).sum()
    }

    fn over(
        flat: Tensor,
        shapes: Vec<Vec<i64>>,
        embeddings: usize,
        crosses: usize,
    ) -> Result<Self, TchError> {
        let leaf = |view: Tensor| view.f_set_requires_grad(true);
        let leaves = views(&flat, &shapes)?.into_iter().map(leaf).collect::<Result<_, _>>()?;
        Ok(Self { flat, leaves, shapes, embeddings, crosses })
    }

    /// The same parameters, with leaves of its own: for another thread.
    pub fn share(&self) -> Result<Self, TchError> {
        Self::over(self.flat(), self.shapes.clone(), self.embeddings, self.crosses)
    }

    /// Every parameter, one after the other. To be changed without gradients only.
    pub fn flat(&self) -> Tensor {
        self.flat.shallow_clone()
    }

    pub fn leaves(&self) -> &[Tensor] {
        &self.leaves
    }

    /// Views of a tensor that is like [`Net::flat`], one for each leaf.
    pub fn views_of(&self, flat: &Tensor) -> Result<Vec<Tensor>, TchError> {
        views(flat, &self.shapes)
    }

    pub fn device(&self) -> Device {
        self.flat.device()
    }

    pub fn parameters(&self) -> usize {
        self.flat.numel()
    }

    /// Sets every parameter.
    pub fn restore(&mut self, flat: &Tensor) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        self.flat.f_copy_(flat)
    }

    /// The outputs of each row, shape (rows, outputs). `noise` drops hidden units; there is none outside training.
    pub fn outputs(&self, rows: &Rows, noise: Option<&mut Noise>) -> Result<Tensor, TchError> {
        let (tables, rest) = self.leaves.split_at(self.embeddings);
        let (crosses, layers) = rest.split_at(3 * self.crosses);
        let mut parts = vec![rows.dense.shallow_clone()];
        for (index, table) in tables.iter().enumerate() {
            let ids = rows.ids.f_select(0, index as i64)?;
            parts.push(Tensor::f_embedding(table, &ids, -1, false, false)?);
        }
        let input = if parts.len() == 1 { rows.dense.shallow_clone() } else { Tensor::f_cat(&parts, 1)? };
        let (hidden, last) = layers.split_at(layers.len() - 2);
        let deep = deep(&input, hidden, noise)?;
        let read = match (crosses.is_empty(), hidden.is_empty()) {
            (true, _) => deep,
            (false, true) => crossed(&input, crosses)?,
            (false, false) => Tensor::f_cat(&[crossed(&input, crosses)?, deep], 1)?,
        };
        read.f_linear(&last[0], Some(&last[1]))
    }

    /// Adds to the bias of every output.
    pub fn shift(&mut self, by: f64) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        match self.leaves.last_mut() {
            Some(bias) => bias.f_add_scalar_(by).map(drop),
            None => Ok(()),
        }
    }

    /// The last layer's weights, as a view of the parameters.
    pub fn last_weights(&self) -> Tensor {
        self.leaves[self.leaves.len() - 2].detach()
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
        let (tables, rest) = self.leaves.split_at(self.embeddings);
        let (crosses, layers) = rest.split_at(3 * self.crosses);
        let cross = |cross: &[Tensor]| {
            let (down, up, bias) = (matrix(&cross[0])?, matrix(&cross[1])?, vector(&cross[2])?);
            Ok::<_, TrainerError>(Cross { down, up, bias })
        };
        let dense = |layer: &[Tensor]| {
            Ok::<_, TrainerError>(Dense { weight: matrix(&layer[0])?, bias: vector(&layer[1])? })
        };
        Ok(Network {
            embeddings: tables.iter().map(matrix).collect::<Result<_, _>>()?,
            crosses: crosses.chunks_exact(3).map(cross).collect::<Result<_, _>>()?,
            layers: layers.chunks_exact(2).map(dense).collect::<Result<_, _>>()?,
        })
    }
}

/// The leaves in their order, and how each begins.
fn plan(recipe: &Recipe, shape: &Shape) -> Vec<(Vec<i64>, Start)> {
    let (width, rank) = (recipe.width() as i64, shape.rank as i64);
    let uniform = |inputs: i64| Start::Uniform(1.0 / (inputs as f64).sqrt());
    let mut plan: Vec<(Vec<i64>, Start)> = Vec::new();
    for category in recipe.categories() {
        plan.push((vec![category.rows() as i64, category.dimension as i64], Start::Normal));
    }
    for _ in 0..shape.crosses {
        plan.push((vec![rank, width], uniform(width)));
        plan.push((vec![width, rank], uniform(rank)));
        plan.push((vec![width], Start::Zero));
    }
    let mut inputs = width;
    for hidden in shape.hidden.iter().map(|size| *size as i64) {
        plan.push((vec![hidden, inputs], uniform(inputs)));
        plan.push((vec![hidden], uniform(inputs)));
        inputs = hidden;
    }
    inputs = match (shape.crosses, shape.hidden.is_empty()) {
        (0, _) => inputs,
        (_, true) => width,
        (_, false) => width + inputs,
    };
    plan.push((vec![shape.outputs as i64, inputs], uniform(inputs)));
    plan.push((vec![shape.outputs as i64], uniform(inputs)));
    plan
}

fn draw((shape, start): &(Vec<i64>, Start)) -> Result<Tensor, TchError> {
    let mut part = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
    let drawn = match start {
        Start::Normal => part.f_normal_(0.0, EMBEDDING_SPREAD)?,
        Start::Uniform(bound) => part.f_uniform_(-bound, *bound)?,
        Start::Zero => part.f_zero_()?,
    };
    drawn.f_flatten(0, -1)
}

fn views(flat: &Tensor, shapes: &[Vec<i64>]) -> Result<Vec<Tensor>, TchError> {
    let mut start = 0;
    let view = |shape: &Vec<i64>| {
        let length = shape.iter().product();
        start += length;
        flat.f_narrow(0, start - length, length)?.f_view_(shape)
    };
    shapes.iter().map(view).collect()
}

fn crossed(input: &Tensor, crosses: &[Tensor]) -> Result<Tensor, TchError> {
    let mut x = input.shallow_clone();
    for cross in crosses.chunks_exact(3) {
        let up = x.f_linear(&cross[0], None::<Tensor>)?.f_linear(&cross[1], Some(&cross[2]))?;
        x = x.f_addcmul(input, &up)?;
    }
    Ok(x)
}

fn deep(input: &Tensor, hidden: &[Tensor], mut noise: Option<&mut Noise>) -> Result<Tensor, TchError> {
    let mut x = input.shallow_clone();
    for layer in hidden.chunks_exact(2) {
        x = x.f_linear(&layer[0], Some(&layer[1]))?.f_relu_()?;
        if let Some(noise) = &mut noise {
            x = noise.drop_some(x)?;
        }
    }
    Ok(x)
}

/// The values of a tensor, in C order.
pub fn floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let count = tensor.numel();
    let mut values = vec![0.0_f32; count];
    tensor.f_detach()?.f_to(Device::Cpu)?.f_contiguous()?.f_copy_data(&mut values, count)?;
    Ok(values)
}

fn vector(tensor: &Tensor) -> Result<Array1<f32>, TrainerError> {
    Ok(Array1::from_vec(floats(tensor)?))
}

fn matrix(tensor: &Tensor) -> Result<Array2<f32>, TrainerError> {
    let (rows, columns) = tensor.size2()?;
    Array2::from_shape_vec((rows as usize, columns as usize), floats(tensor)?)
        .map_err(|e| TrainerError::internal(e.to_string()))
}
