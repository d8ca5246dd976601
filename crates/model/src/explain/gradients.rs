//! Integrated gradients of a network (Sundararajan, Taly and Yan 2017): the gradient of its first output, averaged along
//! the straight line from one input to another, times the step. The results, one for each input, add up to the difference
//! that the network makes of the two.
//!
//! Nobody has to choose a number of steps. Along a line the output of the hidden layers is made of straight pieces,
//! each of which ends where a unit opens or closes (a kink). The gradient is constant between two kinks, so that the
//! walk goes from kink to kink. The output of the cross layers is a polynomial, which the Gauss-Legendre rule averages
//! exactly. With other activations than ReLU the hidden layers are averaged by that rule too, on short stretches of the line.

use crate::score::network::{Cross, Dense, Network, MAX_CROSSES};
use ndarray::{Array2, ArrayView1};

/// A piece shorter than this share of the line is taken together with the next one.
const SHORTEST: f64 = 1e-9;
/// Multiplications of a walk after which the rest of the line is taken in [`LAST_PIECES`] pieces that ignore kinks: about
/// a third of a second.
const MOST_WORK: usize = 1 << 31;
const LAST_PIECES: f64 = 64.0;

/// The integrated gradients of the first output from one input to another. `pause` is called now and then.
///
/// # Panics
/// If the network does not pass [`Network::check`], or the inputs do not have its width.
pub fn integrated_gradients(
    network: &Network,
    from: &[f64],
    to: &[f64],
    pause: &mut dyn FnMut(),
) -> Vec<f64> {
    let step: Vec<f64> = from.iter().zip(to).map(|(from, to)| to - from).collect();
    let (last, hidden) = network.layers.split_last().expect("a network has a last layer");
    let weights: Vec<f64> = last.weight.row(0).iter().map(|w| f64::from(*w)).collect();
    let crossed = if network.crosses.is_empty() { 0 } else { from.len() };
    let (of_crossed, of_hidden) = weights.split_at(crossed);
    let mut gradient = match hidden.split_first() {
        Some(_) if !network.activations.is_empty() => smooth_gradient(network, of_hidden, from, &step, pause),
        Some((first, deeper)) => Line::new(first, deeper, of_hidden, from, &step).gradient(pause),
        None if network.crosses.is_empty() => of_hidden.to_vec(),
        None => vec![0.0; from.len()],
    };
    if !network.crosses.is_empty() {
        for (place, share) in GAUSS {
            pause();
            let at: Vec<f64> = from.iter().zip(&step).map(|(from, step)| from + place * step).collect();
            add_scaled(&mut gradient, share, &cross_gradient(&network.crosses, of_crossed, &at));
        }
    }
    gradient.iter().zip(step).map(|(gradient, step)| gradient * step).collect()
}

/// Places and shares of the Gauss-Legendre rule on the interval from 0 to 1: exact for polynomials up to degree 9. The
/// gradient along a line through n cross layers, times the step, has degree n.
const GAUSS: [(f64, f64); 5] = [
    (0.5, 0.284_444_444_444_444_4),
    (0.230_765_344_947_158_45, 0.239_314_335_249_683_24),
    (0.769_234_655_052_841_6, 0.239_314_335_249_683_24),
    (0.046_910_077_030_668, 0.118_463_442_528_094_54),
    (0.953_089_922_969_332, 0.118_463_442_528_094_54),
];
const _: () = assert!(MAX_CROSSES <= 9);

/// Stretches of the line on which the rule is applied where the activations are curves.
const STRETCHES: usize = 16;

/// The gradient of the weighted sum of the hidden layers' output, averaged along the line.
fn smooth_gradient(
    network: &Network,
    weights: &[f64],
    from: &[f64],
    step: &[f64],
    pause: &mut dyn FnMut(),
) -> Vec<f64> {
    let mut sum = vec![0.0; from.len()];
    for stretch in 0..STRETCHES {
        for (place, share) in GAUSS {
            pause();
            let place = (stretch as f64 + place) / STRETCHES as f64;
            let at: Vec<f64> = from.iter().zip(step).map(|(from, step)| from + place * step).collect();
            add_scaled(&mut sum, share / STRETCHES as f64, &hidden_gradient(network, weights, at));
        }
    }
    sum
}

/// The gradient, by the input, of the weighted sum of the hidden layers' output.
fn hidden_gradient(network: &Network, weights: &[f64], input: Vec<f64>) -> Vec<f64> {
    let hidden = &network.layers[..network.layers.len() - 1];
    let mut values = input;
    let mut slopes = Vec::new();
    for (k, layer) in hidden.iter().enumerate() {
        values = times(&layer.weight, &values);
        values.iter_mut().zip(&layer.bias).for_each(|(value, bias)| *value += f64::from(*bias));
        let activated = values.iter().map(|value| network.activation(k).with_slope(*value));
        let own;
        (values, own) = activated.unzip();
        slopes.push(own);
    }
    let mut gradient = weights.to_vec();
    for (layer, slopes) in hidden.iter().zip(slopes).rev() {
        let slopes: Vec<f64> = slopes;
        gradient.iter_mut().zip(slopes).for_each(|(gradient, slope)| *gradient *= slope);
        gradient = times_transposed(&layer.weight, &gradient);
    }
    gradient
}

/// The gradient, by the input, of the weighted sum of the cross layers' output.
fn cross_gradient(crosses: &[Cross], weights: &[f64], input: &[f64]) -> Vec<f64> {
    let mut crossed = input.to_vec();
    let mut inner = Vec::new();
    for Cross { down, up, bias } in crosses {
        let mut layer = times(up, &times(down, &crossed));
        layer.iter_mut().zip(bias).for_each(|(value, bias)| *value += f64::from(*bias));
        crossed = crossed.iter().zip(input).zip(&layer).map(|((x, x0), h)| x0 * h + x).collect();
        inner.push(layer);
    }
    let mut of_input = vec![0.0; input.len()];
    let mut gradient = weights.to_vec();
    for (Cross { down, up, .. }, layer) in crosses.iter().zip(&inner).rev() {
        let of_layer: Vec<f64> = gradient.iter().zip(input).map(|(gradient, x0)| gradient * x0).collect();
        of_input.iter_mut().zip(&gradient).zip(layer).for_each(|((sum, gradient), h)| *sum += gradient * h);
        add_scaled(&mut gradient, 1.0, &times_transposed(down, &times_transposed(up, &of_layer)));
    }
    add_scaled(&mut of_input, 1.0, &gradient);
    of_input
}

/// The hidden layers along a line.
struct Line<'a> {
    first: &'a Dense,
    deeper: &'a [Dense],
    /// The weights of the last layer for the output of the hidden layers.
    weights: &'a [f64],
    /// The sums that go into the units of the first layer at the start of the line, and how fast they change along it.
    start: Vec<f64>,
    slope: Vec<f64>,
}

/// One straight piece.
struct LinePiece {
    /// The gradient by the sums that go into the units of the first layer.
    gradient: Vec<f64>,
    /// How far off the next kink is.
    kink: f64,
}

impl<'a> Line<'a> {
    fn new(first: &'a Dense, deeper: &'a [Dense], weights: &'a [f64], from: &[f64], step: &[f64]) -> Self {
        let (mut start, slope) = (times(&first.weight, from), times(&first.weight, step));
        start.iter_mut().zip(&first.bias).for_each(|(value, bias)| *value += f64::from(*bias));
        Self { first, deeper, weights, start, slope }
    }

    /// The gradient by the input, averaged along the line.
    fn gradient(&self, pause: &mut dyn FnMut()) -> Vec<f64> {
        let work = self.start.len() + self.deeper.iter().map(|layer| 3 * layer.weight.len()).sum::<usize>();
        let mut most = MOST_WORK / work.max(1);
        let mut sum = vec![0.0; self.start.len()];
        let mut at = 0.0;
        while at < 1.0 {
            pause();
            // The gradient is taken a little after the kink, where it is clear which units are open.
            let ahead = if most > 0 { SHORTEST } else { 1.0 / LAST_PIECES } / 2.0;
            most = most.saturating_sub(1);
            let LinePiece { gradient, kink } = self.piece(at + ahead);
            let end = (at + ahead + kink.max(ahead)).min(1.0);
            add_scaled(&mut sum, end - at, &gradient);
            at = end;
        }
        times_transposed(&self.first.weight, &sum)
    }

    /// The piece around a place of the line.
    fn piece(&self, at: f64) -> LinePiece {
        let mut slope = self.slope.clone();
        let mut value: Vec<f64> =
            self.start.iter().zip(&slope).map(|(start, slope)| start + at * slope).collect();
        let mut kink = close(&mut value, &mut slope);
        let mut open = vec![opened(&value)];
        for layer in self.deeper {
            slope = times(&layer.weight, &slope);
            value = times(&layer.weight, &value);
            value.iter_mut().zip(&layer.bias).for_each(|(value, bias)| *value += f64::from(*bias));
            kink = kink.min(close(&mut value, &mut slope));
            open.push(opened(&value));
        }
        let mut gradient = self.weights.to_vec();
        for (layer, open) in self.deeper.iter().zip(&open[1..]).rev() {
            keep(&mut gradient, open);
            gradient = times_transposed(&layer.weight, &gradient);
        }
        keep(&mut gradient, &open[0]);
        LinePiece { gradient, kink }
    }
}

/// Closes the units that are below 0, and says how far off the nearest one is that opens or closes.
fn close(values: &mut [f64], slopes: &mut [f64]) -> f64 {
    let mut nearest = f64::INFINITY;
    for (value, slope) in values.iter_mut().zip(slopes) {
        if *value * *slope < 0.0 {
            nearest = nearest.min(-*value / *slope);
        }
        if *value <= 0.0 {
            (*value, *slope) = (0.0, 0.0);
        }
    }
    nearest
}

fn opened(values: &[f64]) -> Vec<bool> {
    values.iter().map(|value| *value > 0.0).collect()
}

/// Sets the gradient of closed units to 0, since nothing passes a closed unit.
fn keep(gradient: &mut [f64], open: &[bool]) {
    gradient.iter_mut().zip(open).filter(|(_, open)| !**open).for_each(|(gradient, _)| *gradient = 0.0);
}

/// `matrix · vector`.
fn times(matrix: &Array2<f32>, vector: &[f64]) -> Vec<f64> {
    matrix.rows().into_iter().map(|row| dot(row, vector)).collect()
}

/// How many sums are added up side by side; in a single sum each addition would wait for the one before.
const LANES: usize = 8;

fn dot(weights: ArrayView1<f32>, vector: &[f64]) -> f64 {
    let Some(weights) = weights.as_slice() else {
        return weights.iter().zip(vector).map(|(w, v)| f64::from(*w) * v).sum();
    };
    let ((groups, rest), (vectors, last)) = (weights.as_chunks::<LANES>(), vector.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (weights, values) in groups.iter().zip(vectors) {
        for lane in 0..LANES {
            sums[lane] += f64::from(weights[lane]) * values[lane];
        }
    }
    let rest = rest.iter().zip(last).map(|(w, v)| f64::from(*w) * v);
    sums.into_iter().chain(rest).sum()
}

/// `transposed matrix · vector`.
fn times_transposed(matrix: &Array2<f32>, vector: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; matrix.ncols()];
    for (row, factor) in matrix.rows().into_iter().zip(vector).filter(|(_, factor)| **factor != 0.0) {
        sum.iter_mut().zip(row).for_each(|(sum, weight)| *sum += f64::from(*weight) * factor);
    }
    sum
}

fn add_scaled(sum: &mut [f64], factor: f64, values: &[f64]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}
