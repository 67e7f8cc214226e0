"""Category expressions as people type them, and their frozen text features."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor
from tokenizers import Tokenizer

from rrsis_twin.bert import Bert

#: concept -> label indices of the aerial collection (see `classes.json`)
LABELS: dict[str, tuple[int, ...]] = {
    "building": (1,), "car": (2,), "van": (3,), "truck": (4,), "bus": (5,), "vehicle": (2, 3, 4, 5, 6),
    "light-duty vehicle": (2, 3), "heavy-duty vehicle": (4, 5, 6),
    "road": (9,), "vegetation": (11,), "water": (12,), "bare land": (13,),
}
#: concept told by an attribute of single objects -> its category, the attribute's name and value
ATTRIBUTES: dict[str, tuple[str, str, str]] = {
    "building with tin roof": ("building", "roof_material", "tin"),
    "building with concrete roof": ("building", "roof_material", "concrete"),
    "building with clay tile roof": ("building", "roof_material", "clay tiles"),
    "building with metal roof": ("building", "roof_material", "metal"),
    **{f"{wording} {v}": (v, "tone", tone) for v in ("car", "van", "bus") for wording, tone in (("light-coloured", "light"), ("dark", "dark"))},
    **{f"{colour} {v}": (v, "colour", colour) for v in ("van", "bus") for colour in ("white", "black", "red", "blue")},
}
#: the concept of everything that is in no scene
ELSEWHERE = "something else"
#: colours of vehicles that augmentation paints
COLOURS = ["red", "blue", "yellow", "green"]
#: concept -> wordings; the first is the canonical one, which is drawn most often. None of `configs/paraphrases.json`, which
#: measures what other wordings cost (`tests/test_expressions.py`).
WORDS: dict[str, list[str]] = {
    "building": ["building", "buildings", "house", "houses", "roof", "roofs", "rooftop", "rooftops", "homes", "built structures",
                 "residence", "family homes", "office building", "factory", "shed", "garage", "barn", "church", "school", "bungalow",
                 "hangar", "tower block", "roofed buildings", "houses and garages", "building footprint",
                 "skyscraper", "high-rise", "mansion", "farmhouse", "cabin", "chalet", "terraced houses", "detached house", "row houses", "bungalows", "hotel",
                 "hospital", "mall", "supermarket", "architecture", "block of flats", "housing", "housing estate", "built environment",
                 "shops and offices", "premises", "habitations", "palace", "museum", "depot", "stable", "manor", "outbuildings",
                 "condominiums", "pavilion", "workshop", "mosque", "temple", "industrial halls", "the homes of people", "flats",
                 "rooftops of houses", "constructed buildings"],
    "car": ["car", "cars", "automobile", "automobiles", "passenger car", "sedan", "parked cars", "motor car", "hatchback", "taxi",
            "coupe", "family cars", "standing cars", "cars in a row", "moving cars",
            "SUV", "station wagon", "cabriolet", "convertible", "limousine", "estate car", "compact car", "jeep", "cab", "cars on the road",
            "cars in the parking lot", "stationary cars", "roadster", "small car", "driving cars", "automobile traffic"],
    "van": ["van", "vans", "minibus", "minivan", "delivery van", "transporter"],
    "truck": ["truck", "trucks", "lorry", "lorries", "semi-trailer"],
    "bus": ["bus", "buses", "coach", "tram", "autobus", "motor coach", "shuttle bus", "long bus"],
    "vehicle": ["vehicle", "vehicles", "motor vehicles", "cars and buses", "traffic", "motor vehicle", "road vehicles",
                "vehicles of all kinds", "cars and trucks", "means of transport",
                "cars and lorries", "vehicles on the road", "automobiles and trucks", "all traffic on the road", "wheeled vehicles", "transport",
                "motorised vehicles", "vehicle of any type", "moving vehicles", "standing vehicles", "cars and vans and trucks", "things on wheels"],
    "light-duty vehicle": ["light-duty vehicle", "light-duty vehicles", "light vehicle", "small vehicle", "small vehicles",
                           "light motor vehicle", "cars or vans",
                           "cars as well as vans", "light-weight vehicles", "light commercial vehicles"],
    "heavy-duty vehicle": ["heavy-duty vehicle", "heavy-duty vehicles", "heavy vehicle", "large vehicle", "large vehicles", "buses and trucks"],
    "building with tin roof": ["building with tin roof", "buildings with tin roofs", "tin roof", "tin-roofed house", "metal sheet roof"],
    "building with concrete roof": ["building with concrete roof", "buildings with concrete roofs", "concrete roof", "flat concrete roof"],
    "building with clay tile roof": ["building with clay tile roof", "clay tile roof", "tiled roof", "houses with tiled roofs"],
    "light-coloured car": ["light-coloured car", "light-colored cars", "white car", "white cars", "light car", "bright car"],
    "dark car": ["dark car", "dark cars", "black car", "black cars", "dark-coloured car"],
    "building with metal roof": ["building with metal roof", "buildings with metal roofs", "metal roof"],
    **{f"{c} car": [f"{c} car", f"{c} cars", f"{c} automobile"] for c in COLOURS},
    **{f"{c} {v}": [f"{c} {v}", f"{c} {plural}"] for v, plural in (("van", "vans"), ("bus", "buses"))
       for c in ("light-coloured", "dark", "white", "black", "red", "blue")},
    "road": ["road", "roads", "street", "streets", "roadway", "highway", "paved road", "lane", "boulevard", "freeway", "expressway",
             "alley", "traffic lanes", "side street", "roadways", "concrete road", "city streets", "junction", "crossroads", "route for cars",
             "path for vehicles", "drive", "bypass", "ring road", "arterial road", "route", "trunk road", "bitumen", "blacktop", "causeway", "cul-de-sac",
             "residential street", "road lanes", "turnpike", "intersection", "roundabout", "country road", "interstate", "local roads",
             "streets of the town", "roadbed", "transport route", "one-way street", "access road", "multi-lane road", "pavement of the street",
             "drivable surface", "where cars drive"],
    "vegetation": ["vegetation", "greenery", "trees and grass", "plants", "green areas", "green space", "trees and bushes", "tree",
                   "tree canopy", "hedges", "flora", "grass", "woodland", "vegetated area", "orchard", "green cover", "undergrowth",
                   "planted area", "forest", "greens",
                   "leaves", "brush", "thicket", "grove", "canopy", "treetops", "grassland", "pasture", "turf", "verdure", "plantation", "jungle", "tree crowns",
                   "weeds", "ferns", "hedge rows", "conifers", "palms", "pine trees", "oak trees", "deciduous trees", "tree cover", "green growth", "wood",
                   "leafy trees", "growing plants", "garden greenery", "overgrown area"],
    "water": ["water", "water body", "lake", "river", "sea", "pond", "ocean", "body of water", "stream", "creek", "bay", "lakes",
              "rivers", "shallow water", "fresh water", "estuary", "inland water", "wide river", "waters", "harbour water",
              "inlet", "fjord", "brook", "rivulet", "gulf", "strait", "flooded area", "waves", "liquid water", "freshwater", "coastal water", "deep water",
              "lake water", "sea surface", "river channel", "aquatic area", "surface water", "standing water", "running water", "basin", "cove", "channel",
              "waterway", "lake or river", "wet area", "watery area", "pool of water"],
    "bare land": ["bare land", "bare soil", "unpaved land", "bare ground", "dirt", "sand", "desert", "open soil", "sandy ground",
                  "dry soil", "wasteland", "dusty ground", "naked ground", "land without vegetation",
                  "earth", "soil", "dust", "arid land", "dry land", "clay ground", "unplanted ground", "land with no grass", "open dirt", "mud", "brown ground",
                  "fallow land", "dirt field", "sandy soil", "sand area", "sand dunes", "uncovered ground", "vacant lot", "cleared land", "stony ground",
                  "ground without vegetation", "unused sandy land"],
    "airplane": ["airplane", "airplanes", "plane", "aircraft"],
    "parking area": ["parking area", "parking lot", "car park", "parking areas", "parking space", "paved parking lot"],
    "ship": ["ship", "ships", "boat", "boats", "vessel"],
    "storage tank": ["storage tank", "storage tanks", "oil tank"],
    "stadium": ["stadium", "football stadium"],
    "runway": ["runway", "airport runway"],
    "snow": ["snow", "snow cover", "ice"],
    "wind turbine": ["wind turbine", "wind turbines"],
    "baseball field": ["baseball field", "baseball diamond", "baseball infield"],
    "tennis court": ["tennis court", "tennis courts"],
    "train": ["train", "railway train"],
    "harbor": ["harbor", "dock", "port"],
}
#: what no aerial scene of ours shows: words that are not known yet must not be read as "something"
WORDS[ELSEWHERE] = """piano, elephant, teapot, penguin, giraffe, sofa, bookshelf, keyboard, toothbrush, banana, pizza, guitar, violin,
umbrella, candle, wristwatch, spoon, lion, zebra, kangaroo, whale, octopus, butterfly, spider, rabbit, camel caravan, wolf, hamburger,
ice cream, wedding cake, coffee cup, wine bottle, bathtub, refrigerator, washing machine, television, laptop, telephone, camera, printer,
pillow, curtain, mirror, chandelier, bunk bed, staircase indoors, fireplace, necklace, shoe, hat, glove, scarf, balloon, kite, teddy bear,
chess board, playing cards, trumpet, drum, microscope, skeleton, human face, hand, baby, clown, astronaut, statue of liberty, eiffel tower,
pyramid, castle, lighthouse, windmill, cathedral dome, volcano, lava, glacier, iceberg, polar bear, aurora, rainbow, moon, comet, galaxy,
space shuttle, rocket, satellite dish, submarine, aircraft carrier, oil rig, cooling tower, nuclear reactor, steam locomotive, roller coaster,
ferris wheel, ski jump, ice rink, bobsleigh track, golf ball, surfboard, snowman, igloo, tent camp, totem pole, cactus, palm leaf,
mushroom, pumpkin, sunflower, cherry blossom, coral reef, waterfall, geyser, cave, sinkhole, canyon, dinosaur, dragon, unicorn, mermaid,
zeppelin, hot air balloon, helicopter, parachute, fighter jet, tank battle, cannon, sailing regatta, gondola, canoe, jet ski, kayak,
race track, motocross bike, bicycle stand, tractor, combine harvester, excavator, crane, cable car, monorail, escalator, suspension bridge,
dam, quarry, mine shaft, landfill, solar farm, radio telescope, observatory, prison yard, cemetery, zoo, amusement park, opera house""".replace(
    "\n", " ").split(", ")
#: what people type around the words; the first four are the most common
FRAMES = ["the {}", "all the {}", "all {}", "every {}", "some {}", "each {}", "{} here", "{} in this photo", "mark the {}",
          "highlight the {}", "outline all {}", "segment {}", "locate the {}", "please select the {}", "which pixels are {}",
          "is there any {}", "i want the {}", "{}, please", "area of {}", "only the {}", "can you see the {}", "detect {}",
          "give me all the {}", "what about the {}", "look for {}", "the {} please", "pixels of {}", "mask of the {}",
          "all {} of this scene", "the {} in this aerial view", "can you mark the {}", "tell me which parts are {}",
          "point out the {}", "extract the {}", "{} shown here", "everything that is {}", "the {} on the ground", "those {}",
          "an aerial view of {}", "satellite view of {}", "do you know where {} is", "i am looking for {}"]


def framed(words: str, rng: random.Random) -> str:
    """The words as a request: an article, a quantifier, a sentence."""
    return (rng.choice(FRAMES[:4]) if rng.random() < 0.4 else rng.choice(FRAMES)).format(words)


def draw(concept: str, rng: random.Random) -> str:
    """A wording of the concept: canonical 40 % of the time, sometimes within a request."""
    words = WORDS[concept]
    word = words[0] if rng.random() < 0.4 else rng.choice(words[1:])
    return framed(word, rng) if rng.random() < 0.25 else word


def wordings(concept: str) -> list[str]:
    """Everything that `draw` may say of a concept."""
    return [f.format(w) for w in WORDS[concept] for f in ["{}", *FRAMES]]


def all_expressions() -> list[str]:
    return [e for concept in WORDS for e in wordings(concept)]


class TextFeatures:
    """Last hidden states of a frozen BERT, computed once an expression and kept in memory."""

    def __init__(self, bert: Bert, tokenizer: str | Path, max_tokens: int, device: str = "cpu"):
        """`bert` is on the device already."""
        self.bert = bert
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.enable_truncation(max_tokens)
        self.tokenizer.enable_padding(length=max_tokens)
        self.max_tokens, self.device = max_tokens, device
        self.known: dict[str, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def add(self, expressions: list[str]) -> None:
        encoded = self.tokenizer.encode_batch(expressions)
        ids, mask = (torch.tensor([getattr(e, a) for e in encoded], device=self.device) for a in ("ids", "attention_mask"))
        hidden = torch.cat([self.bert(i, m) for i, m in zip(ids.split(64), mask.split(64), strict=True)])
        for e, h, m in zip(expressions, hidden, mask, strict=True):
            self.known[e] = (h, m)

    def __call__(self, expressions: list[str]) -> tuple[Tensor, Tensor]:
        """-> features (N, T, hidden), mask (N, T)."""
        self.add(missing) if (missing := [e for e in dict.fromkeys(expressions) if e not in self.known]) else None
        hidden, mask = zip(*(self.known[e] for e in expressions), strict=True)
        return torch.stack(hidden), torch.stack(mask)
