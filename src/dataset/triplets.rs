//! From an annotated scene to expressions and masks (section III-B of the paper): categories,
//! attributes and categories, categories and relations and categories.
//!
//! Masks are unions of classes. With an attribute of single objects they hold the objects that have
//! it; with a relation, the connected regions that stand in it. Only what the scene annotates is
//! asked for. What nobody knows is in [`Referral::ignore`]: it is neither target nor background.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::nearest::Nearest;
use super::relations::{Selection, Shape, Surroundings, UNKNOWN_GSD_M, select};
use super::scene::{IGNORE, LabelMap, Scene};
use super::vocabulary::{
    self, Basis, COVERING, ExpressionKind, OBJECT_ATTRIBUTES, ObjectAttribute, TERMS, Term,
};
use crate::mask::Mask;

/// Which expressions a scene gives: the rules that filter uninformative ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Takes the vocabulary's extensions too.
    pub extended: bool,
    /// Terms that are never a target, by their text.
    pub left_out: &'static [&'static str],
    /// Fewest pixels of a target; a target of fewer is neither present nor absent.
    pub min_target_pixels: u64,
    /// Largest share of the image that the target of a category may cover.
    pub max_category_share: f64,
    /// Largest share of the image that any other target may cover.
    pub max_target_share: f64,
    /// Largest share of its subject that a relation may select; where it selects more, it says no
    /// more than the category.
    pub max_selected_share: f64,
    /// Most expressions with a target: categories, attributes, relations.
    pub max_present: [usize; 3],
    /// Most expressions without target: categories, attributes, relations.
    pub max_absent: [usize; 3],
    /// Largest share of ignored pixels where an expression is said to have no target: one could hide
    /// there.
    pub max_ignored_absent: f64,
    /// Sources and classes of theirs that are outlined only where they cover much: nothing is said to have
    /// no target for want of such a class.
    pub absence_uncertain: &'static [(&'static str, &'static str)],
}

impl Rules {
    /// For RefSegRS: the paper's vocabulary, no expression without target.
    pub fn refsegrs() -> Self {
        Self {
            extended: false,
            left_out: &[],
            min_target_pixels: 64,
            max_category_share: 0.95,
            max_target_share: 0.95,
            max_selected_share: 0.95,
            max_present: [usize::MAX, 12, 12],
            max_absent: [0; 3],
            max_ignored_absent: 0.01,
            absence_uncertain: &[],
        }
    }

    /// For partly annotated scenes of many sources. Trucks and trailers are too few there (two trucks
    /// in all) to be told from vans. The satellite scenes outline parks, and not what grows between villas and beside
    /// roads: all 14 of val that have no vegetation in their labels show some.
    pub fn unified() -> Self {
        Self {
            extended: true,
            left_out: &["truck", "trailer"],
            max_category_share: 1.0,
            max_absent: [2, 1, 1],
            absence_uncertain: &[("dubai", "vegetation")],
            ..Self::refsegrs()
        }
    }
}

/// An expression that fits a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// What is said.
    pub expression: String,
    /// What kind of expression it is.
    pub kind: ExpressionKind,
    /// What it is about.
    pub category: &'static str,
    /// What is meant; without foreground where the scene has no such thing.
    pub mask: Mask,
    /// Pixels that may belong to it or not; without foreground where all is known.
    pub ignore: Mask,
}

/// All expressions of a scene, those with a target first.
pub fn referrals(scene: &Scene, rules: &Rules) -> Vec<Referral> {
    let view = View::new(scene);
    let terms: Vec<(&'static Term, Mask)> = TERMS
        .iter()
        .filter(|term| rules.extended || term.basis != Basis::Extension || is_reference(term))
        .filter(|term| view.annotates(term))
        .map(|term| (term, view.mask(term)))
        .collect();
    let mut chosen = Chosen::new(&view, rules);
    for (term, mask) in &terms {
        if rules.extended || term.basis != Basis::Extension {
            let ignore = view.unknown.clone();
            chosen.add(
                term,
                None,
                term.text.to_owned(),
                term.kind(),
                mask.clone(),
                ignore,
            );
        }
    }
    if rules.extended {
        for attribute in OBJECT_ATTRIBUTES {
            for (term, mask) in &terms {
                if attribute.terms.contains(&term.text) {
                    let (having, uncertain) = view.having(term, mask, attribute);
                    let expression = attribute.expression(term);
                    let ignore = union(&uncertain, &view.unknown);
                    let kind = ExpressionKind::Attribute;
                    chosen.add(term, None, expression, kind, having, ignore);
                }
            }
        }
    }
    relations(&view, terms, rules, &mut chosen);
    chosen.finish()
}

/// The paper's references are terms too, even where they are no subjects.
fn is_reference(term: &Term) -> bool {
    vocabulary::related()
        .any(|related| related.is_of_paper() && related.reference.text == term.text)
}

fn relations(view: &View, terms: Vec<(&'static Term, Mask)>, rules: &Rules, chosen: &mut Chosen) {
    let shapes: BTreeMap<&str, Shape> = terms
        .into_iter()
        .map(|(term, mask)| (term.text, Shape::new(mask)))
        .collect();
    let around = Surroundings {
        covering: &view.covering,
        unknown: &view.unknown,
        nearest_unknown: &Nearest::find(&view.unknown),
        gsd_m: view.scene.gsd_m.unwrap_or(UNKNOWN_GSD_M),
    };
    for related in vocabulary::related() {
        if !rules.extended && !related.is_of_paper() {
            continue;
        }
        let shape = |term: &Term| shapes.get(term.text);
        let (Some(subject), Some(reference)) = (shape(related.subject), shape(related.reference))
        else {
            continue;
        };
        // A few pixels on the edge are neither there nor absent.
        let is_trace = |mask: &Mask| (1..rules.min_target_pixels).contains(&mask.foreground());
        if is_trace(&subject.mask) || is_trace(&reference.mask) {
            continue;
        }
        let Selection {
            selected,
            uncertain,
        } = select(subject, reference, around, related.relation.test());
        let most = rules.max_selected_share * subject.mask.foreground() as f64;
        if selected.foreground() > 0 && selected.foreground() as f64 > most {
            continue;
        }
        let ignore = union(&uncertain, &view.unknown);
        let kind = ExpressionKind::Relation;
        chosen.add(
            related.subject,
            Some(related.reference),
            related.expression(),
            kind,
            selected,
            ignore,
        );
    }
}

/// A scene and what many terms need.
struct View<'a> {
    scene: &'a Scene,
    unknown: Mask,
    covering: Mask,
}

impl<'a> View<'a> {
    fn new(scene: &'a Scene) -> Self {
        let covering: Vec<u8> = labels_of(scene, COVERING.iter().copied());
        Self {
            scene,
            unknown: mask_of(&scene.labels, |label| label == IGNORE),
            covering: mask_of(&scene.labels, |label| covering.contains(&label)),
        }
    }

    /// Whether the scene labels all of the term, so that its absence means something.
    fn annotates(&self, term: &Term) -> bool {
        let annotated = |class: &&str| self.scene.annotated.iter().any(|name| name == class);
        term.class_sets.iter().any(|set| set.iter().all(annotated))
    }

    fn mask(&self, term: &Term) -> Mask {
        let wanted = labels_of(self.scene, term.classes());
        let mut mask = mask_of(&self.scene.labels, |label| wanted.contains(&label));
        let painted = labels_of(self.scene, term.painted.iter().copied());
        if !painted.is_empty() {
            self.add_painted(&mut mask, &painted);
        }
        mask
    }

    /// Adds each region of paint if most of the ground that it touches is in the mask.
    fn add_painted(&self, mask: &mut Mask, painted: &[u8]) {
        let labels = &self.scene.labels;
        let paint = Shape::new(mask_of(labels, |label| painted.contains(&label)));
        let mut touching = vec![(0u32, 0u32); paint.regions.count];
        for at in 0..labels.data.len() {
            let is_ground = self.covering.data[at] == 0 && self.unknown.data[at] == 0;
            if is_ground && paint.mask.data[at] == 0 && paint.nearest.within(at, 1.5) {
                let region = paint.regions.of[paint.nearest.index[at] as usize];
                let (inside, all) = &mut touching[region as usize - 1];
                *inside += u32::from(mask.data[at]);
                *all += 1;
            }
        }
        for (pixel, region) in mask.data.iter_mut().zip(&paint.regions.of) {
            if *region > 0 {
                let (inside, all) = touching[*region as usize - 1];
                *pixel |= u8::from(2 * inside > all);
            }
        }
    }

    /// The pixels of a term's objects that have an attribute, and those of which nobody knows.
    fn having(&self, term: &Term, mask: &Mask, attribute: &ObjectAttribute) -> (Mask, Mask) {
        #[derive(Clone, Copy, PartialEq)]
        enum Has {
            Yes,
            No,
            Unknown,
        }
        let (width, height) = (mask.width, mask.height);
        let mut has: Vec<Option<Has>> = vec![None; width * height];
        for instance in &self.scene.instances {
            let is_of_term = term.classes().any(|class| class == instance.class);
            let Some(label) = self.scene.classes.index_of(&instance.class) else {
                continue;
            };
            if !is_of_term {
                continue;
            }
            let value = match instance.attributes.get(attribute.key) {
                Some(value) if value == attribute.value => Has::Yes,
                Some(_) => Has::No,
                None => Has::Unknown,
            };
            instance.outline.fill(width, height, |at| {
                if self.scene.labels.data[at] == label {
                    // Outlines may overlap, and then they must agree.
                    has[at] = match has[at] {
                        Some(other) if other != value => Some(Has::Unknown),
                        _ => Some(value),
                    };
                }
            });
        }
        let pick = |wanted: &dyn Fn(Option<Has>) -> bool| Mask {
            width,
            height,
            data: has
                .iter()
                .zip(&mask.data)
                .map(|(has, inside)| inside & u8::from(wanted(*has)))
                .collect(),
        };
        (
            pick(&|has| has == Some(Has::Yes)),
            pick(&|has| matches!(has, None | Some(Has::Unknown))),
        )
    }
}

fn labels_of(scene: &Scene, classes: impl Iterator<Item = &'static str>) -> Vec<u8> {
    classes
        .filter_map(|class| scene.classes.index_of(class))
        .collect()
}

fn mask_of(labels: &LabelMap, wanted: impl Fn(u8) -> bool) -> Mask {
    Mask {
        width: labels.width,
        height: labels.height,
        data: labels
            .data
            .iter()
            .map(|label| u8::from(wanted(*label)))
            .collect(),
    }
}

fn union(one: &Mask, other: &Mask) -> Mask {
    let data = one.data.iter().zip(&other.data).map(|(a, b)| a | b);
    Mask {
        data: data.collect(),
        ..*one
    }
}

/// Collects the expressions that the rules let through.
struct Chosen<'a> {
    scene: &'a Scene,
    rules: &'a Rules,
    /// Pixels that the scene itself ignores.
    unknown: u64,
    present: Vec<Referral>,
    absent: Vec<Referral>,
}

impl<'a> Chosen<'a> {
    fn new(view: &View<'a>, rules: &'a Rules) -> Self {
        Self {
            scene: view.scene,
            rules,
            unknown: view.unknown.foreground(),
            present: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Adds an expression that means a term, perhaps where it lies at another one.
    fn add(
        &mut self,
        term: &Term,
        reference: Option<&Term>,
        expression: String,
        kind: ExpressionKind,
        mask: Mask,
        ignore: Mask,
    ) {
        if self.rules.left_out.contains(&term.text) {
            return;
        }
        let most = match kind {
            ExpressionKind::Category => self.rules.max_category_share,
            _ => self.rules.max_target_share,
        };
        let pixels = mask.data.len() as f64;
        let target = mask.foreground();
        let referral = Referral {
            expression,
            kind,
            category: term.category,
            mask,
            ignore,
        };
        if target == 0 {
            // The scene's own unknown pixels may be a few; an object in question may not.
            let in_question = referral.ignore.foreground() > self.unknown;
            let ignored = self.unknown as f64 / pixels;
            let mut classes = term
                .classes()
                .chain(reference.into_iter().flat_map(Term::classes));
            let uncertain = classes.any(|class| {
                let named = (self.scene.origin.source.as_str(), class);
                self.rules.absence_uncertain.contains(&named)
            });
            if ignored <= self.rules.max_ignored_absent && !in_question && !uncertain {
                self.absent.push(referral);
            }
        } else if target >= self.rules.min_target_pixels && target as f64 <= most * pixels {
            self.present.push(referral);
        }
    }

    fn finish(mut self) -> Vec<Referral> {
        let mut left = self.rules.max_present;
        let present = std::mem::take(&mut self.present);
        let mut chosen = self.draw(present, &mut left);
        chosen.sort_by_key(|(order, _)| *order);
        let mut absent_left = self.rules.max_absent;
        let absent = std::mem::take(&mut self.absent);
        chosen.extend(self.draw(absent, &mut absent_left));
        chosen.into_iter().map(|(_, referral)| referral).collect()
    }

    /// Up to so many of each kind: another choice for each scene, but the same one in each run.
    /// With each its place before the draw.
    fn draw(&self, referrals: Vec<Referral>, left: &mut [usize; 3]) -> Vec<(usize, Referral)> {
        let mut drawn: Vec<(usize, Referral)> = referrals.into_iter().enumerate().collect();
        drawn.sort_by_cached_key(|(_, referral)| {
            Sha256::digest(sample_id(&self.scene.name, &referral.expression)).to_vec()
        });
        drawn.retain(|(_, referral)| {
            let kind = ExpressionKind::ALL
                .iter()
                .position(|kind| *kind == referral.kind);
            let left = &mut left[kind.unwrap_or_default()];
            let keep = *left > 0;
            *left -= usize::from(keep);
            keep
        });
        drawn
    }
}

/// `dubai/t1_p5_x0y0` and "bare land" make `dubai-t1_p5_x0y0-bare_land`.
pub(super) fn sample_id(scene: &str, expression: &str) -> String {
    format!(
        "{}-{}",
        scene.replace('/', "-"),
        expression.replace(' ', "_")
    )
}
