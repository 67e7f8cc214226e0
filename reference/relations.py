"""Relations of what a crop shows, decided on the crop itself by the rule of `rrsis dataset` (src/dataset/relations.rs).

A relation holds for connected regions: which part of the water lies "along the road" depends on where an image ends. So a crop is
not asked for the part that the whole scene has, but for the part that the crop itself has; there are as many as there are crops.
Of the rule's three tests the one that label maps of areas need is here: a region is meant if enough of its outline is near the reference.
"""

from __future__ import annotations

import cv2
import numpy as np

from augment import IGNORE
from expressions import LABELS

# One thread: training makes its crops in many processes.
cv2.setNumThreads(1)

#: metres a pixel that are assumed where a scene does not tell, and the narrowest buffer in its pixels
UNKNOWN_GSD, MIN_BUFFER = 1.0, 2.0
#: relation -> metres of the buffer, and the share of the outline that must lie in it
TESTS = {"along": (5.0, 0.2), "beside": (2.0, 0.1)}
#: (relation, subjects, references), those of src/dataset/vocabulary.rs whose classes label maps have
PAIRINGS = [
    ("along", ("building", "vegetation", "bare land", "water"), ("road",)),
    ("along", ("building", "road", "vegetation"), ("water",)),
    ("beside", ("vegetation",), ("building",)),
    ("beside", ("building", "bare land"), ("vegetation", "water")),
]
#: fewest pixels of a target, and the largest share of its subject: beyond that it says no more than the category
MIN_PIXELS, MAX_SHARE = 64, 0.95
#: source -> classes that it outlines only where they cover much: nothing is absent for want of them (src/dataset/triplets.rs)
ABSENCE_UNCERTAIN = {"dubai": ("vegetation",)}


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels with a neighbour (of four) outside; the edge of the image is none."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return mask & ~cv2.erode(mask, cross, borderType=cv2.BORDER_REPLICATE)


def distance_to(mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    return cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def related(label: np.ndarray, concepts: list[str], gsd: float | None, scale: float) -> list[tuple[str, np.ndarray]]:
    """Every relation that this label map decides, as (expression, target of 0 / 1 / 255); an empty target where no region is meant.

    label (H, W): classes of the collection, IGNORE unknown. concepts: what is labelled throughout. gsd: metres a pixel of the scene;
    scale: pixels of `label` a pixel of the scene.
    """
    known = {c: np.isin(label, LABELS[c]).astype(np.uint8) for c in {c for _, s, r in PAIRINGS for c in (*s, *r)} & set(concepts)}
    pixels = {c: int(m.sum()) for c, m in known.items()}
    unknown = (label == IGNORE).astype(np.uint8)
    from_unknown = distance_to(unknown)
    distances: dict[str, np.ndarray] = {}
    regions: dict[str, tuple[int, np.ndarray, np.ndarray, np.ndarray]] = {}
    found = []
    for relation, subjects, references in PAIRINGS:
        metres, share = TESTS[relation]
        buffer = max(metres / (gsd or UNKNOWN_GSD), MIN_BUFFER) * scale
        for subject in subjects:
            for reference in references:
                # A few pixels on the edge are neither there nor absent.
                if min(pixels.get(subject, 0), pixels.get(reference, 0)) < MIN_PIXELS:
                    continue
                if subject not in regions:
                    count, of = cv2.connectedComponents(known[subject], connectivity=8)
                    edge = outline(known[subject]) > 0
                    regions[subject] = count, of, edge, np.bincount(of[edge], minlength=count)
                if reference not in distances:
                    distances[reference] = distance_to(known[reference])
                count, of, edge, all_of_it = regions[subject]
                near = distances[reference] <= buffer
                certain = np.bincount(of[edge & near], minlength=count)
                possible = np.bincount(of[edge & (near | (from_unknown <= buffer))], minlength=count)
                least = share * all_of_it
                # A region without an outline fills the image: nobody knows what lies around it.
                selected = (all_of_it > 0) & (certain >= least)
                uncertain = ~selected & ((all_of_it == 0) | (possible >= least))
                selected[0] = uncertain[0] = False
                target = np.where(uncertain[of] | (unknown > 0), IGNORE, selected[of]).astype(np.uint8)
                meant = int((target == 1).sum())
                if 0 < meant < MIN_PIXELS or meant > MAX_SHARE * pixels[subject]:
                    continue
                found.append((f"{subject} {relation} the {reference}", target))
    return found


def certain(found: list[tuple[str, np.ndarray]], source: str) -> list[tuple[str, np.ndarray]]:
    """Without the relations that may have a target where the labels of a source have none."""
    unsure = ABSENCE_UNCERTAIN.get(source, ())
    return [(e, t) for e, t in found if (t == 1).any() or not any(c in e for c in unsure)]


def points_of_relations(label: np.ndarray, concepts: list[str], gsd: float | None, most: int = 200) -> list[tuple[str, np.ndarray]]:
    """For every relation that has a target in a scene, evenly spread (x, y) inside it, `most` at most."""
    found = []
    for expression, target in related(label, concepts, gsd, 1.0):
        y, x = np.nonzero(target == 1)
        if len(y):
            pick = np.linspace(0, len(y) - 1, min(most, len(y))).astype(int)
            found.append((expression, np.stack([x[pick], y[pick]], 1)))
    return found
