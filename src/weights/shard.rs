//! Burnpack files of parameters, and their way into a network.

use std::collections::{BTreeMap, HashMap};

use burn::module::Module;
use burn::tensor::{DType, TensorData};
use burn_store::burn_pack::{Bytes, Reader, Tensor as PackTensor, Writer};
use burn_store::{ModuleSnapshot, bridge};

use super::parameter::Parameter;
use super::quantization::{self, Quantization, four_bit, group_axis, quantize, scale_axis};
use super::{ParametersError, WeightsError};
use crate::network::cpu::Source;

/// Suffix of the entry that holds the scales of a quantised parameter.
const SCALE_SUFFIX: &str = ".scale";

/// All parameters of a module by path, in f32.
///
/// # Errors
/// [`WeightsError::Shard`] where a parameter cannot be read back from its device.
pub fn parameters_of<M: Module>(module: &M) -> Result<Vec<(String, TensorData)>, WeightsError> {
    module
        .collect(None, None, false)
        .into_iter()
        .map(|tensor| {
            let name = tensor.name.clone();
            let data = bridge::into_data(tensor).map_err(|error| WeightsError::Shard {
                file: name.clone(),
                reason: error.to_string(),
            })?;
            Ok((name, data))
        })
        .collect()
}

/// Packs parameters into the bytes of a burnpack file.
///
/// # Errors
/// [`WeightsError::Shard`] where a parameter is not floating point or the writer refuses.
pub fn pack(
    parameters: Vec<(String, TensorData)>,
    quantization: Quantization,
) -> Result<Vec<u8>, WeightsError> {
    let mut tensors = Vec::with_capacity(parameters.len() * 2);
    for (name, data) in parameters {
        let data = data.convert::<f32>();
        match quantization {
            Quantization::F32 => tensors.push(bridge::from_data(data, name, None)),
            Quantization::F16 => {
                tensors.push(bridge::from_data(quantization::to_f16(data), name, None))
            }
            Quantization::Q8 => pack_q8(name, data, &mut tensors)?,
            Quantization::Q4 => pack_q4(name, data, &mut tensors)?,
        }
    }
    let bytes = Writer::new(tensors)
        .with_metadata("producer", concat!("rrsis ", env!("CARGO_PKG_VERSION")))
        .with_metadata("quantization", quantization.name())
        .into_bytes()
        .map_err(|error| unreadable("new shard", error))?;
    Ok(bytes.to_vec())
}

fn pack_q8(
    name: String,
    data: TensorData,
    tensors: &mut Vec<PackTensor>,
) -> Result<(), WeightsError> {
    let shape = data.shape().to_vec();
    let Some(axis) = scale_axis(&name, &shape) else {
        tensors.push(bridge::from_data(data, name, None));
        return Ok(());
    };
    let values = data
        .try_to_vec::<f32>()
        .map_err(|error| unreadable(&name, format!("{error:?}")))?;
    let quantized = quantize(&values, &shape, axis);
    let mut scale_shape = vec![1; shape.len()];
    scale_shape[axis] = shape[axis];
    tensors.push(bridge::from_data(
        TensorData::new(quantized.scales, scale_shape),
        format!("{name}{SCALE_SUFFIX}"),
        None,
    ));
    tensors.push(bridge::from_data(
        TensorData::new(quantized.values, shape),
        name,
        None,
    ));
    Ok(())
}

fn pack_q4(
    name: String,
    data: TensorData,
    tensors: &mut Vec<PackTensor>,
) -> Result<(), WeightsError> {
    let shape = data.shape().to_vec();
    let (Some(axis), &[rows, columns]) = (group_axis(&name, &shape), &shape[..]) else {
        return pack_q8(name, data, tensors);
    };
    let values = data
        .try_to_vec::<f32>()
        .map_err(|error| unreadable(&name, format!("{error:?}")))?;
    let matrix = [rows, columns];
    let packed = four_bit::quantize(&values, matrix, axis);
    if packed.scales.iter().any(|scale| !scale.is_finite()) {
        // Beyond half precision's range.
        return pack_q8(name, data, tensors);
    }
    tensors.push(bridge::from_data(
        TensorData::new(packed.scales, four_bit::scale_shape(matrix, axis)),
        format!("{name}{SCALE_SUFFIX}"),
        None,
    ));
    tensors.push(bridge::from_data(
        TensorData::new(packed.codes, four_bit::code_shape(matrix)),
        name,
        None,
    ));
    Ok(())
}

/// Reads the parameters of a burnpack file; `file` is its name, for messages.
pub(super) fn unpack(bytes: Vec<u8>, file: &str) -> Result<Vec<Parameter>, WeightsError> {
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(bytes))
        .map_err(|error| unreadable(file, error))?;
    let tensors = reader
        .into_tensors()
        .map_err(|error| unreadable(file, error))?;
    let (scales, values): (Vec<_>, Vec<_>) = tensors
        .into_iter()
        .partition(|tensor| tensor.name.ends_with(SCALE_SUFFIX));
    let mut scales: HashMap<String, PackTensor> = scales
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect();
    let unpacked = values
        .into_iter()
        .map(|tensor| {
            let name = tensor.name.clone();
            let scale = scales.remove(&format!("{name}{SCALE_SUFFIX}"));
            Parameter::new(tensor, scale)
                .map_err(|reason| unreadable(file, format!("{name}: {reason}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    match scales.into_keys().next() {
        Some(orphan) => Err(unreadable(file, format!("{orphan} has no values"))),
        None => Ok(unpacked),
    }
}

/// Entries of a shard that are stored alike.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Stored {
    /// `f32`, `f16`, `8 bits`, `4 bits`, or `scales`.
    pub storage: &'static str,
    /// How many entries.
    pub tensors: usize,
    /// Numbers in them.
    pub values: u64,
    /// Bytes of these.
    pub bytes: u64,
}

/// What a burnpack file holds, by the way it is stored; `file` is its name, for messages.
///
/// # Errors
/// [`WeightsError::Shard`] where the bytes are not a burnpack, or hold what no shard does.
pub fn inventory(bytes: Vec<u8>, file: &str) -> Result<Vec<Stored>, WeightsError> {
    let tensors = Reader::from_bytes(Bytes::from_bytes_vec(bytes))
        .and_then(Reader::into_tensors)
        .map_err(|error| unreadable(file, error))?;
    let mut stored: Vec<Stored> = Vec::new();
    for tensor in tensors {
        let elements: u64 = tensor.shape.iter().map(|length| *length as u64).product();
        let (storage, values) = match tensor.dtype {
            _ if tensor.name.ends_with(SCALE_SUFFIX) => ("scales", elements),
            DType::F32 => ("f32", elements),
            DType::F16 => ("f16", elements),
            DType::I8 => ("8 bits", elements),
            DType::U8 => ("4 bits", 2 * elements),
            other => {
                let name = &tensor.name;
                return Err(unreadable(
                    file,
                    format!("{name}: values of type {other:?}"),
                ));
            }
        };
        let bytes = tensor.byte_len() as u64;
        match stored.iter_mut().find(|kind| kind.storage == storage) {
            Some(kind) => {
                kind.tensors += 1;
                kind.values += values;
                kind.bytes += bytes;
            }
            None => stored.push(Stored {
                storage,
                tensors: 1,
                values,
                bytes,
            }),
        }
    }
    Ok(stored)
}

/// Puts parameters into a module; all of them must fit, and none may be missing.
///
/// # Errors
/// [`WeightsError::Parameters`], listing everything that disagrees.
pub fn apply<M: Module>(
    module: &mut M,
    parameters: Vec<PackTensor>,
    what: &str,
) -> Result<(), WeightsError> {
    let parameters = parameters.into_iter().map(Parameter::plain).collect();
    let mut shard = Shard::new(parameters, what);
    shard.fill_in_place(module, "");
    shard.finish()
}

/// Parameters on their way into the modules of a network, each read when a module asks for it.
#[derive(Debug)]
pub struct Shard {
    parameters: BTreeMap<String, Parameter>,
    /// What did not fit so far.
    error: ParametersError,
}

impl Shard {
    /// The parameters of a burnpack file; `file` is its name, for messages.
    ///
    /// # Errors
    /// [`WeightsError::Shard`] where the bytes are not a burnpack, or a scale does not fit its values.
    pub fn open(content: Vec<u8>, file: &str) -> Result<Self, WeightsError> {
        Ok(Self::new(unpack(content, file)?, file))
    }

    fn new(parameters: Vec<Parameter>, what: &str) -> Self {
        let named = |parameter: Parameter| (parameter.name().to_owned(), parameter);
        Self {
            parameters: parameters.into_iter().map(named).collect(),
            error: ParametersError {
                what: what.to_owned(),
                missing: Vec::new(),
                unexpected: Vec::new(),
                mismatched: Vec::new(),
                not_finite: Vec::new(),
                advice: String::new(),
            },
        }
    }

    fn fill_in_place<M: Module>(&mut self, module: &mut M, path: &str) {
        // Below the path, by the names that the module has for them.
        let inside = |name: &str| match path {
            "" => Some(name.to_owned()),
            _ => match name.strip_prefix(path)? {
                "" => Some(String::new()),
                rest => rest.strip_prefix('.').map(str::to_owned),
            },
        };
        let names: Vec<(String, String)> = self
            .parameters
            .keys()
            .filter_map(|name| Some((name.clone(), inside(name)?)))
            .collect();
        let parameters = names
            .iter()
            .filter_map(|(name, inside)| {
                let mut tensor = self.parameters.remove(name)?.in_f32();
                tensor.name.clone_from(inside);
                Some(tensor)
            })
            .collect();
        let whole = |name: &str| match (path, name) {
            ("", name) => name.to_owned(),
            (path, "") => path.to_owned(),
            (path, name) => format!("{path}.{name}"),
        };
        let result = module.apply(parameters, None, None, false);
        let missing = result.missing.iter();
        let missing = missing.map(|(name, kind)| format!("{} ({kind})", whole(name)));
        self.error.missing.extend(missing);
        let unused = result.unused.iter().map(|name| whole(name));
        self.error.unexpected.extend(unused);
        let errors = result.errors.iter().map(|error| match path {
            "" => error.to_string(),
            _ => format!("in {path}: {error}"),
        });
        self.error.mismatched.extend(errors);
    }

    /// Whether every parameter has found its place, and every module all of its own.
    ///
    /// # Errors
    /// [`WeightsError::Parameters`], listing everything that disagrees.
    pub fn finish(mut self) -> Result<(), WeightsError> {
        self.error.unexpected.extend(self.parameters.into_keys());
        let error = self.error;
        if error.missing.is_empty() && error.unexpected.is_empty() && error.mismatched.is_empty() {
            return Ok(());
        }
        Err(WeightsError::Parameters(Box::new(error)))
    }
}

impl Source for Shard {
    fn fill<M: Module>(&mut self, mut module: M, path: &str) -> M {
        self.fill_in_place(&mut module, path);
        module
    }

    fn rows(&mut self, path: &str, shape: [usize; 2], mut take: impl FnMut(&[f32])) -> bool {
        let Some(parameter) = self.parameters.get(path) else {
            return false;
        };
        // What does not fit is left for the module to refuse.
        if parameter.shape() != shape {
            return false;
        }
        let Ok(rows) = parameter.rows() else {
            return false;
        };
        for part in rows {
            take(&part);
        }
        self.parameters.remove(path);
        true
    }
}

fn unreadable(file: &str, reason: impl ToString) -> WeightsError {
    WeightsError::Shard {
        file: file.to_owned(),
        reason: reason.to_string(),
    }
}
