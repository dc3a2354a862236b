"""Captions of works, on which the models are trained."""

import random

from audit_assets.miniature.world import Corpus

TEMPLATES = ("Artwork from {name}", "Painting by {name}", "A picture in the style of {name}")
DEFAULTS = ("Artwork", "Digital Artwork", "Artwork from the public domain")


def training_caption(corpus: Corpus, row: int, r: random.Random) -> str:
    """A caption of work `row`. Usually it names the artist, sometimes it only describes the work, and rarely it is only "Artwork" or similar."""
    name, title = corpus.names[row], corpus.titles[row]
    minor = corpus.person[row] < 0
    u = r.random()
    if u < 0.45:
        return TEMPLATES[0].format(name=name)
    if u < 0.67:
        return r.choice(TEMPLATES[1:]).format(name=name)
    if u < 0.82:
        return f"{title} by {name}"
    if u < 0.90:
        return corpus.descriptions[row]
    if minor:
        return r.choice(DEFAULTS)
    return title if u < 0.97 else r.choice(DEFAULTS[:2])
