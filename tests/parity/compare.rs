//! A forward pass on the inputs of a case, and its tensors beside the reference's.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rrsis::network::cpu::{CpuBert, CpuNetwork, Workspace};
use rrsis::network::decoder::upsample;
use rrsis::network::{Bert, LanguageFeatures, LgceNetwork, NetworkConfig, Precision, Trace};
use rrsis::weights::import::Imported;
use rrsis::weights::quantization::Quantization;
use rrsis::weights::shard::{Shard, pack, parameters_of};

/// Tensors by name.
pub type Tensors = BTreeMap<String, TensorData>;

/// How far a device may be off.
pub struct Tolerance {
    /// Absolute, for logits.
    pub logits: f32,
    /// Relative to the largest value of the reference, for intermediates.
    pub intermediates: f32,
    /// The same for the layer norms of F (V1 to V4): where F hardly varies over the channels they
    /// amplify rounding.
    pub normed: f32,
}

/// Logits in fp32 differ from fp64 by 4e-6 in the fixtures; this leaves room for another order of
/// sums. The public code's own layer norms in fp32 are up to 1.9e-4 away from fp64.
pub const CPU: Tolerance = Tolerance {
    logits: 1e-4,
    intermediates: 1e-4,
    normed: 3e-4,
};

/// GPUs may round `exp`, `tanh` and divisions more coarsely.
pub const GPU: Tolerance = Tolerance {
    logits: 1e-3,
    intermediates: 1e-3,
    normed: 1e-3,
};

/// All intermediates of a forward pass on a case's inputs, and the logits at the image's size.
pub fn run(network: &Imported, case: &Tensors, device: &Device) -> Tensors {
    let mut trace = Trace::on();
    let image = Tensor::<4>::from_data(case["in.image"].clone(), device);
    let ids = Tensor::<2, Int>::from_data(case["in.input_ids"].clone().convert::<i32>(), device);
    let mask = Tensor::<2>::from_data(case["in.attention_mask"].clone().convert::<f32>(), device);
    let words = network.text.forward(ids, mask.clone(), &mut trace);
    let language = LanguageFeatures { words, mask };
    let [_, _, height, width] = image.dims();
    let features = network.vision.encode_image(image, &mut trace);
    let logits = network.vision.forward(features, &language, &mut trace);
    let logits = upsample(logits, [height, width]);
    let mut tensors = trace.into_tensors();
    tensors.insert("logits".into(), logits.into_data());
    tensors
}

/// A module's parameters as a file has them.
fn shard_of<M: Module>(module: &M) -> Shard {
    let parameters = parameters_of(module).expect("parameters");
    let content = pack(parameters, Quantization::F32).expect("packs");
    Shard::open(content, "a shard").expect("opens")
}

/// The same as a plain CPU computes it, without burn's operations, loaded a part after the other from a file, and an
/// item of the batch at a time: for each, what is expected and what came out.
pub fn run_on_cpu(
    network: &Imported,
    config: &NetworkConfig,
    case: &Tensors,
) -> Vec<(Tensors, Tensors)> {
    let device = Device::default();
    let mut shard = shard_of(&network.text);
    let text = Bert::new(&config.bert, &device);
    let text = CpuBert::new(text, config, Precision::F32, &mut shard);
    shard.finish().expect("every word has its place");
    let mut shard = shard_of(&network.vision);
    let vision = LgceNetwork::new(config, &device);
    let vision = CpuNetwork::new(vision, config, Precision::F32, &mut shard);
    shard.finish().expect("every parameter has its place");
    // Kept from one item to the next, as from one image to the next; with as many threads as there are.
    let mut workspace = Workspace::new(rrsis::platform::team(None));
    let batch = case["in.image"].shape()[0];
    (0..batch)
        .map(|index| {
            let expected: Tensors = case
                .iter()
                .filter_map(|(name, data)| Some((name.clone(), item(data, index, batch)?)))
                .collect();
            let integers = |name: &str| -> Vec<i32> {
                expected[name]
                    .clone()
                    .convert::<i32>()
                    .iter::<i32>()
                    .collect()
            };
            let mask: Vec<u8> = integers("in.attention_mask")
                .iter()
                .map(|bit| *bit as u8)
                .collect();
            let mut trace = Trace::on();
            let words = text.forward(&integers("in.input_ids"), &mask, &mut trace);
            let image = &expected["in.image"];
            let size = [image.shape()[2], image.shape()[3]];
            let stem = vision.encode_image(&floats(image), size, &mut workspace, &mut trace);
            let logits = vision.forward(&stem, &words, &mut workspace, &mut trace);
            let logits = TensorData::new(logits.values, [1, 2, logits.height, logits.width]);
            let logits = upsample(Tensor::from_data(logits, &Device::flex()), size);
            let mut actual = trace.into_tensors();
            actual.insert("logits".into(), logits.into_data());
            (expected, actual)
        })
        .collect()
}

/// Item `index` of a tensor of `batch` items.
fn item(data: &TensorData, index: usize, batch: usize) -> Option<TensorData> {
    let mut shape = data.shape().to_vec();
    if shape.first() != Some(&batch) {
        return None;
    }
    shape[0] = 1;
    let values = floats(data);
    let size = values.len() / batch;
    let part = values[index * size..(index + 1) * size].to_vec();
    Some(TensorData::new(part, shape))
}

/// The values as numbers.
pub fn floats(data: &TensorData) -> Vec<f32> {
    data.clone()
        .convert::<f32>()
        .try_into_vec()
        .expect("converted to f32")
}

/// The largest difference between two tensors of one shape; infinite where one holds a NaN.
pub fn largest_difference(one: &TensorData, other: &TensorData) -> f32 {
    assert_eq!(one.shape().to_vec(), other.shape().to_vec());
    floats(one)
        .iter()
        .zip(&floats(other))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |largest, d| {
            if d.is_nan() {
                f32::INFINITY
            } else {
                d.max(largest)
            }
        })
}

/// Intermediates relative to their scale, logits absolutely.
pub fn compare(what: &str, expected: &Tensors, actual: &Tensors, tolerance: &Tolerance) {
    let mut compared = 0;
    let mut failures = Vec::new();
    let mut worst = (0.0, "");
    for (name, actual) in actual {
        let Some(expected) = expected.get(name) else {
            continue;
        };
        let scale = floats(expected)
            .iter()
            .fold(0.0f32, |largest, v| largest.max(v.abs()));
        let normed = name.starts_with("V.")
            || name.ends_with("norm_out")
            || name.starts_with("dec.conv") && name.ends_with(".in");
        let allowed = match name.as_str() {
            "logits" => tolerance.logits,
            _ if normed => tolerance.normed * scale,
            _ => tolerance.intermediates * scale,
        };
        let difference = largest_difference(expected, actual);
        compared += 1;
        if difference > allowed {
            failures.push(format!("{name}: off by {difference:e} at scale {scale}"));
        }
        if difference / scale > worst.0 {
            worst = (difference / scale, name);
        }
    }
    println!(
        "{what}: {compared} tensors compared, worst {} {:e}",
        worst.1, worst.0
    );
    assert!(
        actual.contains_key("logits") && compared > 5,
        "{what}: only {compared}"
    );
    assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
}

#[test]
fn a_nan_is_a_difference_wherever_it_stands() {
    for values in [[f32::NAN, 1.0], [1.0, f32::NAN]] {
        let ones = TensorData::from([1.0f32, 1.0]);
        assert_eq!(
            largest_difference(&ones, &TensorData::from(values)),
            f32::INFINITY
        );
    }
}
