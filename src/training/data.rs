//! Training samples on their way to the network.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::TrainingError;
use super::augment::augment;
use super::config::{AugmentationConfig, TrainingConfig};
use super::random::{Purpose, Random};
use crate::dataset::release::{Split, Triplet};
use crate::error::Result;
use crate::expression::{ExpressionTokenizer, TokenizedExpression};
use crate::weights::manifest::InputSpec;

/// Threads that read, decode and resize, and batches that each keeps ready.
const WORKERS: usize = 4;
const READY: usize = 2;

/// A training split, and how its samples become the network's input.
#[derive(Debug)]
pub struct Samples {
    triplets: Vec<Triplet>,
    /// Of each triplet, in the same order.
    tokens: Vec<TokenizedExpression>,
    input: InputSpec,
    augmentation: AugmentationConfig,
    seed: u64,
    batch_size: usize,
}

/// Input and target of one step, on the CPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    size: usize,
    side: usize,
    /// `[size, 3, side, side]`, normalised.
    images: Vec<f32>,
    /// `[size, 1, side, side]`: 1 where the expression refers to the pixel, else 0.
    targets: Vec<f32>,
    /// `[size, words]`.
    ids: Vec<i32>,
    /// `[size, words]`: 1 on real words, 0 on padding.
    mask: Vec<f32>,
}

impl Samples {
    /// The samples of `split`; every expression is tokenized, so that one that cannot be is found
    /// before the training begins.
    ///
    /// # Errors
    /// [`TrainingError::TooFewSamples`], [`TrainingError::Expression`].
    pub fn new(
        split: Split,
        tokenizer: &ExpressionTokenizer,
        input: InputSpec,
        config: &TrainingConfig,
    ) -> Result<Self> {
        let batch_size = config.batch_size;
        if split.triplets.len() < batch_size {
            return Err(TrainingError::TooFewSamples {
                data: split.root,
                split: split.name,
                samples: split.triplets.len(),
                batch_size,
            }
            .into());
        }
        let tokens = split
            .triplets
            .iter()
            .map(|triplet| {
                tokenizer
                    .encode(&triplet.expression, input.max_tokens)
                    .map_err(|source| TrainingError::Expression {
                        id: triplet.id.clone(),
                        split: split.name.clone(),
                        data: split.root.clone(),
                        source,
                    })
            })
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self {
            triplets: split.triplets,
            tokens,
            input,
            augmentation: config.augmentation.clone(),
            seed: config.seed,
            batch_size,
        })
    }

    /// Number of samples.
    pub fn count(&self) -> usize {
        self.triplets.len()
    }

    /// Full batches in the split; the samples that are left over differ from epoch to epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.triplets.len() / self.batch_size
    }

    /// The batch of step `step` (from 0, over all epochs). A function of the seed and the step.
    ///
    /// # Errors
    /// [`crate::dataset::DatasetError`] where an image or mask cannot be used.
    pub fn batch(&self, step: usize) -> Result<Batch> {
        let epoch = step / self.steps_per_epoch();
        let first = step % self.steps_per_epoch() * self.batch_size;
        let order = Random::new(self.seed, Purpose::Order, &[epoch as u64])
            .permutation(self.triplets.len());
        let side = self.input.size;
        let mut batch = Batch {
            size: self.batch_size,
            side,
            images: Vec::with_capacity(self.batch_size * 3 * side * side),
            targets: Vec::with_capacity(self.batch_size * side * side),
            ids: Vec::with_capacity(self.batch_size * self.input.max_tokens),
            mask: Vec::with_capacity(self.batch_size * self.input.max_tokens),
        };
        for &sample in &order[first..first + self.batch_size] {
            self.add(sample, epoch, &mut batch)?;
        }
        Ok(batch)
    }

    fn add(&self, sample: usize, epoch: usize, batch: &mut Batch) -> Result<()> {
        let (triplet, tokens) = (&self.triplets[sample], &self.tokens[sample]);
        let image = triplet.decode_image(&triplet.read_image()?)?;
        let mask = triplet.read_mask(&image)?;
        let side = self.input.size;
        let labels = [epoch as u64, sample as u64];
        let mut random = Random::new(self.seed, Purpose::Augmentation, &labels);
        let (image, mask) = augment(
            &self.augmentation,
            &mut random,
            image.resize_exact(side, side),
            mask.resize_nearest(side, side),
        );
        let pixels = image.normalised_chw(self.input.mean, self.input.std);
        batch.images.extend(pixels);
        batch
            .targets
            .extend(mask.data.iter().map(|bit| f32::from(*bit)));
        batch.ids.extend(&tokens.ids);
        batch
            .mask
            .extend(tokens.mask.iter().map(|bit| f32::from(*bit)));
        Ok(())
    }

    /// The batches of some steps in their order, made ahead by threads of `scope`. The threads end
    /// when the batches are dropped.
    pub(super) fn batches<'scope, 'env>(
        &'env self,
        steps: std::ops::Range<usize>,
        scope: &'scope Scope<'scope, 'env>,
    ) -> Batches {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = cores.min(WORKERS);
        let receivers = (0..workers)
            .map(|worker| {
                let (sender, receiver) = sync_channel(READY);
                let mut own = steps.clone().skip(worker).step_by(workers);
                scope.spawn(move || {
                    // Nobody listens any more: the training has ended.
                    own.all(|step| sender.send(self.batch(step)).is_ok());
                });
                receiver
            })
            .collect();
        Batches { receivers, next: 0 }
    }
}

/// Batches in order; each thread makes every n-th of them.
pub(super) struct Batches {
    receivers: Vec<Receiver<Result<Batch>>>,
    next: usize,
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let receiver = &self.receivers[self.next];
        self.next = (self.next + 1) % self.receivers.len();
        receiver.recv().ok()
    }
}

impl Batch {
    /// Samples in it.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Normalised RGB, `[batch, 3, side, side]`.
    pub fn images(&self, device: &Device) -> Tensor<4> {
        let shape = [self.size, 3, self.side, self.side];
        Tensor::from_data(TensorData::new(self.images.clone(), shape), device)
    }

    /// 1 where the expression refers to the pixel, else 0, `[batch, 1, side, side]`.
    pub fn targets(&self, device: &Device) -> Tensor<4> {
        let shape = [self.size, 1, self.side, self.side];
        Tensor::from_data(TensorData::new(self.targets.clone(), shape), device)
    }

    /// Word pieces, `[batch, words]`.
    pub fn ids(&self, device: &Device) -> Tensor<2, Int> {
        let shape = [self.size, self.ids.len() / self.size];
        Tensor::from_data(TensorData::new(self.ids.clone(), shape), device)
    }

    /// 1 on real words, 0 on padding, `[batch, words]`.
    pub fn mask(&self, device: &Device) -> Tensor<2> {
        let shape = [self.size, self.mask.len() / self.size];
        Tensor::from_data(TensorData::new(self.mask.clone(), shape), device)
    }
}
