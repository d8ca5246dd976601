//! The moving average of a network's parameters over its last steps (Polyak and Juditsky 1992). Steps of one learning rate end up
//! around the best parameters and not at them: their mean is nearer than any one of them, and rows to come are ranked better by it.

use super::net::Net;
use tch::{TchError, Tensor};

/// Of the steps so far, the share that the mean reaches back over, until these are an epoch. The first parameters are random and are
/// to be forgotten soon.
const REACH: f64 = 0.1;

/// A network that has the mean of another one's parameters.
pub struct Average {
    net: Net,
    parameters: Tensor,
    steps: f64,
}

impl Average {
    /// Begins with the parameters that the network has now. `None` where a mean would not do: penalized weights are to be exactly 0,
    /// and normalized layers are measured by statistics of the very parameters that have gathered them.
    pub fn new(of: &Net, l1: f64) -> Result<Option<Self>, TchError> {
        if l1 > 0.0 || of.is_normalized() {
            return Ok(None);
        }
        let net = of.copy()?;
        Ok(Some(Self { parameters: net.flat(), net, steps: 0.0 }))
    }

    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Takes in the parameters after a step; an epoch has `epoch` steps.
    pub fn add(&mut self, parameters: &Tensor, epoch: f64) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        self.steps += 1.0;
        let steps = (1.0 + REACH * self.steps).min(epoch.max(1.0));
        self.parameters.f_lerp_(parameters, 1.0 / steps).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::net::{floats, Shape};
    use super::*;
    use model::recipe::{Column, Family, Input, Scaling};
    use model::Recipe;
    use tch::Device;

    fn net(batch_norm: bool) -> Net {
        let shape = Shape { crosses: 0, rank: 1, hidden: vec![2], batch_norm, outputs: 1, training_rows: 0 };
        let input = Input::Numbers(vec![Scaling::default()]);
        let column = Column { name: "a".into(), sql_type: "real".into(), family: Family::Number, input };
        Net::new(&Recipe { columns: vec![column] }, &shape, 1, Device::Cpu).unwrap()
    }

    #[test]
    fn the_mean_follows_the_parameters_and_leaves_them_alone() {
        let net = net(false);
        let mut average = Average::new(&net, 0.0).unwrap().unwrap();
        let of = |net: &Net| floats(&net.flat()).unwrap();
        let first = of(&net);
        assert_eq!(of(average.net()), first);
        let ones = net.flat().f_ones_like().unwrap();
        // By hand: of the first steps the means reach over 1.1, 1.2 and 1.3.
        let mut expected = first.clone();
        for reach in [1.1, 1.2, 1.3] {
            average.add(&ones, 100.0).unwrap();
            expected.iter_mut().for_each(|mean| *mean += (1.0 - *mean) / reach);
        }
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-6);
        assert!(!apart(&of(average.net()), &expected), "{expected:?}");
        assert_eq!(of(&net), first);
        // Of an epoch of one step nothing is left of what was before.
        average.add(&net.flat(), 1.0).unwrap();
        assert!(!apart(&of(average.net()), &first));
    }

    #[test]
    fn penalized_and_normalized_networks_have_none() {
        assert!(Average::new(&net(false), 0.1).unwrap().is_none());
        assert!(Average::new(&net(true), 0.0).unwrap().is_none());
    }
}
