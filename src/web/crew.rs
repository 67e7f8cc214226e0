//! Other workers that compute tiles of a large image (`www/lib/crew.js`).

use js_sys::{Float32Array, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::mask::MarginMap;
use crate::segmenter::Job;

#[wasm_bindgen]
extern "C" {
    /// Those who help with one image. Nothing that they are asked throws.
    pub type Crew;

    /// How many tiles they take now, where nobody has `open` of them.
    #[wasm_bindgen(method)]
    fn room(this: &Crew, open: usize) -> usize;

    #[wasm_bindgen(method)]
    fn give(this: &Crew, tile: usize, side: usize, rgb: Vec<u8>);

    /// A tile that is finished, or was given up.
    #[wasm_bindgen(method)]
    fn take(this: &Crew) -> Option<Finished>;

    /// Resolves when there is one, or when nobody wants it any more; never rejects.
    #[wasm_bindgen(method, js_name = wait)]
    fn next(this: &Crew) -> Promise;

    /// A tile and its map.
    type Finished;

    #[wasm_bindgen(method, getter)]
    fn tile(this: &Finished) -> usize;

    /// Undefined where it was given up.
    #[wasm_bindgen(method, getter)]
    fn margin(this: &Finished) -> Option<Float32Array>;
}

impl Crew {
    /// Gives them as many tiles as they take.
    pub(super) fn hand_out(&self, job: &mut Job<'_>) {
        while self.room(job.open()) > 0
            && let Some((tile, image)) = job.hand_out()
        {
            self.give(tile, image.width, image.rgb);
        }
    }

    /// Takes what they have finished.
    pub(super) fn hand_in(&self, job: &mut Job<'_>) {
        while let Some(finished) = self.take() {
            let margin = finished.margin().map(|values| {
                let data = values.to_vec();
                // Square, as tiles are; what is not does not fit.
                let side = data.len().isqrt();
                MarginMap {
                    width: side,
                    height: side,
                    data,
                }
            });
            job.hand_in(finished.tile(), margin);
        }
    }

    pub(super) async fn wait(&self) {
        let _ = JsFuture::from(self.next()).await;
    }
}
