//! Outside browsers.

use std::sync::OnceLock;
use std::time::Instant;

/// Milliseconds since the first call.
pub fn now_ms() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}

#[cfg(feature = "gpu")]
pub(super) async fn open_gpu() -> Result<burn::tensor::Device, String> {
    burn::tensor::Device::wgpu_options()
        .init_async()
        .await
        .map_err(|error| error.to_string())
}
