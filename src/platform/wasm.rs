//! Inside browsers, in a worker or a page.

use js_sys::{Function, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use crate::network::Team;

/// Milliseconds since the worker started; 0 where there is no clock.
pub fn now_ms() -> f64 {
    let clock = get(&js_sys::global(), "performance");
    get(&clock, "now")
        .dyn_into::<Function>()
        .ok()
        .and_then(|now| now.call0(&clock).ok())
        .and_then(|now| now.as_f64())
        .unwrap_or(0.0)
}

/// The helpers that the page has started, where it could start any.
pub(super) fn team(threads: Option<usize>) -> Team {
    #[cfg(feature = "threads")]
    return super::threads::team(threads);
    #[cfg(not(feature = "threads"))]
    {
        let _ = threads;
        Team::default()
    }
}

/// Opens WebGPU. Burn panics on adapters without some features instead of refusing them, so the page
/// asks first, before it downloads this module: `www/lib/program.js` knows what is needed.
#[cfg(feature = "gpu")]
pub(super) async fn open_gpu(_software: bool) -> Result<burn::tensor::Device, String> {
    burn::tensor::Device::wgpu_options()
        .init_async()
        .await
        .map_err(|error| error.to_string())
}

fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}
