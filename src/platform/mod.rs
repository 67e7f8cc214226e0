//! The only place that knows whether this is a browser: clock, threads and compute device.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(all(target_family = "wasm", feature = "threads"))]
mod threads;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
use native as current;
#[cfg(target_family = "wasm")]
use wasm as current;

use burn::tensor::Device;

use crate::error::DeviceError;
use crate::network::{MOST_THREADS, Team};

pub use current::now_ms;

/// The threads that compute a network on a CPU: at most `threads`, at most as many as there are.
pub fn team(threads: Option<usize>) -> Team {
    current::team(threads.map(|threads| threads.clamp(1, MOST_THREADS)))
}

/// Which device the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The GPU where there is one that is no software, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU, or an error.
    Gpu,
    /// An NVIDIA GPU through CUDA, or an error.
    Cuda,
}

/// An opened device.
#[derive(Clone, Debug)]
pub struct ComputeDevice {
    /// Burn's handle.
    pub device: Device,
    /// "cpu", "gpu" or "cuda".
    pub name: &'static str,
    /// Why [`DeviceChoice::Auto`] did not take the GPU.
    pub fallback: Option<String>,
}

impl ComputeDevice {
    /// Opens the device that `choice` asks for.
    ///
    /// # Errors
    /// [`DeviceError::NoGpu`] or [`DeviceError::NoCuda`] where that device was asked for and cannot
    /// be used.
    pub async fn open(choice: DeviceChoice) -> Result<Self, DeviceError> {
        let fallback = match choice {
            DeviceChoice::Cpu => None,
            DeviceChoice::Cuda => {
                let device = open_cuda().map_err(|reason| DeviceError::NoCuda { reason })?;
                return Ok(Self {
                    device,
                    name: "cuda",
                    fallback: None,
                });
            }
            DeviceChoice::Auto | DeviceChoice::Gpu => {
                match open_gpu(choice == DeviceChoice::Gpu).await {
                    Ok(device) => {
                        return Ok(Self {
                            device,
                            name: "gpu",
                            fallback: None,
                        });
                    }
                    Err(reason) if choice == DeviceChoice::Gpu => {
                        return Err(DeviceError::NoGpu { reason });
                    }
                    Err(reason) => Some(reason),
                }
            }
        };
        Ok(Self {
            device: cpu().ok_or_else(|| no_cpu(fallback.clone()))?,
            name: "cpu",
            fallback,
        })
    }
}

/// The CPU as a device, where this build has it.
pub(crate) fn cpu() -> Option<Device> {
    #[cfg(feature = "cpu")]
    return Some(Device::flex());
    #[cfg(not(feature = "cpu"))]
    None
}

/// What to say where there is no CPU to fall back on.
fn no_cpu(gpu: Option<String>) -> DeviceError {
    match gpu {
        Some(reason) => DeviceError::NoGpu { reason },
        None => DeviceError::NoCpu,
    }
}

#[cfg(feature = "gpu")]
use current::open_gpu;

#[cfg(not(feature = "gpu"))]
async fn open_gpu(_software: bool) -> Result<Device, String> {
    Err("this build has no GPU support (cargo feature \"gpu\")".to_owned())
}

#[cfg(feature = "cuda")]
fn open_cuda() -> Result<Device, String> {
    // The CUDA runtime panics where there is no driver or no card.
    std::panic::catch_unwind(|| {
        let device = Device::cuda(burn::tensor::DeviceIndex::Default);
        let one = burn::tensor::Tensor::<1>::ones([1], &device);
        one.try_into_data().map(|_| device)
    })
    .map_err(|_| "no driver or no device was found".to_owned())?
    .map_err(|error| error.to_string())
}

#[cfg(not(feature = "cuda"))]
fn open_cuda() -> Result<Device, String> {
    Err("this build has no CUDA support (cargo feature \"cuda\")".to_owned())
}
