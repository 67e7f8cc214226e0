//! Helpers in a browser: workers that run this module on the same memory (`www/lib/threads.js`).
//!
//! The standard library that rustc brings for wasm32 knows of one thread only. So a helper does nothing
//! but call [`help`], which neither allocates nor touches what belongs to a thread; who works on which
//! piece, and who waits for whom, is decided by JavaScript's `Atomics`. That is all that is needed, and
//! it needs no other compiler than the modules without threads.
#![allow(unsafe_code, reason = "threads share what Rust thinks is one thread's")]

use std::cell::UnsafeCell;
use std::sync::Arc;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::network::{Helpers, Team};

#[wasm_bindgen(raw_module = "../lib/threads.js")]
extern "C" {
    /// How many helpers wait for work.
    fn helpers() -> u32;
    /// Calls the first `count` of them to the task.
    fn begin(count: u32);
    /// The next piece, from 0 on, that nobody has taken.
    fn claim() -> u32;
    /// Waits until the helpers have left the task.
    fn end();
}

/// What is being worked on.
#[derive(Clone, Copy)]
struct Task {
    pieces: u32,
    work: &'static (dyn Fn(usize, usize) + Sync),
}

/// Written before `begin` and read after it by whoever was called, so never both at once.
struct Current(UnsafeCell<Option<Task>>);

// SAFETY: see above.
unsafe impl Sync for Current {}

static CURRENT: Current = Current(UnsafeCell::new(None));

struct Workers {
    threads: usize,
}

pub(super) fn team(threads: Option<usize>) -> Team {
    let all = helpers() as usize + 1;
    let threads = threads.map_or(all, |threads| threads.min(all));
    Team::new(Arc::new(Workers { threads }))
}

impl Helpers for Workers {
    fn threads(&self) -> usize {
        self.threads
    }

    fn share(&self, pieces: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        // SAFETY: nobody uses it once `end` has returned, which it does before this function.
        let work = unsafe {
            std::mem::transmute::<
                &(dyn Fn(usize, usize) + Sync),
                &'static (dyn Fn(usize, usize) + Sync),
            >(work)
        };
        let pieces = pieces as u32;
        let task = Task { pieces, work };
        // SAFETY: no helper reads before `begin`.
        unsafe { *CURRENT.0.get() = Some(task) };
        begin(pieces.min(self.threads as u32) - 1);
        run(0, task);
        end();
    }
}

fn run(slot: usize, task: Task) {
    loop {
        let piece = claim();
        if piece >= task.pieces {
            break;
        }
        (task.work)(slot, piece as usize);
    }
}

/// A helper's part in the task; `slot`: which helper it is, from 1 on.
#[wasm_bindgen]
pub fn help(slot: u32) {
    // SAFETY: called between `begin` and `end` only.
    if let Some(task) = unsafe { *CURRENT.0.get() } {
        run(slot as usize, task);
    }
}
