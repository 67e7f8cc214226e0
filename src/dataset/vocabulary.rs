//! The vocabulary: which words refer to which classes (Table I of the paper, section III), as one
//! table.
//!
//! The paper composes its expressions from 14 categories, 5 attributes and 7 spatial relations, and
//! maps each to SkyScapes' 20 classes by *identity* ("road marking" is lane marking) or *inclusion*
//! ("light-duty vehicle" is car and van). What stands here comes from three places, and each entry
//! says from which ([`Basis`]):
//!
//! - **paper**: printed there or in the public description of its data set: the categories, "light-duty",
//!   "heavy-duty", "long", "paved" and "unpaved", and the expressions "vehicle in the parking area",
//!   "light-duty vehicle driving on the road", "building along the road", "sidewalk along with tree",
//!   "building with a parking lot", from which five of the relations are read;
//! - **inferred**: the relations "on" and "beside", most pairs of subject and reference, the exact
//!   members of the unions (a trailer is a vehicle, but neither light- nor heavy-duty), that a road
//!   and a parking area own the markings painted on them, and every number of [`Test`];
//! - **extension**: ours, for the scenes of other sources: vegetation, water, bare land, parking area
//!   as a subject, and attributes of single objects (roof material, tone, colour).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Where an entry of the table comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Printed in the paper or in the description of its data set.
    Paper,
    /// In the paper's spirit, but not known to be in it.
    Inferred,
    /// Ours.
    Extension,
}

/// What an expression says about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpressionKind {
    /// Its category alone: "building".
    Category,
    /// Its category and what it is like: "light-duty vehicle".
    Attribute,
    /// Where it is: "building along the road".
    Relation,
}

impl ExpressionKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Category, Self::Attribute, Self::Relation];

    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::Attribute => "attribute",
            Self::Relation => "relation",
        }
    }
}

/// A noun phrase and the classes it covers.
#[derive(Debug)]
pub struct Term {
    /// The phrase: "light-duty vehicle".
    pub text: &'static str,
    /// The category: "vehicle".
    pub category: &'static str,
    /// The attribute, if there is one: "light-duty".
    pub attribute: Option<&'static str>,
    /// Sets of classes. All of them belong to the term (inclusion; identity where there is one); a
    /// scene tells all of the term where it annotates every class of one of the sets.
    pub class_sets: &'static [&'static [&'static str]],
    /// Classes that belong to the term where a scene has them.
    pub also: &'static [&'static str],
    /// Classes painted on the term's surface: their regions belong to it where it surrounds them.
    pub painted: &'static [&'static str],
    /// Where it comes from.
    pub basis: Basis,
}

const fn term(
    text: &'static str,
    class_sets: &'static [&'static [&'static str]],
    basis: Basis,
) -> Term {
    Term {
        text,
        category: text,
        attribute: None,
        class_sets,
        also: &[],
        painted: &[],
        basis,
    }
}

const fn with_attribute(
    text: &'static str,
    attribute: &'static str,
    category: &'static str,
    class_sets: &'static [&'static [&'static str]],
    basis: Basis,
) -> Term {
    Term {
        category,
        attribute: Some(attribute),
        ..term(text, class_sets, basis)
    }
}

const fn surface(term: Term) -> Term {
    Term {
        painted: &["lane marking"],
        ..term
    }
}

use Basis::{Extension, Inferred, Paper};

/// Every noun phrase: categories, then attributes that the classes themselves tell.
pub const TERMS: &[Term] = &[
    surface(term(
        "road",
        &[&["road"], &["paved road", "non-paved road"]],
        Paper,
    )),
    Term {
        also: &["large truck", "trailer"],
        ..term("vehicle", &[&["car", "van", "truck", "bus"]], Paper)
    },
    term("car", &[&["car"]], Paper),
    term("van", &[&["van"]], Paper),
    term("building", &[&["building"]], Paper),
    Term {
        also: &["large truck"],
        ..term("truck", &[&["truck"]], Paper)
    },
    term("trailer", &[&["trailer"]], Paper),
    term("bus", &[&["bus"]], Paper),
    term("road marking", &[&["lane marking"]], Paper),
    term("bikeway", &[&["bikeway"]], Paper),
    term("sidewalk", &[&["sidewalk"]], Paper),
    term("tree", &[&["tree"]], Paper),
    term("low vegetation", &[&["low vegetation"]], Paper),
    term("impervious surface", &[&["impervious surface"]], Paper),
    surface(term(
        "parking area",
        &[&["paved parking place", "non-paved parking place"]],
        Extension,
    )),
    term(
        "vegetation",
        &[&["vegetation"], &["tree", "low vegetation"]],
        Extension,
    ),
    term("water", &[&["water"]], Extension),
    term("bare land", &[&["bare land"]], Extension),
    with_attribute(
        "light-duty vehicle",
        "light-duty",
        "vehicle",
        &[&["car", "van"]],
        Paper,
    ),
    Term {
        also: &["large truck"],
        ..with_attribute(
            "heavy-duty vehicle",
            "heavy-duty",
            "vehicle",
            &[&["truck", "bus"]],
            Paper,
        )
    },
    with_attribute("long truck", "long", "truck", &[&["large truck"]], Paper),
    surface(with_attribute(
        "paved road",
        "paved",
        "road",
        &[&["paved road"]],
        Paper,
    )),
    surface(with_attribute(
        "unpaved road",
        "unpaved",
        "road",
        &[&["non-paved road"]],
        Paper,
    )),
    surface(with_attribute(
        "paved parking area",
        "paved",
        "parking area",
        &[&["paved parking place"]],
        Extension,
    )),
    surface(with_attribute(
        "unpaved parking area",
        "unpaved",
        "parking area",
        &[&["non-paved parking place"]],
        Extension,
    )),
];

/// Classes that stand on the ground or hide it, and so say nothing about what lies beneath.
pub const COVERING: &[&str] = &[
    "car",
    "van",
    "truck",
    "large truck",
    "bus",
    "trailer",
    "tree",
];

/// Something that only an annotation of the single object tells.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectAttribute {
    /// Key among the object's attributes: "roof_material".
    pub key: &'static str,
    /// Its value: "clay tiles".
    pub value: &'static str,
    /// Terms it is said of.
    pub terms: &'static [&'static str],
    /// Where the term stands between what comes before and what comes after: ("", " with tin roof").
    pub wording: (&'static str, &'static str),
}

/// Not "vehicle", for a light vehicle is a light-duty one.
const COLOURED: &[&str] = &["car", "van", "bus"];

/// All of them are extensions.
pub const OBJECT_ATTRIBUTES: &[ObjectAttribute] = &[
    roof("tin", " with tin roof"),
    roof("concrete", " with concrete roof"),
    roof("clay tiles", " with clay tile roof"),
    roof("metal", " with metal roof"),
    of_vehicle("tone", "light", "light-coloured "),
    of_vehicle("tone", "dark", "dark "),
    of_vehicle("colour", "white", "white "),
    of_vehicle("colour", "black", "black "),
    of_vehicle("colour", "red", "red "),
    of_vehicle("colour", "blue", "blue "),
];

const fn roof(value: &'static str, after: &'static str) -> ObjectAttribute {
    ObjectAttribute {
        key: "roof_material",
        value,
        terms: &["building"],
        wording: ("", after),
    }
}

const fn of_vehicle(
    key: &'static str,
    value: &'static str,
    before: &'static str,
) -> ObjectAttribute {
    ObjectAttribute {
        key,
        value,
        terms: COLOURED,
        wording: (before, ""),
    }
}

impl ObjectAttribute {
    /// "dark car", "building with tin roof".
    pub fn expression(&self, term: &Term) -> String {
        format!("{}{}{}", self.wording.0, term.text, self.wording.1)
    }
}

/// The spatial relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// "car on the road": most of the ground around it is road.
    On,
    /// "car driving on the road": all but a little of the ground around it is road, so it does not
    /// stand at the kerb.
    DrivingOn,
    /// "car in the parking area": most of the ground around it is parking area.
    In,
    /// "building along the road": a side of it faces the road.
    Along,
    /// "sidewalk along with tree": trees stand at it.
    AlongWith,
    /// "tree beside the building": it touches the building, or nearly.
    Beside,
    /// "building with a parking lot": some parking area is in it or at it.
    With,
}

/// How a connected region of the subject is tried against the reference. Lengths are metres on the
/// ground.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// At least `share` of the open ground in a ring of `ring` around the region is reference.
    Surrounded {
        /// Width of the ring.
        ring: f64,
        /// From 0 to 1.
        share: f64,
    },
    /// At least `share` of the region's outline lies within `buffer` of the reference.
    Near {
        /// Greatest distance.
        buffer: f64,
        /// From 0 to 1.
        share: f64,
    },
    /// The reference covers at least `area` (square metres) of the region and a `buffer` around it.
    Has {
        /// Greatest distance.
        buffer: f64,
        /// Square metres.
        area: f64,
    },
}

impl Relation {
    /// All seven.
    pub const ALL: [Self; 7] = [
        Self::On,
        Self::DrivingOn,
        Self::In,
        Self::Along,
        Self::AlongWith,
        Self::Beside,
        Self::With,
    ];

    /// Where it comes from.
    pub fn basis(self) -> Basis {
        match self {
            Self::On | Self::Beside => Inferred,
            _ => Paper,
        }
    }

    /// How it is decided.
    pub fn test(self) -> Test {
        match self {
            Self::On | Self::In => Test::Surrounded {
                ring: 1.5,
                share: 0.5,
            },
            Self::DrivingOn => Test::Surrounded {
                ring: 1.5,
                share: 0.9,
            },
            Self::Along => Test::Near {
                buffer: 5.0,
                share: 0.2,
            },
            Self::AlongWith => Test::Near {
                buffer: 2.0,
                share: 0.1,
            },
            Self::Beside => Test::Near {
                buffer: 2.0,
                share: 0.1,
            },
            Self::With => Test::Has {
                buffer: 5.0,
                area: 4.0,
            },
        }
    }

    /// What follows the subject: "along the road".
    pub fn phrase(self, reference: &Term) -> String {
        let reference = reference.text;
        match self {
            Self::On => format!("on the {reference}"),
            Self::DrivingOn => format!("driving on the {reference}"),
            Self::In => format!("in the {reference}"),
            Self::Along => format!("along the {reference}"),
            Self::AlongWith => format!("along with {reference}"),
            Self::Beside => format!("beside the {reference}"),
            Self::With if reference == "parking area" => "with a parking lot".to_owned(),
            Self::With => format!("with {reference}"),
        }
    }
}

/// Which subjects stand in a relation to which references.
#[derive(Debug)]
pub struct Pairing {
    /// The relation.
    pub relation: Relation,
    /// [`Term::text`] of the subjects.
    pub subjects: &'static [&'static str],
    /// [`Term::text`] of the references.
    pub references: &'static [&'static str],
}

const fn pairing(
    relation: Relation,
    subjects: &'static [&'static str],
    references: &'static [&'static str],
) -> Pairing {
    Pairing {
        relation,
        subjects,
        references,
    }
}

const MOVING: &[&str] = &[
    "vehicle",
    "car",
    "van",
    "truck",
    "bus",
    "trailer",
    "light-duty vehicle",
    "heavy-duty vehicle",
    "long truck",
];

/// Every expression with a relation: the subjects and references that make sense together.
pub const PAIRINGS: &[Pairing] = &[
    pairing(
        Relation::On,
        MOVING,
        &["road", "paved road", "unpaved road"],
    ),
    pairing(Relation::On, &["road marking"], &["road"]),
    pairing(Relation::DrivingOn, MOVING, &["road"]),
    pairing(Relation::In, MOVING, &["parking area"]),
    pairing(Relation::In, &["tree", "road marking"], &["parking area"]),
    pairing(
        Relation::Along,
        &[
            "building",
            "tree",
            "low vegetation",
            "vegetation",
            "sidewalk",
            "bikeway",
            "bare land",
            "water",
        ],
        &["road"],
    ),
    pairing(
        Relation::Along,
        &["tree", "building", "low vegetation"],
        &["sidewalk", "bikeway"],
    ),
    pairing(
        Relation::Along,
        &["building", "road", "vegetation"],
        &["water"],
    ),
    pairing(
        Relation::AlongWith,
        &["sidewalk", "bikeway", "road"],
        &["tree", "low vegetation"],
    ),
    pairing(Relation::AlongWith, &["bikeway"], &["sidewalk"]),
    pairing(Relation::AlongWith, &["road"], &["sidewalk", "bikeway"]),
    pairing(
        Relation::Beside,
        &[
            "vehicle",
            "car",
            "van",
            "truck",
            "light-duty vehicle",
            "tree",
            "low vegetation",
            "vegetation",
            "sidewalk",
            "impervious surface",
            "parking area",
        ],
        &["building"],
    ),
    pairing(
        Relation::Beside,
        &["low vegetation", "tree", "building"],
        &["parking area"],
    ),
    pairing(
        Relation::Beside,
        &["building", "bare land"],
        &["vegetation", "water"],
    ),
    pairing(Relation::With, &["building"], &["parking area"]),
    pairing(Relation::With, &["road"], &["road marking"]),
    pairing(Relation::With, &["parking area"], &["tree", "vehicle"]),
];

impl Term {
    /// The term of this text.
    pub fn find(text: &str) -> Option<&'static Term> {
        TERMS.iter().find(|term| term.text == text)
    }

    /// Category or attribute.
    pub fn kind(&self) -> ExpressionKind {
        match self.attribute {
            None => ExpressionKind::Category,
            Some(_) => ExpressionKind::Attribute,
        }
    }

    /// Every class that belongs to it.
    pub fn classes(&self) -> impl Iterator<Item = &'static str> {
        let sets = self.class_sets.iter().flat_map(|set| set.iter());
        sets.chain(self.also).copied()
    }
}

/// One expression with a relation.
#[derive(Clone, Copy, Debug)]
pub struct Related {
    /// What is referred to.
    pub subject: &'static Term,
    /// How it stands to the reference.
    pub relation: Relation,
    /// What it is told by.
    pub reference: &'static Term,
}

impl Related {
    /// Whether it needs no extension. (The paper has the parking area as a reference only.)
    pub fn is_of_paper(&self) -> bool {
        self.subject.basis != Extension
            && (self.reference.basis != Extension || self.reference.text == "parking area")
    }

    /// "building along the road".
    pub fn expression(&self) -> String {
        format!(
            "{} {}",
            self.subject.text,
            self.relation.phrase(self.reference)
        )
    }
}

/// All expressions with a relation, in the order of [`PAIRINGS`].
pub fn related() -> impl Iterator<Item = Related> {
    PAIRINGS.iter().flat_map(|pairing| {
        let terms =
            |texts: &'static [&'static str]| texts.iter().filter_map(|text| Term::find(text));
        terms(pairing.subjects).flat_map(move |subject| {
            terms(pairing.references).map(move |reference| Related {
                subject,
                relation: pairing.relation,
                reference,
            })
        })
    })
}

/// Kind and category of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// What it says.
    pub kind: ExpressionKind,
    /// What it is about.
    pub category: String,
}

/// Reads kind and category off an expression, for data that does not tell them. `None` where the
/// vocabulary does not know what it is about.
pub fn describe(expression: &str) -> Option<Description> {
    static KNOWN: OnceLock<BTreeMap<String, (ExpressionKind, &'static str)>> = OnceLock::new();
    let known = KNOWN.get_or_init(all_expressions);
    if let Some((kind, category)) = known.get(expression) {
        return Some(Description {
            kind: *kind,
            category: (*category).to_owned(),
        });
    }
    // Not from this table: what follows a preposition is where the target is, and what comes before
    // a category's name says what it is like.
    const PLACES: [&str; 8] = [
        " on ",
        " driving ",
        " in ",
        " along ",
        " beside ",
        " with ",
        " near ",
        " next to ",
    ];
    let place = PLACES.iter().filter_map(|at| expression.find(at)).min();
    let subject = expression[..place.unwrap_or(expression.len())].trim_end();
    let term = TERMS
        .iter()
        .filter(|term| ends_with_words(subject, term.text))
        .max_by_key(|term| term.text.len())?;
    let kind = if place.is_some() {
        ExpressionKind::Relation
    } else if subject == term.category {
        ExpressionKind::Category
    } else {
        ExpressionKind::Attribute
    };
    Some(Description {
        kind,
        category: term.category.to_owned(),
    })
}

fn ends_with_words(text: &str, words: &str) -> bool {
    text.strip_suffix(words)
        .is_some_and(|before| before.is_empty() || before.ends_with(' '))
}

fn all_expressions() -> BTreeMap<String, (ExpressionKind, &'static str)> {
    let terms = TERMS
        .iter()
        .map(|term| (term.text.to_owned(), (term.kind(), term.category)));
    let attributes = OBJECT_ATTRIBUTES.iter().flat_map(|attribute| {
        let terms = attribute.terms.iter().filter_map(|text| Term::find(text));
        terms.map(|term| {
            let about = (ExpressionKind::Attribute, term.category);
            (attribute.expression(term), about)
        })
    });
    let related = related().map(|related| {
        let about = (ExpressionKind::Relation, related.subject.category);
        (related.expression(), about)
    });
    terms.chain(attributes).chain(related).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_has_14_categories_5_attributes_and_7_relations() {
        let of_paper = |term: &&Term| term.basis == Basis::Paper;
        let categories = TERMS.iter().filter(of_paper);
        assert_eq!(
            categories.filter(|term| term.attribute.is_none()).count(),
            14
        );
        let mut attributes: Vec<_> = TERMS
            .iter()
            .filter(of_paper)
            .filter_map(|term| term.attribute)
            .collect();
        attributes.sort_unstable();
        let expected = ["heavy-duty", "light-duty", "long", "paved", "unpaved"];
        assert_eq!(attributes, expected);
        let mut used: Vec<_> = PAIRINGS.iter().map(|pairing| pairing.relation).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, Relation::ALL);
    }

    #[test]
    fn every_name_in_the_table_is_a_term() {
        let pairs = PAIRINGS
            .iter()
            .flat_map(|p| p.subjects.iter().chain(p.references));
        let attributes = OBJECT_ATTRIBUTES.iter().flat_map(|a| a.terms);
        for text in pairs.chain(attributes) {
            assert!(Term::find(text).is_some(), "{text}");
        }
        for term in TERMS {
            assert!(Term::find(term.category).is_some(), "{}", term.text);
        }
    }

    #[test]
    fn the_known_expressions_of_the_release_are_made() {
        let all = all_expressions();
        for expression in [
            "vehicle in the parking area",
            "light-duty vehicle driving on the road",
            "building along the road",
            "sidewalk along with tree",
            "building with a parking lot",
            "long truck",
            "impervious surface",
            "road marking",
        ] {
            assert!(all.contains_key(expression), "{expression}");
        }
    }

    #[test]
    fn strange_expressions_are_described_as_well_as_can_be() {
        let about = |text: &str| describe(text).map(|found| (found.kind, found.category));
        let expected = |kind, category: &str| Some((kind, category.to_owned()));
        assert_eq!(about("bus"), expected(ExpressionKind::Category, "bus"));
        assert_eq!(
            about("yellow car"),
            expected(ExpressionKind::Attribute, "car")
        );
        assert_eq!(
            about("building with tin roof"),
            expected(ExpressionKind::Attribute, "building")
        );
        assert_eq!(
            about("light-duty vehicle near the water"),
            expected(ExpressionKind::Relation, "vehicle")
        );
        assert_eq!(about("airplane"), None);
        assert_eq!(about("scar"), None);
    }
}
