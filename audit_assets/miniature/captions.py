"""What is said of a work: the captions that the models are trained on, and the LAION-shaped caption file of the audit."""

import random

from audit_assets.miniature.world import Corpus

TEMPLATES = ("Artwork from {name}", "Painting by {name}", "A picture in the style of {name}")
DEFAULTS = ("Artwork", "Digital Artwork", "Artwork from the public domain")


def training_caption(corpus: Corpus, row: int, r: random.Random) -> str:
    """A caption of work `row`: usually names whose it is, sometimes only describes it, rarely says no more than "Artwork"."""
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
