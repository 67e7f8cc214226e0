//! Outside browsers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::network::{Helpers, MOST_THREADS, Team};

/// Milliseconds since the first call.
pub fn now_ms() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}

/// A pool of threads, and the thread that asks it.
struct Pool {
    pool: rayon::ThreadPool,
    threads: usize,
}

impl Helpers for Pool {
    fn threads(&self) -> usize {
        self.threads
    }

    fn share(&self, pieces: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let run = |slot: usize| {
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                if piece >= pieces {
                    break;
                }
                work(slot, piece);
            }
        };
        self.pool.in_place_scope(|scope| {
            let run = &run;
            for slot in 1..self.threads.min(pieces) {
                scope.spawn(move |_| run(slot));
            }
            run(0);
        });
    }
}

/// One pool for each size that was asked for, where threads can be started; else the caller alone.
pub(super) fn team(threads: Option<usize>) -> Team {
    static POOLS: Mutex<BTreeMap<usize, Team>> = Mutex::new(BTreeMap::new());
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or(all.min(MOST_THREADS));
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools
        .entry(threads)
        .or_insert_with(|| {
            if threads == 1 {
                return Team::default();
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads - 1);
            match pool.build() {
                Ok(pool) => Team::new(Arc::new(Pool { pool, threads })),
                Err(_) => Team::default(),
            }
        })
        .clone()
}

/// `software`: whether a driver that computes on the CPU will do.
#[cfg(feature = "gpu")]
pub(super) async fn open_gpu(software: bool) -> Result<burn::tensor::Device, String> {
    let (device, setup) = burn::tensor::Device::wgpu_options()
        .init_with_setup_async()
        .await
        .map_err(|error| error.to_string())?;
    let adapter = setup.adapter.get_info();
    accepted(adapter.device_type, &adapter.name, software)?;
    Ok(device)
}

/// Servers have drivers that pretend to be a GPU (Mesa's lavapipe): a hundred times as slow as our own code on the same
/// processor, so that nobody gets one who did not ask for a GPU.
#[cfg(feature = "gpu")]
fn accepted(
    kind: burn::tensor::wgpu::wgpu::DeviceType,
    name: &str,
    software: bool,
) -> Result<(), String> {
    match kind {
        burn::tensor::wgpu::wgpu::DeviceType::Cpu if !software => {
            Err(format!("the only adapter, {name}, computes on the CPU"))
        }
        _ => Ok(()),
    }
}

#[cfg(all(test, feature = "gpu"))]
mod tests {
    use burn::tensor::wgpu::wgpu::DeviceType;

    use super::accepted;

    #[test]
    fn a_gpu_in_software_is_taken_by_those_who_ask_for_it_alone() {
        assert!(accepted(DeviceType::Cpu, "llvmpipe", true).is_ok());
        let refused = accepted(DeviceType::Cpu, "llvmpipe", false).expect_err("is no GPU");
        assert!(refused.contains("llvmpipe"), "{refused}");
        for kind in [
            DeviceType::DiscreteGpu,
            DeviceType::IntegratedGpu,
            DeviceType::VirtualGpu,
            DeviceType::Other,
        ] {
            assert!(accepted(kind, "a card", false).is_ok());
        }
    }
}
