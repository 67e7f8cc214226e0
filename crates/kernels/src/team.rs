//! Work that several threads share.
//!
//! Who the threads are is the program's business ([`Helpers`]): a pool natively, workers in a browser.
//! Here work is cut into pieces that write to different places, and every thread gets memory of its own.
//! Results do not depend on how many threads there are.

use std::marker::PhantomData;
use std::sync::Arc;

/// Threads that can be asked for help.
pub trait Helpers: Send + Sync {
    /// How many threads work, the one that asks included.
    fn threads(&self) -> usize;

    /// Calls `work(slot, piece)` once for every piece from 0 to `pieces`, and returns when all calls have.
    ///
    /// `slot` is less than [`Self::threads`], and no two calls of a slot run at once. `work` neither
    /// allocates memory nor panics, except for a mistake of the program's.
    fn share(&self, pieces: usize, work: &(dyn Fn(usize, usize) + Sync));
}

/// Whoever works on a task: the thread that has it, alone or with helpers.
#[derive(Clone, Default)]
pub struct Team(Option<Arc<dyn Helpers>>);

impl std::fmt::Debug for Team {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Team of {}", self.threads())
    }
}

impl Team {
    /// A thread that asks `helpers` for help.
    ///
    /// # Panics
    /// Where they are more than [`MOST`].
    pub fn new(helpers: Arc<dyn Helpers>) -> Self {
        assert!(
            helpers.threads() <= MOST,
            "{} threads, at most {MOST}",
            helpers.threads()
        );
        Self((helpers.threads() > 1).then_some(helpers))
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.0.as_ref().map_or(1, |helpers| helpers.threads())
    }

    /// `work(memory, piece)` for every piece. `memories`: one for each thread; see [`Self::prepare`].
    pub(crate) fn share<M: Send>(
        &self,
        memories: &mut [M],
        pieces: usize,
        work: impl Fn(&mut M, usize) + Sync,
    ) {
        match &self.0 {
            Some(helpers) if pieces > 1 => {
                assert!(memories.len() >= helpers.threads(), "a memory a thread");
                let memories = Parts::new(memories, 1);
                helpers.share(pieces, &|slot, piece| {
                    // SAFETY: no two calls of a slot run at once.
                    let memory = unsafe { memories.part(slot) };
                    work(&mut memory[0], piece);
                });
            }
            _ => (0..pieces).for_each(|piece| work(&mut memories[0], piece)),
        }
    }

    /// `work(memory, index, part)` for every part of `length` values; the last may have fewer.
    pub(crate) fn share_parts<M: Send, T: Send>(
        &self,
        memories: &mut [M],
        values: &mut [T],
        length: usize,
        work: impl Fn(&mut M, usize, &mut [T]) + Sync,
    ) {
        let parts = Parts::new(values, length);
        self.share(memories, parts.count(), |memory, piece| {
            // SAFETY: every piece is called for once.
            let part = unsafe { parts.part(piece) };
            work(memory, piece, part);
        });
    }

    /// `work(index, part)` for every part of `length` values; the last may have fewer.
    pub fn each_part<T: Send>(
        &self,
        values: &mut [T],
        length: usize,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let mut none = [(); MOST];
        self.share_parts(&mut none, values, length, |(), index, part| {
            work(index, part)
        });
    }

    /// A memory for each thread, grown by `fit` before any of them works: helpers must not allocate.
    pub(crate) fn prepare<M: Default>(&self, memories: &mut Vec<M>, fit: impl FnMut(&mut M)) {
        if memories.len() < self.threads() {
            memories.resize_with(self.threads(), M::default);
        }
        memories.iter_mut().take(self.threads()).for_each(fit);
    }
}

/// Threads that a team may have at most.
pub const MOST: usize = 256;

/// A slice in parts, for threads that each take other ones.
pub(crate) struct Parts<'a, T> {
    values: *mut T,
    count: usize,
    length: usize,
    of: PhantomData<&'a mut [T]>,
}

// SAFETY: parts go to one thread each, which is what the callers of `part` promise.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub(crate) fn new(values: &'a mut [T], length: usize) -> Self {
        Self {
            values: values.as_mut_ptr(),
            count: values.len(),
            length: length.max(1),
            of: PhantomData,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.div_ceil(self.length)
    }

    /// Part `index`.
    ///
    /// # Safety
    /// Nobody else has this part.
    #[allow(clippy::mut_from_ref, reason = "that is what the promise is for")]
    pub(crate) unsafe fn part(&self, index: usize) -> &'a mut [T] {
        let first = index * self.length;
        assert!(first < self.count, "part {index} of {}", self.count());
        let length = self.length.min(self.count - first);
        // SAFETY: inside the slice, and nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.values.add(first), length) }
    }
}

/// Makes room for `size` values, so that growing up to there allocates nothing.
pub(crate) fn reserve<T>(buffer: &mut Vec<T>, size: usize) {
    buffer.reserve(size.saturating_sub(buffer.len()));
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Threads that are started for every task.
    pub(crate) struct Started(pub(crate) usize);

    impl Helpers for Started {
        fn threads(&self) -> usize {
            self.0
        }

        fn share(&self, pieces: usize, work: &(dyn Fn(usize, usize) + Sync)) {
            let next = AtomicUsize::new(0);
            let run = |slot: usize| {
                crate::testing::without_allocating(|| {
                    loop {
                        let piece = next.fetch_add(1, Ordering::Relaxed);
                        if piece >= pieces {
                            break;
                        }
                        work(slot, piece);
                    }
                });
            };
            std::thread::scope(|scope| {
                for slot in 1..self.0 {
                    scope.spawn(move || run(slot));
                }
                run(0);
            });
        }
    }

    /// One thread, and several.
    pub(crate) fn teams() -> [Team; 2] {
        [Team::default(), Team::new(Arc::new(Started(3)))]
    }

    #[test]
    fn every_part_is_worked_on_once() {
        for team in teams() {
            for (count, length) in [(0, 4), (1, 4), (100, 7), (64, 64)] {
                let mut values = vec![0; count];
                team.each_part(&mut values, length, |index, part| {
                    for (place, value) in part.iter_mut().enumerate() {
                        *value += 1 + index * length + place;
                    }
                });
                assert!(values.iter().copied().eq(1..=count));
            }
        }
    }

    #[test]
    fn memories_are_one_thread_s_at_a_time() {
        for team in teams() {
            let mut memories: Vec<Vec<usize>> = Vec::new();
            team.prepare(&mut memories, |memory| reserve(memory, 1000));
            team.share(&mut memories, 1000, |memory, piece| memory.push(piece));
            let mut all: Vec<usize> = memories.concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..1000));
        }
    }
}
