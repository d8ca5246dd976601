//! A network in libtorch: embeddings, then cross layers and hidden layers side by side, then the last layer. See
//! [`model::Network`] for what it computes.
//!
//! All parameters lie in one flat tensor and the layers are views of it, so that the optimizer updates them with a
//! handful of operations, whatever their number.

use super::noise::Noise;
use super::rows::Rows;
use crate::error::TrainerError;
use crate::precision::linear;
use crate::random::seeded;
use model::network::{Cross, Dense};
use model::params::Precision;
use model::recipe::Category;
use model::{Network, Recipe};
use ndarray::{Array1, Array2};
use tch::{Device, Kind, TchError, Tensor};

/// How fast the running statistics of batch normalization (Ioffe and Szegedy 2015) follow the batches; PyTorch's
/// default.
const MOMENTUM: f64 = 0.1;
/// What batch normalization adds to a variance; PyTorch's default.
const EPSILON: f64 = 1e-5;
/// A block of fewer rows is normalized by the running statistics.
const FEWEST_ROWS: i64 = 16;

/// Standard deviation of an embedding before training, of a column whose values have few training rows each. Small ones hardly move a
/// row whose value is rare, and are learned from its few rows.
const FEW_ROWS_SPREAD: f64 = 0.05;
/// The same of a column whose values have many. Small ones would be learned by heart within an epoch; these begin as random
/// features, which the layers above learn to read and which change slowly. On real sales that is worth 0.007 of the AUROC.
const MANY_ROWS_SPREAD: f64 = 1.0;
/// So many training rows for a value on average are many.
const MANY_ROWS: usize = 1000;

/// What a network is made of, besides what its recipe says.
#[derive(Debug, Clone)]
pub struct Shape {
    pub crosses: usize,
    pub rank: usize,
    pub hidden: Vec<usize>,
    /// Whether the outputs of a hidden layer are normalized before ReLU.
    pub batch_norm: bool,
    pub outputs: usize,
    /// How many rows it will be trained on.
    pub training_rows: usize,
}

/// What a forward pass needs in addition while the network learns.
pub struct Learning<'a> {
    pub noise: &'a mut Noise,
    pub precision: Precision,
}

/// A network on a device.
pub struct Net {
    flat: Tensor,
    /// Views of `flat`, each a leaf of the gradient graph: the embedding tables; down, up and bias of each cross layer;
    /// weight and bias of each hidden layer, and scale and offset of its normalization if there is one; weight and bias of
    /// the last layer.
    leaves: Vec<Tensor>,
    /// Running mean and variance of each normalized layer, one after the other, and views of them.
    statistics: Tensor,
    running: Vec<Tensor>,
    layout: LeafLayout,
}

/// Which leaf is what.
#[derive(Clone)]
struct LeafLayout {
    shapes: Vec<Vec<i64>>,
    embeddings: usize,
    crosses: usize,
    /// Leaves of a hidden layer: 2, or 4 with normalization.
    per_hidden: usize,
}

/// The leaves by what they are.
struct Leaves<'a> {
    tables: &'a [Tensor],
    crosses: &'a [Tensor],
    hidden: &'a [Tensor],
    last: &'a [Tensor],
}

/// The initial values of a part of the parameters.
enum Start {
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform between minus and plus this.
    Uniform(f64),
    Zero,
    One,
}

impl Net {
    /// A network with random parameters. Embeddings are drawn from a normal distribution, linear layers from the
    /// uniform distribution that PyTorch's `nn.Linear` starts with (He et al. 2015 with a = sqrt(5): within 1 /
    /// sqrt(inputs)). They are drawn on the CPU, so that every device starts from the same numbers.
    pub fn new(recipe: &Recipe, shape: &Shape, seed: u64, device: Device) -> Result<Self, TchError> {
        let plan = plan(recipe, shape);
        let parts = seeded(seed, || plan.iter().map(draw).collect::<Result<Vec<_>, _>>())?;
        let flat = Tensor::f_cat(&parts, 0)?.f_to(device)?;
        let layout = LeafLayout {
            shapes: plan.into_iter().map(|(shape, _)| shape).collect(),
            embeddings: recipe.categories().len(),
            crosses: shape.crosses,
            per_hidden: if shape.batch_norm { 4 } else { 2 },
        };
        let mut statistics = Vec::new();
        for hidden in shape.hidden.iter().filter(|_| shape.batch_norm) {
            statistics.push(Tensor::f_zeros([*hidden as i64], (Kind::Float, device))?);
            statistics.push(Tensor::f_ones([*hidden as i64], (Kind::Float, device))?);
        }
        let statistics = match statistics.is_empty() {
            true => Tensor::f_empty([0], (Kind::Float, device))?,
            false => Tensor::f_cat(&statistics, 0)?,
        };
        Self::over(flat, statistics, layout)
    }

    /// How many parameters a network would have.
    pub fn size(recipe: &Recipe, shape: &Shape) -> i64 {
        plan(recipe, shape).iter().map(|(shape, _)| shape.iter().product::<i64>()).sum()
    }

    fn over(flat: Tensor, statistics: Tensor, layout: LeafLayout) -> Result<Self, TchError> {
        let leaf = |view: Tensor| view.f_set_requires_grad(true);
        let leaves: Vec<Tensor> =
            views(&flat, &layout.shapes)?.into_iter().map(leaf).collect::<Result<_, _>>()?;
        let hidden = layout.split(&leaves).hidden;
        let widths = hidden.chunks_exact(layout.per_hidden).filter(|_| layout.per_hidden == 4);
        let shapes: Vec<_> = widths.flat_map(|layer| [layer[1].size(), layer[1].size()]).collect();
        let running = views(&statistics, &shapes)?;
        Ok(Self { flat, leaves, statistics, running, layout })
    }

    /// A network for another thread: with the same parameters, and leaves and statistics of its own.
    pub fn share(&self) -> Result<Self, TchError> {
        Self::over(self.flat(), self.statistics.f_detach_copy()?, self.layout.clone())
    }

    /// Another network with the same parameters and statistics.
    pub fn copy(&self) -> Result<Self, TchError> {
        Self::over(self.flat.f_detach_copy()?, self.statistics.f_detach_copy()?, self.layout.clone())
    }

    /// Whether hidden layers are normalized.
    pub fn is_normalized(&self) -> bool {
        !self.running.is_empty()
    }

    /// All parameters as one flat tensor, which may only be changed while gradients are not recorded.
    pub fn flat(&self) -> Tensor {
        self.flat.shallow_clone()
    }

    pub fn leaves(&self) -> &[Tensor] {
        &self.leaves
    }

    /// Views of a tensor that is like [`Net::flat`], one for each leaf.
    pub fn views_of(&self, flat: &Tensor) -> Result<Vec<Tensor>, TchError> {
        views(flat, &self.layout.shapes)
    }

    /// The number of embedding tables among the leaves, if the network has nothing but embeddings and plain layers.
    pub fn tables_if_plain(&self) -> Option<usize> {
        (self.layout.crosses == 0 && self.layout.per_hidden == 2).then_some(self.layout.embeddings)
    }

    pub fn device(&self) -> Device {
        self.flat.device()
    }

    pub fn parameters(&self) -> usize {
        self.flat.numel()
    }

    /// Parameters and statistics as they are now.
    pub fn snapshot(&self) -> Result<(Tensor, Tensor), TchError> {
        Ok((self.flat.f_detach_copy()?, self.statistics.f_detach_copy()?))
    }

    /// Sets every parameter and statistic.
    pub fn restore(&mut self, (flat, statistics): &(Tensor, Tensor)) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        self.flat.f_copy_(flat)?;
        self.statistics.f_copy_(statistics)
    }

    /// Sets the statistics to the mean of those that the other networks have gathered.
    pub fn average_statistics(&self, others: &[&Net]) -> Result<(), TchError> {
        let all: Vec<&Tensor> = others.iter().map(|net| &net.statistics).collect();
        match self.is_normalized() {
            false => Ok(()),
            true => self.statistics.shallow_clone().f_copy_(&Tensor::f_stack(&all, 0)?.f_mean_dim(
                0,
                false,
                Kind::Float,
            )?),
        }
    }

    /// The outputs of each row, shape (rows, outputs).
    pub fn outputs(&self, rows: &Rows, mut learning: Option<Learning>) -> Result<Tensor, TchError> {
        let Leaves { tables, crosses, hidden, last } = self.layout.split(&self.leaves);
        let precision = learning.as_ref().map_or(Precision::Float32, |learning| learning.precision);
        let mut parts = vec![rows.dense.shallow_clone()];
        for (index, table) in tables.iter().enumerate() {
            let ids = rows.ids.f_select(0, index as i64)?;
            parts.push(Tensor::f_embedding(table, &ids, -1, false, false)?);
        }
        let input = if parts.len() == 1 { rows.dense.shallow_clone() } else { Tensor::f_cat(&parts, 1)? };
        let deep = self.deep(&input, hidden, &mut learning)?;
        let crossed = || crossed(&input, crosses, precision);
        let read = match (crosses.is_empty(), hidden.is_empty()) {
            (true, _) => deep,
            (false, true) => crossed()?,
            (false, false) => Tensor::f_cat(&[crossed()?, deep], 1)?,
        };
        linear(precision, &read, &last[0], Some(&last[1]))
    }

    fn deep(
        &self,
        input: &Tensor,
        hidden: &[Tensor],
        learning: &mut Option<Learning>,
    ) -> Result<Tensor, TchError> {
        let precision = learning.as_ref().map_or(Precision::Float32, |learning| learning.precision);
        let batch = learning.is_some() && input.size2()?.0 >= FEWEST_ROWS;
        let mut x = input.shallow_clone();
        for (n, layer) in hidden.chunks_exact(self.layout.per_hidden).enumerate() {
            x = linear(precision, &x, &layer[0], Some(&layer[1]))?;
            if let [_, _, scale, offset] = layer {
                let (mean, variance) = (&self.running[2 * n], &self.running[2 * n + 1]);
                x = x.f_batch_norm(
                    Some(scale),
                    Some(offset),
                    Some(mean),
                    Some(variance),
                    batch,
                    MOMENTUM,
                    EPSILON,
                    true,
                )?;
            }
            x = x.f_relu_()?;
            if let Some(learning) = learning {
                x = learning.noise.drop_some(x)?;
            }
        }
        Ok(x)
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
        for (table, seen) in self.leaves[..self.layout.embeddings].iter().zip(null_seen) {
            if !seen {
                table.f_get(i64::from(NULL))?.f_copy_(&table.f_get(i64::from(UNSEEN))?)?;
            }
        }
        Ok(())
    }

    /// The weights as the artifact keeps them.
    pub fn export(&self) -> Result<Network, TrainerError> {
        let Leaves { tables, crosses, hidden, last } = self.layout.split(&self.leaves);
        let cross = |cross: &[Tensor]| {
            let (down, up, bias) = (matrix(&cross[0])?, matrix(&cross[1])?, vector(&cross[2])?);
            Ok::<_, TrainerError>(Cross { down, up, bias })
        };
        let hidden = hidden.chunks_exact(self.layout.per_hidden).enumerate();
        let mut layers = hidden.map(|(n, layer)| self.hidden(n, layer)).collect::<Result<Vec<_>, _>>()?;
        layers.push(Dense { weight: matrix(&last[0])?, bias: vector(&last[1])? });
        Ok(Network {
            activations: Vec::new(),
            embeddings: tables.iter().map(matrix).collect::<Result<_, _>>()?,
            crosses: crosses.chunks_exact(3).map(cross).collect::<Result<_, _>>()?,
            layers,
        })
    }

    /// A hidden layer with its normalization folded in, in double precision.
    fn hidden(&self, n: usize, layer: &[Tensor]) -> Result<Dense, TrainerError> {
        let [weight, bias, scale, offset] = layer else {
            return Ok(Dense { weight: matrix(&layer[0])?, bias: vector(&layer[1])? });
        };
        let double = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(Kind::Double);
        let (mean, variance) = (double(&self.running[2 * n])?, double(&self.running[2 * n + 1])?);
        let gain = double(scale)?.f_div(&variance.f_add_scalar(EPSILON)?.f_sqrt()?)?;
        let single = |tensor: Tensor| tensor.f_to_kind(Kind::Float);
        let weight = double(weight)?.f_mul(&gain.f_unsqueeze(1)?)?;
        let bias = double(bias)?.f_sub(&mean)?.f_mul(&gain)?.f_add(&double(offset)?)?;
        Ok(Dense { weight: matrix(&single(weight)?)?, bias: vector(&single(bias)?)? })
    }
}

impl LeafLayout {
    fn split<'a>(&self, leaves: &'a [Tensor]) -> Leaves<'a> {
        let (tables, rest) = leaves.split_at(self.embeddings);
        let (crosses, layers) = rest.split_at(3 * self.crosses);
        let (hidden, last) = layers.split_at(layers.len() - 2);
        Leaves { tables, crosses, hidden, last }
    }
}

/// The standard deviation that an embedding has before training on so many rows.
pub fn spread(category: &Category, training_rows: usize) -> f64 {
    match training_rows / category.rows() {
        MANY_ROWS.. => MANY_ROWS_SPREAD,
        _ => FEW_ROWS_SPREAD,
    }
}

/// The shape of each leaf, in order, and its initial values.
fn plan(recipe: &Recipe, shape: &Shape) -> Vec<(Vec<i64>, Start)> {
    let (width, rank) = (recipe.width() as i64, shape.rank as i64);
    let uniform = |inputs: i64| Start::Uniform(1.0 / (inputs as f64).sqrt());
    let mut plan: Vec<(Vec<i64>, Start)> = Vec::new();
    for category in recipe.categories() {
        let spread = spread(category, shape.training_rows);
        plan.push((vec![category.rows() as i64, category.dimension as i64], Start::Normal(spread)));
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
        if shape.batch_norm {
            plan.push((vec![hidden], Start::One));
            plan.push((vec![hidden], Start::Zero));
        }
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
        Start::Normal(spread) => part.f_normal_(0.0, *spread)?,
        Start::Uniform(bound) => part.f_uniform_(-bound, *bound)?,
        Start::Zero => part.f_zero_()?,
        Start::One => part.f_fill_(1.0)?,
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

fn crossed(input: &Tensor, crosses: &[Tensor], precision: Precision) -> Result<Tensor, TchError> {
    let mut x = input.shallow_clone();
    for cross in crosses.chunks_exact(3) {
        let down = linear(precision, &x, &cross[0], None)?;
        let up = linear(precision, &down, &cross[1], Some(&cross[2]))?;
        x = x.f_addcmul(input, &up)?;
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
