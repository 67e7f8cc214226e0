//! Language-guided cross-scale enhancement.

use burn::nn::Linear as Dense;
use rrsis_kernels::{Counts, LayerNorm, Linear, Precision, Rows, Then, attention, gelu, mean, mlp};

use super::bert::Words;
use super::parameters::{layer_norm, linear, of, side_by_side};
use super::source::Source;
use super::{EPSILON, Tokens, Workspace, grown};
use crate::network::config::CrossScale;
use crate::network::lgce;
use crate::network::trace::Trace;

#[derive(Debug)]
pub(super) struct Lgce {
    guide_h: Guide,
    guide_l: Guide,
    tl_h: Vec<Layer>,
    tl_l: Vec<Layer>,
    /// h's language token into l, and l's into h. Absent without fusion, and in the public code's
    /// form, which changes nothing that anybody reads.
    fusions: Option<[Fusion; 2]>,
    /// Whether the sentence is the mean over padding, too.
    over_positions: bool,
}

/// What stands in front of the visual tokens.
#[derive(Debug)]
enum Guide {
    Language(Linear),
    Learned(Vec<f32>),
}

#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    attend: Attend,
    norm2: LayerNorm,
    mlp: [Linear; 2],
}

/// Self-attention of all tokens.
#[derive(Debug)]
struct Attend {
    qkv: Linear,
    proj: Linear,
    heads: usize,
    precision: Precision,
}

#[derive(Debug)]
struct Fusion {
    project_norm: LayerNorm,
    project: Linear,
    norm: LayerNorm,
    attend: Attend,
}

impl Lgce {
    pub(super) fn new(lgce: lgce::Lgce, precision: Precision, source: &mut impl Source) -> Self {
        let paper = lgce.cross_scale == CrossScale::Paper;
        let fusions = [(lgce.h_to_l, "lgce.h_to_l"), (lgce.l_to_h, "lgce.l_to_h")];
        let fusions = fusions.map(|(fusion, path)| {
            let fusion = source.fill(fusion?, path);
            paper.then(|| Fusion::new(&fusion, precision))
        });
        let mut layers = |layers: Vec<lgce::TransformerLayer>, path: &str| {
            source
                .fill_each(layers, path)
                .map(|layer| Layer::new(&layer, precision))
                .collect()
        };
        let (tl_h, tl_l) = (
            layers(lgce.tl_h, "lgce.tl_h"),
            layers(lgce.tl_l, "lgce.tl_l"),
        );
        let mut guide = |language: Option<Dense>, learned: Option<_>, scale: &str| match language {
            Some(language) => {
                let language = source.fill(language, &format!("lgce.language_{scale}"));
                Guide::Language(linear(&language, Precision::F32))
            }
            None => {
                let token = learned.map(|token| source.fill(token, &format!("lgce.token_{scale}")));
                Guide::Learned(token.as_ref().map(of).unwrap_or_default())
            }
        };
        Self {
            guide_h: guide(lgce.language_h, lgce.token_h, "h"),
            guide_l: guide(lgce.language_l, lgce.token_l, "l"),
            tl_h,
            tl_l,
            fusions: match fusions {
                [Some(h_to_l), Some(l_to_h)] => Some([h_to_l, l_to_h]),
                _ => None,
            },
            over_positions: lgce.cross_scale == CrossScale::Upstream,
        }
    }

    /// Enhanced V3 and V4.
    pub(super) fn forward(
        &self,
        v3: Tokens,
        v4: Tokens,
        words: &Words,
        workspace: &mut Workspace,
        trace: &mut Trace,
    ) -> (Tokens, Tokens) {
        let read = match self.over_positions {
            true => &words.values[..],
            false => words.real(),
        };
        let sentence = mean(read, words.hidden, &workspace.team);
        let run = |guide: &Guide, map: &Tokens, layers: &[Layer], workspace: &mut Workspace| {
            let mut tokens = guide.token(&sentence, workspace);
            let channels = tokens.len();
            tokens.extend_from_slice(&map.values);
            for layer in layers {
                layer.forward(&mut tokens, workspace);
            }
            (tokens, channels)
        };
        let (mut h, of_h) = run(&self.guide_h, &v3, &self.tl_h, workspace);
        let (mut l, of_l) = run(&self.guide_l, &v4, &self.tl_l, workspace);
        let mut record = |name: &str, tokens: &[f32], channels: usize| {
            let shape = [1, tokens.len() / channels, channels];
            trace.record_values(|| name.to_owned(), tokens, &shape);
        };
        record("lgce.TL_h", &h, of_h);
        record("lgce.TL_l", &l, of_l);
        if let Some([h_to_l, l_to_h]) = &self.fusions {
            let token_h = h_to_l.project(&h[..of_h], workspace);
            let token_l = l_to_h.project(&l[..of_l], workspace);
            record("lgce.proj_h", &token_h, of_l);
            record("lgce.proj_l", &token_l, of_h);
            l_to_h.forward(&token_l, &mut h, workspace);
            h_to_l.forward(&token_h, &mut l, workspace);
            record("lgce.out.0", &h, of_h);
            record("lgce.out.1", &l, of_l);
        }
        let visual = |mut tokens: Vec<f32>, channels: usize, map: Tokens| {
            tokens.drain(..channels);
            Tokens {
                values: tokens,
                ..map
            }
        };
        (visual(h, of_h, v3), visual(l, of_l, v4))
    }
}

impl Guide {
    fn token(&self, sentence: &[f32], workspace: &mut Workspace) -> Vec<f32> {
        match self {
            Self::Learned(token) => token.clone(),
            Self::Language(guide) => {
                let mut token = vec![0.0; guide.outputs()];
                let linear = &mut workspace.linear;
                guide.forward(sentence, None, Then::Store, &mut token, linear);
                token
            }
        }
    }
}

impl Layer {
    fn new(layer: &lgce::TransformerLayer, precision: Precision) -> Self {
        Self {
            norm1: layer_norm(&layer.norm1, EPSILON),
            attend: Attend {
                qkv: linear(&layer.qkv, precision),
                proj: linear(&layer.proj, precision),
                heads: layer.heads,
                precision,
            },
            norm2: layer_norm(&layer.norm2, EPSILON),
            mlp: [&layer.mlp.fc1, &layer.mlp.fc2].map(|layer| linear(layer, precision)),
        }
    }

    fn forward(&self, tokens: &mut [f32], workspace: &mut Workspace) {
        self.attend.forward(&self.norm1, tokens, workspace);
        let layers = [&self.mlp[0], &self.mlp[1]];
        mlp(tokens, Some(&self.norm2), layers, &mut workspace.linear);
    }
}

impl Attend {
    /// Adds to the tokens what they, normalised, make of each other.
    fn forward(&self, norm: &LayerNorm, tokens: &mut [f32], workspace: &mut Workspace) {
        let Workspace {
            linear,
            attention: scratch,
            wide,
            context,
            ..
        } = workspace;
        let channels = self.proj.inputs();
        let qkv = grown(wide, 3 * tokens.len());
        self.qkv
            .forward(tokens, Some(norm), Then::Store, qkv, linear);
        let rows = |part: usize| Rows {
            values: &*qkv,
            stride: 3 * channels,
            first: part * channels,
        };
        let count = tokens.len() / channels;
        let counts = Counts {
            queries: count,
            keys: count,
        };
        let heads = [self.heads, channels / self.heads];
        let context = grown(context, tokens.len());
        let rows = [rows(0), rows(1), rows(2)];
        attention(rows, counts, heads, self.precision, context, scratch);
        self.proj.forward(context, None, Then::Add, tokens, linear);
    }
}

impl Fusion {
    fn new(fusion: &lgce::CrossScaleFusion, precision: Precision) -> Self {
        Self {
            project_norm: layer_norm(&fusion.project_norm, EPSILON),
            project: linear(&fusion.project, Precision::F32),
            norm: layer_norm(&fusion.norm, EPSILON),
            attend: Attend {
                qkv: side_by_side(&[&fusion.query, &fusion.key, &fusion.value], precision),
                proj: linear(&fusion.proj, precision),
                heads: fusion.heads,
                precision,
            },
        }
    }

    /// The other scale's language token at this scale's width.
    fn project(&self, token: &[f32], workspace: &mut Workspace) -> Vec<f32> {
        let mut normed = vec![0.0; token.len()];
        self.project_norm.forward(token, &mut normed);
        gelu(&mut normed);
        let mut projected = vec![0.0; self.project.outputs()];
        let linear = &mut workspace.linear;
        self.project
            .forward(&normed, None, Then::Store, &mut projected, linear);
        projected
    }

    /// Eq. (4) and (5): `token` takes the first place among `tokens`, and all attend to each other.
    fn forward(&self, token: &[f32], tokens: &mut [f32], workspace: &mut Workspace) {
        tokens[..token.len()].copy_from_slice(token);
        self.attend.forward(&self.norm, tokens, workspace);
    }
}
