//! AdamW (Loshchilov and Hutter, 2019), as PyTorch computes it.
//!
//! Not burn's: which parameters learn and which decay goes by their path here, and the moments are
//! saved by path too, so that a run can continue in another process.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use super::config::OptimizerConfig;

/// Learning rate of step `step` (from 0) of `steps`: the poly schedule.
pub fn poly_learning_rate(config: &OptimizerConfig, step: usize, steps: usize) -> f64 {
    let left = 1.0 - step as f64 / steps as f64;
    config.learning_rate * left.max(0.0).powf(config.poly_power)
}

/// The optimiser's state: running means for every parameter that has had a gradient.
#[derive(Clone, Debug)]
pub struct AdamW {
    config: OptimizerConfig,
    moments: BTreeMap<String, Moments>,
}

/// Of one parameter, flattened.
#[derive(Clone, Debug)]
struct Moments {
    /// Steps that this parameter has taken.
    steps: u32,
    /// Running mean of the gradient.
    mean: Tensor<1>,
    /// Running mean of its square.
    square: Tensor<1>,
}

/// [`Moments`] on their way to or from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedMoments {
    /// Steps that the parameter has taken.
    pub steps: u32,
    /// Running mean of the gradient, flattened.
    pub mean: TensorData,
    /// Running mean of its square, flattened.
    pub square: TensorData,
}

impl AdamW {
    /// An optimiser that has not taken any step.
    pub fn new(config: OptimizerConfig) -> Self {
        Self {
            config,
            moments: BTreeMap::new(),
        }
    }

    /// One step on every parameter of `module` that has a gradient; gradients are used up. A
    /// parameter without one stays as it is, weight decay included, as in PyTorch.
    ///
    /// `prefix` stands before the parameters' paths; `decays` says of a path (with its prefix)
    /// whether weight decay applies to it.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        prefix: &str,
        gradients: &mut Gradients,
        learning_rate: f64,
        decays: impl Fn(&str) -> bool,
    ) -> M {
        module.map(&mut Update {
            optimizer: self,
            path: vec![prefix.to_owned()],
            gradients,
            learning_rate,
            decays,
        })
    }

    /// The state, read back from the device.
    pub fn save(&self) -> BTreeMap<String, SavedMoments> {
        self.moments
            .iter()
            .map(|(path, moments)| {
                let saved = SavedMoments {
                    steps: moments.steps,
                    mean: moments.mean.to_data(),
                    square: moments.square.to_data(),
                };
                (path.clone(), saved)
            })
            .collect()
    }

    /// An optimiser with a saved state, on `device`.
    pub fn load(
        config: OptimizerConfig,
        saved: BTreeMap<String, SavedMoments>,
        device: &Device,
    ) -> Self {
        let device = device.clone().without_autodiff();
        let moments = saved
            .into_iter()
            .map(|(path, saved)| {
                let moments = Moments {
                    steps: saved.steps,
                    mean: Tensor::from_data(saved.mean, &device),
                    square: Tensor::from_data(saved.square, &device),
                };
                (path, moments)
            })
            .collect();
        Self { config, moments }
    }

    /// A parameter after a step.
    fn update<const D: usize>(
        &mut self,
        path: String,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        learning_rate: f64,
        decays: bool,
    ) -> Tensor<D> {
        let shape = parameter.shape();
        let [beta1, beta2] = self.config.betas;
        let gradient: Tensor<1> = gradient.flatten(0, D - 1);
        let moments = match self.moments.remove(&path) {
            Some(moments) => Moments {
                steps: moments.steps + 1,
                mean: moments.mean * beta1 + gradient.clone() * (1.0 - beta1),
                square: moments.square * beta2 + gradient.clone() * gradient * (1.0 - beta2),
            },
            None => Moments {
                steps: 1,
                mean: gradient.clone() * (1.0 - beta1),
                square: gradient.clone() * gradient * (1.0 - beta2),
            },
        };
        let steps = moments.steps as i32;
        let mean_correction = 1.0 - beta1.powi(steps);
        let square_correction = 1.0 - beta2.powi(steps);
        let root = moments.square.clone().sqrt() / square_correction.sqrt() + self.config.epsilon;
        let change = moments.mean.clone() / root * (learning_rate / mean_correction);
        self.moments.insert(path, moments);
        let kept = if decays {
            parameter * (1.0 - learning_rate * self.config.weight_decay)
        } else {
            parameter
        };
        kept - change.reshape(shape)
    }
}

struct Update<'a, F> {
    optimizer: &'a mut AdamW,
    path: Vec<String>,
    gradients: &'a mut Gradients,
    learning_rate: f64,
    decays: F,
}

impl<F: Fn(&str) -> bool> ModuleMapper for Update<'_, F> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = param.val().grad_remove(self.gradients) else {
            return param;
        };
        let path = self.path.join(".");
        let decays = (self.decays)(&path);
        param.map(|parameter| {
            let updated = self.optimizer.update(
                path,
                parameter.inner(),
                gradient,
                self.learning_rate,
                decays,
            );
            Tensor::from_inner(updated).require_grad()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};

    /// One weight that starts at 1 and always has the gradient 2, and its bias without gradient.
    fn after(steps: usize, decays: bool) -> (f64, f64) {
        let device = Device::flex().autodiff();
        let mut layer: Linear = LinearConfig::new(1, 1).init(&device);
        layer.weight = Param::from_data([[1.0f32]], &device);
        layer.bias = Some(Param::from_data([1.0f32], &device));
        let mut optimizer = AdamW::new(OptimizerConfig {
            weight_decay: 0.1,
            ..OptimizerConfig::default()
        });
        for _ in 0..steps {
            let loss = (layer.weight.val() * 2.0).sum();
            let mut gradients = loss.backward();
            layer = optimizer.step(layer, "layer", &mut gradients, 0.01, |path| {
                assert_eq!(path, "layer.weight");
                decays
            });
        }
        let value = |data: TensorData| f64::from(data.try_into_vec::<f32>().expect("f32")[0]);
        let bias = layer.bias.expect("has one");
        (
            value(layer.weight.val().to_data()),
            value(bias.val().to_data()),
        )
    }

    #[test]
    fn a_constant_gradient_moves_a_weight_by_the_learning_rate_each_step() {
        // Bias correction makes both means exact: the change is lr * 2 / (2 + epsilon).
        for (steps, decays, expected) in [
            (1, false, 0.99),
            (3, false, 0.97),
            (1, true, 0.999 - 0.01),
            (2, true, (0.999 - 0.01) * 0.999 - 0.01),
        ] {
            let (weight, bias) = after(steps, decays);
            assert!((weight - expected).abs() < 1e-6, "{weight} {expected}");
            assert_eq!(bias, 1.0, "no gradient, no decay");
        }
    }

    #[test]
    fn the_schedule_falls_from_the_learning_rate_towards_0() {
        let config = OptimizerConfig::default();
        assert_eq!(poly_learning_rate(&config, 0, 10), 5e-5);
        // From the public code's log: 5e-5 * 0.9^0.9.
        assert!((poly_learning_rate(&config, 1, 10) - 4.547_662_880_414_811e-5).abs() < 1e-18);
        assert_eq!(poly_learning_rate(&config, 10, 10), 0.0);
    }
}
