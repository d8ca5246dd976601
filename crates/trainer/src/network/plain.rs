//! Gradients of networks that are nothing but embeddings and layers with ReLU between them. The chain rule is written
//! out: this does what libtorch's automatic differentiation would do, in fewer steps, and in memory that is kept from
//! block to block.

use super::loss::Loss;
use super::net::Net;
use super::noise::Noise;
use super::rows::Rows;
use tch::{Kind, TchError, Tensor};

/// The memory that one thread keeps from block to block.
pub struct Plain {
    /// How many of the leaves are embedding tables; the others are the layers' weights and biases.
    tables: usize,
    /// Memory for the inputs of each layer, and for the gradient of the loss by them.
    inputs: Vec<Tensor>,
    slopes: Vec<Tensor>,
    /// The gradient of each layer's weights so far, transposed, since the product is faster in that shape.
    weights: Vec<Tensor>,
}

impl Plain {
    /// `None` if the network has other parts.
    pub fn new(net: &Net) -> Result<Option<Self>, TchError> {
        let Some(tables) = net.tables_if_plain() else { return Ok(None) };
        let layers = net.leaves()[tables..].chunks_exact(2);
        let transposed = |layer: &[Tensor]| layer[0].f_detach()?.f_tr()?.f_contiguous()?.f_zeros_like();
        let weights = layers.map(transposed).collect::<Result<Vec<_>, _>>()?;
        let none = || (0..weights.len()).map(|_| Tensor::f_empty([0, 0], (Kind::Float, net.device())));
        let (inputs, slopes) = (none().collect::<Result<_, _>>()?, none().collect::<Result<_, _>>()?);
        Ok(Some(Self { tables, inputs, slopes, weights }))
    }

    /// Adds the gradient of `loss / batch_rows` to `gradient`, which has a view for each leaf, and returns the loss; of the hidden
    /// units `noise` drops some. The gradients of the layers' weights are complete after [`Plain::finish`].
    pub fn add(
        &mut self,
        net: &Net,
        (rows, targets): (&Rows, &Tensor),
        loss: &Loss,
        batch_rows: i64,
        noise: &mut Noise,
        gradient: &mut [Tensor],
    ) -> Result<Tensor, TchError> {
        let (input, outputs) = self.outputs(net, rows, noise)?;
        let outputs = outputs.f_set_requires_grad(true)?;
        let loss = loss.of(&outputs, targets)?;
        let mean = loss.f_div_scalar(batch_rows as f64)?;
        let slope = Tensor::f_run_backward(&[mean], &[outputs], false, false)?.swap_remove(0);
        self.back(net, rows, &input, slope, noise.kept_share(), gradient)?;
        loss.f_detach()
    }

    /// The first layer's input, and the last one's output.
    fn outputs(&mut self, net: &Net, rows: &Rows, noise: &mut Noise) -> Result<(Tensor, Tensor), TchError> {
        let _guard = tch::no_grad_guard();
        let (tables, layers) = net.leaves().split_at(self.tables);
        let count = rows.dense.size2()?.0;
        let input = match tables.is_empty() {
            true => rows.dense.shallow_clone(),
            false => {
                let width = layers[0].size2()?.1;
                join(rows, tables, &room(&mut self.inputs[0], count, width)?)?
            }
        };
        let mut x = input.shallow_clone();
        let mut layers = layers.chunks_exact(2);
        let last = layers.next_back().unwrap_or_default();
        for (layer, into) in layers.zip(&mut self.inputs[1..]) {
            let y = room(into, count, layer[1].size1()?)?;
            x = noise.drop_some_in_place(layer[1].f_addmm_out(&y, &x, &layer[0].f_tr()?)?.f_relu_()?)?;
        }
        Ok((input, last[1].f_addmm(&x, &last[0].f_tr()?)?))
    }

    /// Backpropagation: carries the gradient by the outputs back to every leaf. A hidden unit that ReLU or dropout has set to 0
    /// passes nothing on, and the others were raised by the share that was kept.
    fn back(
        &mut self,
        net: &Net,
        rows: &Rows,
        input: &Tensor,
        mut slope: Tensor,
        kept_share: f64,
        gradient: &mut [Tensor],
    ) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        let count = rows.dense.size2()?.0;
        let layers = &net.leaves()[self.tables..];
        for n in (0..self.weights.len()).rev() {
            let x = match n {
                0 => input.shallow_clone(),
                _ => self.inputs[n].f_narrow(0, 0, count)?,
            };
            let _ = self.weights[n].f_addmm_(&x.f_tr()?, &slope)?;
            let sum = slope.f_sum_dim_intlist(0, false, None)?;
            let _ = gradient[self.tables + 2 * n + 1].f_add_(&sum)?;
            if n > 0 {
                let below = room(&mut self.slopes[n], count, x.size2()?.1)?;
                let _ = slope.f_mm_out(&below, &layers[2 * n])?;
                slope = x.f_threshold_backward_grad_input(&below, &below, 0.0)?;
                if kept_share < 1.0 {
                    slope = slope.f_div_scalar_(kept_share)?;
                }
            }
        }
        match self.tables {
            0 => Ok(()),
            tables => by_tables(rows, &slope, &layers[0], &mut gradient[..tables]),
        }
    }

    /// Adds the gradients of the layers' weights, which are kept here, to the gradient.
    pub fn finish(&mut self, gradient: &mut [Tensor]) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        for (weights, whole) in self.weights.iter_mut().zip(gradient[self.tables..].iter_mut().step_by(2)) {
            let _ = whole.f_add_(&weights.f_tr()?)?;
            weights.f_zero_().map(drop)?;
        }
        Ok(())
    }
}

/// The first rows of a tensor that is made larger if need be.
fn room(kept: &mut Tensor, rows: i64, width: i64) -> Result<Tensor, TchError> {
    if kept.size2()?.0 < rows || kept.size2()?.1 != width {
        *kept = Tensor::f_empty([rows, width], (Kind::Float, kept.device()))?;
    }
    kept.f_narrow(0, 0, rows)
}

/// Writes the input of the first layer: numbers and embeddings side by side.
fn join(rows: &Rows, tables: &[Tensor], into: &Tensor) -> Result<Tensor, TchError> {
    let mut parts = vec![rows.dense.shallow_clone()];
    for (index, table) in (0..).zip(tables) {
        parts.push(table.f_index_select(0, &rows.ids.f_select(0, index)?)?);
    }
    Tensor::f_cat_out(into, &parts, 1)
}

/// Adds the gradients by the embeddings of each row to those of their tables.
fn by_tables(rows: &Rows, slope: &Tensor, first: &Tensor, gradient: &mut [Tensor]) -> Result<(), TchError> {
    let (width, dense) = (first.size2()?.1, rows.dense.size2()?.1);
    let slope = slope.f_mm(&first.f_narrow(1, dense, width - dense)?)?;
    let mut at = 0;
    for (index, table) in (0..).zip(gradient) {
        let dimension = table.size2()?.1;
        let part = slope.f_narrow(1, at, dimension)?;
        let _ = table.f_index_add_(0, &rows.ids.f_select(0, index)?, &part)?;
        at += dimension;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::net::{floats, Learning, Shape};
    use super::*;
    use model::params::Precision;
    use model::recipe::{Category, Column, Family, Input, Recipe, Scaling};
    use model::Task;
    use tch::Device;

    fn recipe() -> Recipe {
        let column =
            |name: &str, family, input| Column { name: name.into(), sql_type: "any".into(), family, input };
        let category = Category { vocabulary: ["a", "b"].into_iter().collect(), dimension: 3 };
        let numbers = vec![Scaling { scale: 1.0, ..Scaling::default() }; 4];
        let columns = vec![
            column("numbers", Family::NumberArray, Input::Numbers(numbers)),
            column("first", Family::Text, Input::Category(category.clone())),
            column("second", Family::Text, Input::Category(category)),
        ];
        Recipe { columns }
    }

    fn block(rows: i64, seed: i64) -> (Rows, Tensor) {
        let dense =
            (Tensor::arange(4 * rows, (Kind::Float, Device::Cpu)) * 0.37 + seed as f64).sin().view([rows, 4]);
        let ids = Tensor::arange(2 * rows, (Kind::Int, Device::Cpu)).remainder(4).view([2, rows]);
        let targets = Tensor::arange(rows, (Kind::Float, Device::Cpu)).remainder(2.0);
        (Rows { dense, ids }, targets)
    }

    fn noise(block: u64, dropout: f64) -> Noise {
        Noise::new(1, block, dropout)
    }

    /// By libtorch's differentiation.
    fn differentiated(net: &Net, blocks: &[(Rows, Tensor)], loss: &Loss, dropout: f64) -> Vec<f32> {
        let mut total = Tensor::zeros([], (Kind::Float, Device::Cpu));
        for (number, (rows, targets)) in (0..).zip(blocks) {
            let noise = &mut noise(number, dropout);
            let learning = Learning { noise, precision: Precision::Float32 };
            total += loss.of(&net.outputs(rows, Some(learning)).unwrap(), targets).unwrap() / 20.0;
        }
        let gradients = Tensor::run_backward(&[total], net.leaves(), false, false);
        gradients.iter().flat_map(|gradient| floats(gradient).unwrap()).collect()
    }

    #[test]
    fn the_gradient_is_that_of_libtorch() {
        for (task, hidden, dropout) in [
            (Task::Binary, vec![], 0.0),
            (Task::Binary, vec![6], 0.0),
            (Task::Binary, vec![9], 0.5),
            (Task::Regression, vec![7, 5], 0.0),
            (Task::Regression, vec![7, 5], 0.25),
        ] {
            let shape = Shape {
                crosses: 0,
                rank: 1,
                hidden,
                batch_norm: false,
                outputs: task.outputs(),
                training_rows: 0,
            };
            let net = Net::new(&recipe(), &shape, 4, Device::Cpu).unwrap();
            let loss = Loss::new(task, if task == Task::Binary { 2.0 } else { 1.0 }, Device::Cpu).unwrap();
            // The second block is smaller: what is kept of the first must not show.
            let blocks = [block(12, 1), block(5, 2)];
            let flat = net.flat().zeros_like();
            let mut gradient = net.views_of(&flat).unwrap();
            let mut plain = Plain::new(&net).unwrap().unwrap();
            let mut total = 0.0;
            for (number, (rows, targets)) in (0..).zip(&blocks) {
                let noise = &mut noise(number, dropout);
                let loss = plain.add(&net, (rows, targets), &loss, 20, noise, &mut gradient).unwrap();
                total += loss.double_value(&[]);
            }
            plain.finish(&mut gradient).unwrap();
            let expected = differentiated(&net, &blocks, &loss, dropout);
            let found = floats(&flat).unwrap();
            assert!(expected.iter().any(|slope| slope.abs() > 0.01) && total > 0.0);
            let near = expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near, "{task:?} {dropout}: {expected:?} {found:?}");
        }
    }

    #[test]
    fn other_networks_are_left_to_libtorch() {
        let shape =
            Shape { crosses: 1, rank: 1, hidden: vec![3], batch_norm: false, outputs: 1, training_rows: 0 };
        let net = Net::new(&recipe(), &shape, 4, Device::Cpu).unwrap();
        assert!(Plain::new(&net).unwrap().is_none());
    }
}
