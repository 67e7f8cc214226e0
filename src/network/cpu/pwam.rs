//! Pixel-word attention and the language gate.

use rrsis_kernels::{
    Linear, Matrix, Precision, Then, add_gated, centre, instance_norm, multiply, softmax,
};

use super::bert::Words;
use super::parameters::{linear, of};
use super::{SHARE, Workspace, grown};
use crate::network::pwam;
use crate::network::trace::Trace;

#[derive(Debug)]
pub(super) struct Pwam {
    vis_project: Linear,
    query: Linear,
    key: Linear,
    value: Linear,
    lang_project: Linear,
    mm_project: Linear,
}

impl Pwam {
    pub(super) fn new(pwam: &pwam::Pwam, precision: Precision) -> Self {
        // What an instance normalisation follows keeps its digits: it amplifies them.
        let exact = |layer| linear(layer, Precision::F32);
        let [inputs, outputs] = pwam.lang_project.weight.val().dims();
        Self {
            vis_project: linear(&pwam.vis_project, precision),
            query: exact(&pwam.query),
            key: exact(&pwam.key),
            value: exact(&pwam.value),
            // The normalisation takes its bias away.
            lang_project: Linear::new(
                &of(&pwam.lang_project.weight),
                [inputs, outputs],
                None,
                Precision::F32,
            ),
            mm_project: linear(&pwam.mm_project, precision),
        }
    }

    /// The language-aware features of a stage, into `fused`.
    pub(super) fn forward(
        &self,
        tokens: &[f32],
        words: &Words,
        fused: &mut Vec<f32>,
        workspace: &mut Workspace,
        stage: &str,
        trace: &mut Trace,
    ) {
        let channels = self.query.outputs();
        let count = tokens.len() / channels;
        let shape = [1, count, channels];
        let Workspace {
            team,
            linear,
            wide,
            context,
            ..
        } = workspace;

        // Padding contributes neither keys nor values, and its weight is exactly 0.
        let project = |layer: &Linear, rows: &[f32], linear: &mut _| {
            let mut out = vec![0.0; rows.len() / layer.inputs() * layer.outputs()];
            layer.forward(rows, None, Then::Store, &mut out, linear);
            out
        };
        let keys = project(&self.key, words.real(), linear);
        // What language becomes is linear in the words: projecting these is less work than pixels.
        let values = project(&self.value, words.real(), linear);
        let values = project(&self.lang_project, &values, linear);
        let scale = (channels as f32).powf(-0.5);
        let keys = Matrix::pack(channels, words.real, |channel, word| {
            keys[word * channels + channel] * scale
        });
        let values = Matrix::pack(words.real, channels, |word, channel| {
            values[word * channels + channel]
        });

        let query = grown(context, tokens.len());
        self.query.forward(tokens, None, Then::Store, query, linear);
        instance_norm(query, channels, team);
        let weights = grown(wide, count * words.real);
        keys.product_of_rows(query, weights, team);
        team.each_part(weights, SHARE * words.real, |_, weights| {
            softmax(weights, words.real);
        });
        // Before the normalisation, as in `network::pwam`.
        centre(weights, words.real, team);
        let lang = query;
        values.product_of_rows(weights, lang, team);
        instance_norm(lang, channels, team);
        trace.record_values(|| format!("{stage}.pwam.lang"), lang, &shape);

        let vis = grown(wide, tokens.len());
        self.vis_project
            .forward(tokens, None, Then::Gelu, vis, linear);
        let length = SHARE * channels;
        team.each_part(vis, length, |index, vis| {
            multiply(vis, &lang[index * length..][..vis.len()]);
        });
        fused.resize(tokens.len(), 0.0);
        self.mm_project
            .forward(vis, None, Then::Gelu, fused, linear);
    }
}

#[derive(Debug)]
pub(super) struct LanguageGate {
    reduce: Linear,
    expand: Linear,
}

impl LanguageGate {
    pub(super) fn new(gate: &pwam::LanguageGate, precision: Precision) -> Self {
        Self {
            reduce: linear(&gate.reduce, precision),
            expand: linear(&gate.expand, precision),
        }
    }

    /// `tokens` gain as much of `fused` as the gate lets through.
    pub(super) fn forward(
        &self,
        tokens: &mut [f32],
        fused: &[f32],
        workspace: &mut Workspace,
        stage: &str,
        trace: &mut Trace,
    ) {
        let Workspace {
            team,
            linear,
            wide,
            context,
            ..
        } = workspace;
        let reduced = grown(wide, fused.len());
        self.reduce
            .forward(fused, None, Then::Relu, reduced, linear);
        let steps = grown(context, fused.len());
        self.expand
            .forward(reduced, None, Then::Store, steps, linear);
        if trace.is_on() {
            let gate: Vec<f32> = steps.iter().map(|step| step.tanh()).collect();
            let channels = self.expand.outputs();
            let shape = [1, gate.len() / channels, channels];
            trace.record_values(|| format!("{stage}.gate"), &gate, &shape);
        }
        let length = SHARE * self.expand.outputs();
        team.each_part(tokens, length, |index, tokens| {
            let part = index * length..index * length + tokens.len();
            add_gated(tokens, &steps[part.clone()], &fused[part]);
        });
    }
}
