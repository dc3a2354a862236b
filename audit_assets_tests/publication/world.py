"""A simulated audit of any size: embeddings drawn at random, and from there on the real measurement, checks and publication.

Artists have a direction of their own; an imitation leans towards it by what the model version can do. The second version lost
the artists that opted out. Nothing is drawn as a picture: `picture` makes one of a hash, with as much detail as a photograph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from audit_assets.encoders.embed import label_rows
from audit_assets.generation.seeds import image_seed
from audit_assets.hashing import digest
from audit_assets.measurement.registration import SIDE
from audit_assets.models.registry import usable_encoders
from audit_assets.models.tables import encoders_table
from audit_assets.publication.stage import ROSTER_TABLES, PublicationStage
from audit_assets.results.auditability import AUDITABILITY
from audit_assets.results.comparison import COMPARISON, PER_MODEL
from audit_assets.results.stage import ResultStage
from audit_assets.roster.strata import TESTED
from audit_assets.warehouse.database import schema_columns
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

MODELS = ("first-version", "second-version")
TEMPLATE = "Artwork from {name}"
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\"' onmouseover=alert(3) x='",
    "]]></title></svg><svg onload=alert(4)>",
    "-->{{ 7 * 7 }}{% raw %}",
    "Price $5 & $_6^2",
    "林風眠",
    "\u202eGnol",
    "Long " * 38,
)
INPUTS = "simulated"


@dataclass(frozen=True)
class World:
    """Of how many subjects; ``names``: of the first artists, the rest are 'Artist 12'."""

    artists: int = 20
    untrained: int = 4
    background: int = 0
    controls: int = 60
    recombined: int = 8
    images: int = 6
    works: int = 8
    able: tuple[float, float] = (0.2, 1.2)
    names: Sequence[str] = ()
    templates: Sequence[str] = (TEMPLATE,)
    seed: int = 1
    arms: Sequence[dict[str, Any]] = ()
    """Of the protocol."""
    strength: Mapping[str, float] = field(default_factory=dict)
    """Arm -> how much of what the model can do for an artist this way still brings about, 0 by default."""
    echo: float = 1.0
    """How far an image leans towards the work that the model was given."""
    house: float = 0.0
    """How far every image leans towards the hand of the first artist, whoever is asked for."""
    unread: Sequence[str] = ()
    """Subjects of whose names the text encoder reads no word. Their labels are one to it."""


def simulate(folder: Path, miniature: Path, world: World) -> Workspace:
    """An audit in ``folder`` whose results are measured and published. Encoders are the miniature's; their weights are not used."""
    rng = np.random.default_rng(world.seed)
    ws = _audit(folder, miniature, world)
    subjects = _subjects(world, rng)
    ws.warehouse.write("subjects", subjects, INPUTS)
    _registry(ws)
    _draw(ws, subjects, world, rng)
    ResultStage(ws).make(AUDITABILITY)
    for model in MODELS:
        for recipe in PER_MODEL:
            ResultStage(ws).make(recipe, model)
    ResultStage(ws).make(COMPARISON)
    PublicationStage(ws).publish()
    return ws


def picture(sha256: str) -> Image.Image:
    """512 pixels: fields of colour and the grain of a photograph, other ones for every hash."""
    rng = np.random.default_rng(int(sha256[:12], 16))
    fields = Image.fromarray(rng.integers(0, 255, size=(6, 6, 3), dtype=np.uint8)).resize(
        (512, 512), Image.Resampling.BICUBIC
    )
    grain = Image.fromarray(rng.integers(0, 255, size=(128, 128, 3), dtype=np.uint8)).resize((512, 512))
    return Image.blend(fields, grain, 0.35)  # fmt: skip


def _audit(folder: Path, miniature: Path, world: World) -> Workspace:
    folder.mkdir(parents=True, exist_ok=True)
    encoders = [
        {"name": "sim-clip", "kind": "image_text", "path": str(miniature / "encoders" / "clip")},
        {"name": "sim-vision", "kind": "image", "path": str(miniature / "encoders" / "vision")},
    ]
    settings = {"steps": 8, "guidance": 3.0, "size": 32}
    models = [
        {"name": m, "source": "diffusers", "path": str(miniature / "models" / "miniature-1"), "approved": True, "settings": {**settings}}
        for m in MODELS
    ]  # fmt: skip
    protocol = {
        "name": "paper_2023", "templates": list(world.templates), "trials": world.images,
        "matching": {"reassignments": 20, "permutations": 500},
        **({"arms": [dict(arm) for arm in world.arms]} if world.arms else {}),
    }  # fmt: skip
    (folder / "protocol.yaml").write_text(yaml.safe_dump(protocol), encoding="utf-8")
    (folder / "artists.csv").write_text("name\nsomebody\n", encoding="utf-8")
    audit = {
        "protocol": "protocol.yaml", "roster": {"artists": "artists.csv"}, "references": "references/", "models": models,
        "encoders": encoders, "warehouse": "warehouse/",
    }  # fmt: skip
    (folder / "audit.yaml").write_text(yaml.safe_dump(audit), encoding="utf-8")
    return Workspace.open(folder / "audit.yaml")


def _subjects(world: World, rng: np.random.Generator) -> pd.DataFrame:
    kinds = (
        ["artist"] * world.artists
        + ["untrained_artist"] * world.untrained
        + ["background"] * world.background
        + ["random_name"] * (world.controls + world.recombined)
    )
    stems = {"artist": "artist", "untrained_artist": "untrained", "background": "background", "random_name": "control"}
    slugs = [f"{stems[kind]}-{place}" for place, kind in enumerate(kinds)]
    names = [slug.replace("-", " ").title() for slug in slugs]
    names[: len(world.names)] = world.names
    artist = np.array(kinds) == "artist"
    mentions = np.where(artist, np.round(10 ** rng.uniform(1.5, 4, len(kinds))), 0).astype(int)
    shares = [None if k != "random_name" else p >= len(kinds) - world.recombined for p, k in enumerate(kinds)]
    return pd.DataFrame(
        {
            "subject": slugs,
            "name": names,
            "kind": kinds,
            "shares_name_parts": pd.array(shares, dtype="boolean"),
            "rosters": [["criteria", "most_mentioned"] if a else [] for a in artist],
            "mentions": pd.array([int(m) if a else None for m, a in zip(mentions, artist, strict=True)], dtype="Int64"),
            "opted_out": [a and place % 6 == 5 for place, a in enumerate(artist)],
            "retired": False,
            "indirect_prompt": "",
            "locale": "",
            "prompt_name": "",
            "indirect_prompts": [
                [f"a view of hill {place}"] if k in TESTED and place != 1 else [] for place, k in enumerate(kinds)
            ],
            "translated": "",
            "titles": [[f"Work {place}"] if k in TESTED else [] for place, k in enumerate(kinds)],
            "described_as": "",
            "peers": [f"school {place % 4}" if a else "" for place, a in enumerate(artist)],
        }
    )


def _registry(ws: Workspace) -> None:
    encoders = encoders_table(ws.audit, usable_encoders(ws.audit))
    ws.warehouse.write("encoders", encoders, INPUTS)
    models = pd.DataFrame(
        {
            "model_version": MODELS,
            "source": "diffusers",
            "pipeline_class": "StableDiffusionPipeline",
            "revision": ["rev-1", "rev-2"],
            "files_sha256": [digest(m) for m in MODELS],
            "text_encoder_families": [["clip"], ["clip"]],
            "generation_settings": '{"steps": 8}',
            "approved": True,
            "retired": False,
        }
    )
    ws.warehouse.write("model_versions", models, INPUTS)
    known = schema_columns({})
    for table in ROSTER_TABLES:
        ws.warehouse.write(table, pd.DataFrame(columns=sorted(known[table])), INPUTS)
    files = pd.DataFrame(columns=["kind", "name", "file", "bytes", "sha256", "licence"])
    for table in ("model_files", "encoder_files"):
        ws.warehouse.write(table, files, INPUTS)


def _draw(ws: Workspace, subjects: pd.DataFrame, world: World, rng: np.random.Generator) -> None:
    """Images, real works, labels, and what every encoder makes of them."""
    referenced = subjects[subjects["kind"] != "random_name"]["subject"].tolist()
    for subject in referenced:
        folder = ws.audit.local(ws.audit.references) / subject
        folder.mkdir(parents=True)
        (folder / "1.png").touch()  # `referenced` asks whether there are files, the rest is drawn
        works = [(w, digest([subject, w])) for w in range(world.works)]
        table = pd.DataFrame(works, columns=["work", "image_sha256"]).astype({"work": "int32"})
        ws.warehouse.write(
            f"reference_works/{subject}",
            table.assign(subject=subject, source="simulated", licence="CC0-1.0", series=None),
            INPUTS,
        )
    for model in MODELS:
        prompted = subjects[subjects["kind"] != "background"]
        for subject, name in zip(prompted["subject"], prompted["name"], strict=True):
            ws.warehouse.write(f"imitations/{model}/{subject}", _images(ws, world, model, subject, name), INPUTS)
        _draw_arms(ws, model)
    for entry in ws.audit.encoders:
        dimension = int(ws.warehouse.read("encoders").set_index("encoder")["dimension"][entry.name])
        _embed(ws, subjects, referenced, entry.name, rng.normal(size=(len(subjects), dimension)), rng, world)


_NO_PICTURE = bytes(SIDE**2)
"""Nothing is drawn, so nothing is a copy of anything."""


def _pictures(rows: pd.DataFrame) -> list[bytes]:
    """What stands for the small picture of each image: 256 grey values, other ones for every hash."""
    return [
        np.random.default_rng(int(sha256[:12], 16)).integers(0, 256, 256, dtype=np.uint8).tobytes()
        for sha256 in rows["image_sha256"]
    ]


def _images(ws: Workspace, world: World, model: str, subject: str, name: str) -> pd.DataFrame:
    asked = [(p, t) for p in range(len(world.templates)) for t in range(world.images)]
    frame = pd.DataFrame(
        {
            "model_version": model,
            "subject": subject,
            "template": [p for p, _ in asked],
            "trial": [t for _, t in asked],
            "prompt": [ws.protocol.prompt(p, name) for p, _ in asked],
            "seed": pd.array([image_seed(subject, world.templates[p], t) for p, t in asked], dtype="UInt64"),
            "generation_hash": ws.protocol.generation_hash,
            "image_sha256": [digest([model, subject, p, t]) for p, t in asked],
            "width": 512,
            "height": 512,
            "status": ["blank" if (subject, p, t) == ("artist-1", 0, 0) else "ok" for p, t in asked],
            "file": None,
            "date": None,
            "problem": None,
            "plan": '{"device": "cpu"}',
        }
    )
    return frame.astype({"template": "int32", "trial": "int32"})


def _draw_arms(ws: Workspace, model: str) -> None:
    """The images of the arms. The second artist is refused in the arm `described`, if there is one."""
    arms = {arm.name: arm for arm in ws.protocol.arms}
    for name, found in ws.asked_in_arms(model).items():
        for one in found:
            asked = [(p, t) for p in range(len(one.prompts)) for t in range(arms[name].trials)] or [(0, 0)]
            refused = one.problem or (name, one.subject) == ("described", "artist-2")
            table = pd.DataFrame(
                {
                    "model_version": model, "arm": name, "subject": one.subject, "kind": one.kind,
                    "template": [p for p, _ in asked], "trial": [t for _, t in asked],
                    "prompt": [one.prompts[p] if one.prompts else None for p, _ in asked],
                    "seed": pd.array([None if refused else t for _, t in asked], dtype="UInt64"), "generation_hash": "g",
                    "image_sha256": [None if refused else digest([model, name, one.subject, p, t]) for p, t in asked],
                    "width": pd.array([None if refused else 512 for _ in asked], dtype="Int32"),
                    "height": pd.array([None if refused else 512 for _ in asked], dtype="Int32"),
                    "status": "not_supplied" if one.problem else "refused" if refused else "ok", "problem": one.problem or None,
                    "upload_sha256": pd.Series([one.uploads[p] if one.uploads else None for p, _ in asked], dtype="str"),
                }
            )  # fmt: skip
            ws.warehouse.write(
                f"arm_images/{model}/{name}/{one.subject}",
                table.astype({"template": "int32", "trial": "int32"}),
                INPUTS,
            )


def _embed(
    ws: Workspace,
    subjects: pd.DataFrame,
    referenced: list[str],
    encoder: str,
    hands: np.ndarray,
    rng: np.random.Generator,
    world: World,
) -> None:
    """`hands` (subjects, d): the direction of each subject's own work, and of its label."""

    def unit(values: np.ndarray) -> pd.Series:
        rows = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
        return pd.Series(list(rows), dtype=object)

    # Images of arms are drawn apart, so that the headline is that of an audit without arms.
    of_arms = np.random.default_rng([world.seed, len(encoder)])

    def noise(number: int, scale: float, drawn: np.random.Generator = rng) -> np.ndarray:
        return scale * drawn.normal(size=(number, hands.shape[1]))

    # From artists whom anybody would know to those whom the model has hardly a notion of.
    able = np.where(subjects["kind"] == "artist", rng.uniform(*world.able, len(subjects)), 0.0)
    for place, row in enumerate(subjects.to_dict("records")):
        subject = str(row["subject"])
        if subject in referenced:
            works = ws.warehouse.read(f"reference_works/{subject}")[["subject", "work", "image_sha256"]]
            works = works.assign(
                embedding=unit(hands[place] + noise(len(works), 0.6)), picture=_pictures(works), grey=_NO_PICTURE
            )
            ws.warehouse.write(f"reference_embeddings/{encoder}/{subject}", works, INPUTS)
        for model in MODELS if row["kind"] != "background" else ():
            lean = 0.0 if row["opted_out"] and model == MODELS[1] else able[place]
            made = ws.warehouse.read(f"imitations/{model}/{subject}")
            made = made[["model_version", "subject", "template", "trial", "status", "image_sha256"]]
            # What images of one name have in common beside the artist's hand.
            made = made.assign(
                embedding=unit(lean * hands[place] + world.house * hands[0] + noise(1, 0.5) + noise(len(made), 0.5)),
                picture=_pictures(made),
                grey=_NO_PICTURE,
            )
            ws.warehouse.write(f"imitation_embeddings/{encoder}/{model}/{subject}", made, INPUTS)
    for model in MODELS:
        for arm, found in ws.asked_in_arms(model).items():
            for one in found:
                made = ws.warehouse.read(f"arm_images/{model}/{arm}/{one.subject}")
                made = made.loc[
                    made["image_sha256"].notna(),
                    ["model_version", "arm", "subject", "template", "trial", "status", "image_sha256", "upload_sha256"],
                ]
                at = subjects.index[subjects["subject"] == one.subject]
                lean = float(able[at[0]]) * world.strength.get(arm, 0.0) if len(at) else 0.0
                towards = lean * hands[at[0]] if len(at) else 0 * hands[0]
                # Images of one prompt without a name have nothing in common, or one label would have them all by chance.
                in_common = noise(1, 0.0 if arm == "unprompted" else 0.5, of_arms)
                if one.uploads:
                    works = ws.warehouse.read(f"reference_embeddings/{encoder}/{one.subject}").set_index("image_sha256")
                    given = vectors(works.loc[made["upload_sha256"], "embedding"])
                    towards = towards + world.echo * np.linalg.norm(hands[at[0]]) * given
                made = made.drop(columns="upload_sha256").assign(
                    embedding=unit(towards + world.house * hands[0] + in_common + noise(len(made), 0.5, of_arms)),
                    picture=_pictures(made),
                    grey=_NO_PICTURE,
                )
                ws.warehouse.write(f"arm_embeddings/{encoder}/{model}/{arm}/{one.subject}", made, INPUTS)
    if encoder == "sim-clip":
        labels = label_rows(ws.protocol, list(zip(subjects["subject"], subjects["name"], strict=True)))
        places = {subject: at for at, subject in enumerate(subjects["subject"])}
        means = np.array([hands[places[s]] if s in places else 0 * hands[0] for s in labels["label"]])
        lost = [t if s in world.unread else "" for s, t in zip(labels["label"], labels["text"], strict=True)]
        embeddings = unit(means + noise(len(labels), 0.4))
        nothing = embeddings.iloc[-1]
        own = [nothing if words else vector for vector, words in zip(embeddings, lost, strict=True)]
        labels = labels.assign(lost=lost, embedding=own)
        ws.warehouse.write(f"label_embeddings/{encoder}", labels, INPUTS)
