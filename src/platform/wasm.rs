//! Inside browsers, in a worker or a page.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Invocations of a workgroup that burn's kernels need.
const WORKGROUP_INVOCATIONS: f64 = 256.0;
/// Largest storage buffer binding that the network needs, in bytes: WebGPU's default.
const STORAGE_BINDING: f64 = 128.0 * 1024.0 * 1024.0;

/// Milliseconds since the worker started; 0 where there is no clock.
pub fn now_ms() -> f64 {
    let performance = get(&js_sys::global(), "performance");
    call(&performance, "now")
        .and_then(|now| now.as_f64())
        .unwrap_or(0.0)
}

/// Why WebGPU cannot be used here; `None` where it can.
///
/// WebGPU's types are unstable in web-sys, so this asks through plain property access.
pub async fn gpu_unavailable() -> Option<String> {
    let gpu = get(&get(&js_sys::global(), "navigator"), "gpu");
    if gpu.is_undefined() || gpu.is_null() {
        return Some("this browser offers no WebGPU here".to_owned());
    }
    let Some(request) = call(&gpu, "requestAdapter") else {
        return Some("this browser's WebGPU is incomplete".to_owned());
    };
    let adapter = match JsFuture::from(Promise::resolve(&request)).await {
        Ok(adapter) if !adapter.is_null() && !adapter.is_undefined() => adapter,
        _ => return Some("this browser has WebGPU but found no graphics adapter".to_owned()),
    };
    // cubecl-wgpu 0.11 panics when it creates a stream on an adapter without this feature.
    let features = get(&adapter, "features");
    let has_timestamps = Reflect::get(&features, &"has".into())
        .ok()
        .and_then(|has| has.dyn_into::<Function>().ok())
        .and_then(|has| has.call1(&features, &"timestamp-query".into()).ok())
        .is_some_and(|answer| answer.is_truthy());
    if !has_timestamps {
        return Some("the graphics adapter lacks timestamp-query".to_owned());
    }
    let limits = get(&adapter, "limits");
    for (limit, needed) in [
        ("maxComputeInvocationsPerWorkgroup", WORKGROUP_INVOCATIONS),
        ("maxStorageBufferBindingSize", STORAGE_BINDING),
    ] {
        let found = get(&limits, limit).as_f64().unwrap_or(0.0);
        if found < needed {
            return Some(format!(
                "the graphics adapter has {limit} {found}, but {needed} is needed"
            ));
        }
    }
    None
}

#[cfg(feature = "gpu")]
pub(super) async fn open_gpu() -> Result<burn::tensor::Device, String> {
    burn::tensor::Device::wgpu_options()
        .init_async()
        .await
        .map_err(|error| error.to_string())
}

fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn call(object: &JsValue, name: &str) -> Option<JsValue> {
    get(object, name)
        .dyn_into::<Function>()
        .ok()?
        .call0(object)
        .ok()
}
