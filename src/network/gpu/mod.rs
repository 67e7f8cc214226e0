//! Kernels of our own for GPUs: what burn's operations take five to nine dispatches for, in one.
//!
//! A dispatch in a browser costs the processor some microseconds, whatever it computes, and what one writes the next
//! one reads back: a network of small layers spends more on that than on its products, which stay burn's. Each
//! function gives `None`, and the caller takes burn's operations, where no GPU computes or gradients are asked for.
//!
//! Kernels are compiled from this code to WGSL (or what the device speaks) when they are first used. A row is one
//! group of units, which add up in shared memory; nothing beyond WebGPU's defaults is asked for.

mod convolution;
mod elements;
mod rows;
mod windows;

use burn::tensor::{DType, Device, Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::CubeCount;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

pub(super) use convolution::inverted_residual;
pub(super) use elements::{add_linear, gelu, linear_gelu};
pub(super) use rows::{layer_norm, softmax};
pub(super) use windows::window_attention;

use crate::platform;

/// Groups in a row of a dispatch: WebGPU allows 65,535.
const GROUPS: usize = 32_768;

/// Whether a GPU computes and no gradient is asked for.
fn is_plain_gpu(device: &Device) -> bool {
    !device.is_autodiff() && platform::cpu().is_none_or(|cpu| *device != cpu)
}

/// The tensor as these kernels read it. `None` where it is no GPU's, or not of f32.
fn on_gpu<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    if !is_plain_gpu(&tensor.device()) || tensor.dtype() != DType::F32 {
        return None;
    }
    let tensor = tensor.clone().try_into_primitive::<CubeBackend>().ok()?;
    Some(into_contiguous(tensor))
}

fn tensor<const D: usize>(values: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<CubeBackend>(values)
}

/// Room for values on the device of `input`, of its shape.
fn like(input: &CubeTensor) -> CubeTensor {
    shaped(input, input.meta.shape().clone())
}

/// Room for values on the device of `input`.
fn shaped(input: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let (client, device) = (input.client.clone(), input.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), input.dtype)
}

/// A group of units for each row.
fn groups(rows: usize) -> CubeCount {
    let across = rows.clamp(1, GROUPS);
    CubeCount::Static(across as u32, rows.div_ceil(across) as u32, 1)
}

/// Units that share a row: a power of two.
fn units(width: usize) -> usize {
    width.next_power_of_two().clamp(32, 128)
}
