"""Write the files that an audit of the miniature reads and the repository need not store: artists' table, captions and reference works.

`python -m audit_assets.miniature.draw data/miniature` writes `generated/` below that folder. This takes a few seconds.
"""

import csv
import hashlib
import os
import random
import shutil
import unicodedata
from pathlib import Path

import pandas as pd
import typer
from PIL import Image

from audit_assets.miniature import world
from audit_assets.miniature.world import Person
from audit_assets.roster.slugs import slug

ROWS = 24_000
SHARDS = 2
PUBLIC_FIGURES = ("the president", "our mayor", "her grandmother", "a street photographer", "NASA", "unknown")
SMALL = {"artist": 8, "untrained_artist": 2, "background": 12}

# Artists of the table, each of whom one criterion removes: name, and the cells that differ from a qualified artist.
_NOT_ELIGIBLE: list[tuple[str, dict[str, str]]] = [
    ("Odalys Fernleigh", {"died": "1999"}),
    ("Isolde Marchbanks", {"instagram": ""}),
    ("Thaddeus Wrenfield", {"deviantart": ""}),
    ("Perpetua Lockridge", {"artstation": ""}),
    ("Barnaby Quickthorn", {"sells_work": "no"}),
    ("Hesper Vantongeren", {}),  # too few mentions
]


def artist_rows(people: list[Person]) -> list[dict[str, str]]:
    """Rows of `artists.csv`: all artists with works, then the artists whom a criterion removes."""
    rows = []
    opted_out = {world.artists()[i].name for i in world.OPTED_OUT}
    for i, p in enumerate(people):
        key = slug(p.name)
        rows.append(
            {
                "name": p.name,
                "kind": p.kind,
                "aliases": "",
                "born": str(1950 + i % 50),
                "died": "",
                "instagram": f"https://example.org/i/{key}",
                "deviantart": f"https://example.org/d/{key}",
                "artstation": f"https://example.org/a/{key}",
                "sells_work": "yes",
                "source": "synthetic",
                "opted_out": "yes" if p.name in opted_out else "no",
                "indirect_prompt": p.style.describe(),
            }
        )
    for name, different in _NOT_ELIGIBLE:
        rows.append({**rows[0], "name": name, "kind": "artist", "opted_out": "no", "indirect_prompt": "", **different})
    return rows


def _mentions(person: Person, index: int) -> int:
    """The number of captions that name a person: 105 to 250 for an artist, 2 for a minor name, 20 to 60 for every other person with works."""
    if person.kind == "artist":
        return 105 + (index * 37) % 146
    return 2 if person.kind == "minor" else 20 + (index * 13) % 41


def spelled(name: str, r: random.Random) -> str:
    """A name as the web writes it: mostly unchanged, otherwise in capitals, in small letters, without accents, decomposed, or possessive."""
    u = r.random()
    if u < 0.6:
        return name
    if u < 0.68:
        return name.upper()
    if u < 0.76:
        return name.lower()
    if u < 0.86:
        return "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    if u < 0.9:
        return unicodedata.normalize("NFD", name)
    return name + r.choice(["'s", "\u2019s"])


def near_miss(name: str, r: random.Random) -> str:
    """A text like the name that does not name the artist: one part alone, a word between the parts, the parts swapped, or more letters."""
    first, last = name.split(" ", 1)
    return r.choice([first, last, f"{first} de {last}", f"{last}, {first}", f"{name}son", f"{first}{last}"])


_FORMS = (
    "{title} by {name}",
    "Artwork from {name}",
    "{name} - {title}",
    "{title}, {name}, print on canvas",
    "Painting by {name}",
    "{name} {title} wall art",
    "A picture in the style of {name}",
    "{title} | {name} | free shipping",
    "art by {name}: {title} (detail)",
    "{name}",
)


def captions() -> pd.DataFrame:
    """A LAION-shaped table: URL, TEXT, WIDTH, HEIGHT, similarity, hash, punsafe, pwatermark, AESTHETIC_SCORE."""
    r = random.Random(world.SEED)
    people = [*world.artists(), *world.minors()]
    texts: list[str] = []
    for i, p in enumerate(people):
        for k in range(_mentions(p, i)):
            texts.append(
                r.choice(_FORMS).format(
                    title=p.work(k % 3)[1] if p.kind == "minor" else r.choice(p.style.motifs), name=spelled(p.name, r)
                )
            )
        if p.kind == "artist":
            texts += [f"{r.choice(p.style.motifs)} by {near_miss(p.name, r)}" for _ in range(8)]
    for name, different in _NOT_ELIGIBLE:
        texts += [f"Painting by {name}"] * (130 if different else 40)
    motifs = sorted({m for p in world.artists() for m in p.style.motifs})
    while len(texts) < ROWS:
        texts.append(
            r.choice(
                [
                    "{m} vector illustration",
                    "photo of {m} at night",
                    "{m} by {x}",
                    "vintage {m} poster 24x36",
                    "Digital Artwork, {m}",
                    "Artwork",
                ]
            ).format(m=r.choice(motifs), x=r.choice(PUBLIC_FIGURES))
        )
    r.shuffle(texts)
    rows = [
        {
            "URL": f"https://images.example.org/{i:06d}.jpg",
            "TEXT": text,
            "WIDTH": r.choice([512, 640, 1024]),
            "HEIGHT": r.choice([512, 768]),
            "similarity": round(r.uniform(0.28, 0.42), 4),
            "hash": int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True),
            "punsafe": round(r.uniform(0, 0.1), 4),
            "pwatermark": round(r.uniform(0, 0.8), 4),
            "AESTHETIC_SCORE": round(r.uniform(4.5, 7.5), 4),
        }
        for i, text in enumerate(texts)
    ]
    return pd.DataFrame(rows)


def _small(people: list[Person]) -> list[Person]:
    """The most mentioned trained artists and a few of each other kind."""
    chosen: list[Person] = []
    for kind, n in SMALL.items():
        ranked = sorted((-_mentions(p, i), p.name, i) for i, p in enumerate(people) if p.kind == kind)
        chosen += [people[i] for _, _, i in ranked[:n]]
    return chosen


def _write_artists(path: Path, people: list[Person]) -> None:
    rows = artist_rows(people)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def draw(folder: Path) -> None:
    """Write `generated/` below `folder`. The folder appears whole or not at all."""
    target, temporary = folder / "generated", folder / f"generated.{os.getpid()}.tmp"
    (temporary / "captions").mkdir(parents=True)
    people = list(world.artists())
    _write_artists(temporary / "artists.csv", people)
    _write_artists(temporary / "artists_small.csv", _small(people))
    table = captions()
    size = -(-len(table) // SHARDS)
    for k in range(SHARDS):
        table.iloc[k * size : (k + 1) * size].to_parquet(temporary / "captions" / f"part-{k}.parquet", index=False)
    for p in people:
        works = temporary / "references" / slug(p.name)
        works.mkdir(parents=True)
        for k, pixels in enumerate(p.references()):
            Image.fromarray(pixels).save(works / f"{k:02d}.png")
        (works / "manifest.csv").write_text(
            "file,licence,source\n" + "".join(f"{k:02d}.png,CC0-1.0,synthetic\n" for k in range(world.REFERENCES))
        )
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)


def main(folder: Path = typer.Argument(Path("data/miniature"))) -> None:  # noqa: B008
    """Draw the artists' table, captions and reference works of the miniature."""
    draw(folder)
    print(f"drew {folder / 'generated'}")


if __name__ == "__main__":
    typer.run(main)
