//! The network as plain CPUs compute it: the same blocks over slices, by `rrsis-kernels`.
//!
//! What the network is stands in the modules beside this one, in burn's operations; from them this one is
//! made, once, when weights have been loaded. Here a block reads what the one before wrote, where it
//! lies: no copies for windows, heads or neighbourhoods; normalisation, bias, GELU and residual
//! connections are part of the products beside them; matrices are packed once. In [`Precision::Int8`]
//! linear layers and the decoder's convolutions are products of integers.
//!
//! Images and expressions come one at a time. Tokens are `[height * width, channels]`, row-major.

mod bert;
mod cnn;
mod decoder;
mod lgce;
mod parameters;
mod pwam;
mod source;
mod swin;

use rrsis_kernels::{AttentionScratch, ConvScratch, LayerNorm, Map, Precision, Scratch, Team};

pub use self::bert::{CpuBert, Words};
use self::cnn::Cnn;
use self::decoder::Decoder;
use self::lgce::Lgce;
pub use self::source::{Filled, Source};
use self::swin::Swin;
use super::config::NetworkConfig;
use super::model::LgceNetwork;
use super::trace::Trace;

/// Epsilon of the layer normalisations on the vision side.
const EPSILON: f32 = super::kernels::EPSILON as f32;

/// The vision side: image and word features in, logits out.
#[derive(Debug)]
pub struct CpuNetwork {
    swin: Swin,
    cnn: Option<Cnn>,
    lgce: Option<Lgce>,
    decoder: Decoder,
}

/// Tokens of a feature map.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// `[height * width, channels]`.
    pub values: Vec<f32>,
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
}

/// What of an image does not depend on the expression.
#[derive(Clone, Debug, Default)]
pub struct ImageTokens {
    /// What leaves the blocks of stage 1.
    pub stem: Tokens,
    /// What a convolutional encoder has seen, for its decoder; empty without one.
    pub seen: Vec<Tokens>,
}

/// Who computes the network, and what is written between its blocks, kept from one image to the next.
#[derive(Debug, Default)]
pub struct Workspace {
    team: Team,
    linear: Scratch,
    attention: AttentionScratch,
    conv: ConvScratch,
    /// Tokens, as wide as the block makes them.
    wide: Vec<f32>,
    context: Vec<f32>,
    fused: Vec<f32>,
    /// V1 to V4 as maps, and what the decoder makes of them.
    maps: [Map; 4],
    upsampled: Map,
    convolved: [Map; 2],
    lines: Vec<Vec<f32>>,
}

impl Workspace {
    /// For work that `team` shares; [`Workspace::default`] is for one thread.
    pub fn new(team: Team) -> Self {
        Self {
            linear: Scratch::new(team.clone()),
            attention: AttentionScratch::new(team.clone()),
            conv: ConvScratch::new(team.clone()),
            team,
            ..Self::default()
        }
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        let buffers = [&self.wide, &self.context, &self.fused];
        let maps = self
            .maps
            .iter()
            .chain([&self.upsampled])
            .chain(&self.convolved);
        self.linear.bytes()
            + self.attention.bytes()
            + self.conv.bytes()
            + buffers
                .into_iter()
                .chain(&self.lines)
                .map(|buffer| buffer.capacity() * size_of::<f32>())
                .sum::<usize>()
            + maps.map(Map::bytes).sum::<usize>()
    }
}

/// Logits at a quarter of the image's size.
#[derive(Clone, Debug)]
pub struct Logits {
    /// Background, then foreground: `[2, height, width]`.
    pub values: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl CpuNetwork {
    /// The form of `network`, built from `config`, that this module computes; `source` has what parameters it
    /// lacks.
    pub fn new(
        network: LgceNetwork,
        config: &NetworkConfig,
        precision: Precision,
        source: &mut impl Source,
    ) -> Self {
        Self {
            swin: Swin::new(network.swin, precision, source),
            cnn: match (network.cnn, network.cnn_decoder) {
                (Some(cnn), Some(decoder)) => Some(Cnn::new(cnn, decoder, precision, source)),
                _ => None,
            },
            lgce: network.lgce.map(|lgce| Lgce::new(lgce, precision, source)),
            decoder: Decoder::new(network.decoder, config, precision, source),
        }
    }

    /// The part of the work that every expression on the same image shares.
    ///
    /// `image`: normalised RGB, `[3, height, width]`.
    pub fn encode_image(
        &self,
        image: &[f32],
        [height, width]: [usize; 2],
        workspace: &mut Workspace,
        trace: &mut Trace,
    ) -> ImageTokens {
        let size = [height, width];
        ImageTokens {
            seen: match &self.cnn {
                Some(cnn) => cnn.see(image, size, workspace),
                None => Vec::new(),
            },
            stem: self.swin.stem(image, size, workspace, trace),
        }
    }

    /// The rest. `image`: what [`Self::encode_image`] gave.
    pub fn forward(
        &self,
        image: &ImageTokens,
        words: &Words,
        workspace: &mut Workspace,
        trace: &mut Trace,
    ) -> Logits {
        // V1 and V2 are maps already; LGCE works on V3 and V4.
        let [v3, v4] = self.swin.encode(&image.stem, words, workspace, trace);
        let (v3, v4) = match &self.lgce {
            Some(lgce) => lgce.forward(v3, v4, words, workspace, trace),
            None => (v3, v4),
        };
        v3.write_into(&mut workspace.maps[2]);
        v4.write_into(&mut workspace.maps[3]);
        let mut logits = self.decoder.forward(workspace, trace);
        if let Some(cnn) = &self.cnn {
            let (_, foreground) = logits.values.split_at_mut(logits.height * logits.width);
            cnn.add(&image.seen, words, foreground, workspace);
        }
        logits
    }
}

impl Tokens {
    fn channels(&self) -> usize {
        self.values.len() / (self.height * self.width).max(1)
    }

    fn write_into(&self, map: &mut Map) {
        let channels = self.channels();
        map.shape(self.height, self.width, channels);
        for (y, row) in self.values.chunks_exact(self.width * channels).enumerate() {
            map.row_mut(y).copy_from_slice(row);
        }
    }

    fn record(&self, trace: &mut Trace, name: impl FnOnce() -> String) {
        let shape = [1, self.height * self.width, self.channels()];
        trace.record_values(name, &self.values, &shape);
    }
}

/// Tokens that a thread takes at a time where little is done to each.
const SHARE: usize = 256;

/// `out` becomes `rows`, each normalised over its channels.
fn normalise(norm: &LayerNorm, rows: &[f32], out: &mut [f32], team: &Team) {
    let length = SHARE * norm.gamma.len();
    team.each_part(out, length, |index, out| {
        norm.forward(&rows[index * length..][..out.len()], out);
    });
}

/// The first `size` values of a buffer that is made large enough; what they hold is left open.
fn grown(buffer: &mut Vec<f32>, size: usize) -> &mut [f32] {
    if buffer.len() < size {
        buffer.resize(size, 0.0);
    }
    &mut buffer[..size]
}
