//! The only place that knows whether this is a browser: clock and compute device.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
use native as current;
#[cfg(target_family = "wasm")]
use wasm as current;

use burn::tensor::Device;

use crate::error::DeviceError;

pub use current::{gpu_unavailable, now_ms};

/// Which device the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The GPU where it can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU, or an error.
    Gpu,
}

/// An opened device.
#[derive(Clone, Debug)]
pub struct ComputeDevice {
    /// Burn's handle.
    pub device: Device,
    /// "cpu" or "gpu".
    pub name: &'static str,
    /// Why [`DeviceChoice::Auto`] did not take the GPU.
    pub fallback: Option<String>,
}

impl ComputeDevice {
    /// Opens the device that `choice` asks for.
    ///
    /// # Errors
    /// [`DeviceError::NoGpu`] where the GPU was asked for and cannot be used.
    pub async fn open(choice: DeviceChoice) -> Result<Self, DeviceError> {
        let fallback = match choice {
            DeviceChoice::Cpu => None,
            DeviceChoice::Auto | DeviceChoice::Gpu => match open_gpu().await {
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
            },
        };
        Ok(Self {
            device: Device::flex(),
            name: "cpu",
            fallback,
        })
    }
}

#[cfg(feature = "gpu")]
async fn open_gpu() -> Result<Device, String> {
    // Burn panics on adapters without some features instead of refusing them, so ask first.
    match gpu_unavailable().await {
        Some(reason) => Err(reason),
        None => current::open_gpu().await,
    }
}

#[cfg(not(feature = "gpu"))]
async fn open_gpu() -> Result<Device, String> {
    Err("this build has no GPU support (cargo feature \"gpu\")".to_owned())
}
