"""Images that an operator saved from a model that only its owner can run: `<folder>/<artist>/<image files>`.

Files count in order of name. An optional `manifest.csv` beside them gives the `prompt`, `date` and `seed` of each `file`;
without one, prompt, seed and model are read from the file, or from a name that the prompt sheet gives. Images
that deviate from the protocol (more or fewer images, other prompts, copies, unknown seeds, no control names) are kept, and the
deviations are reported. A file that cannot be read as an image is refused by name, and the artist then counts as not supplied.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from audit_assets.config import FEWEST_IMAGES, OTHER, Protocol
from audit_assets.errors import InputError, in_utf8
from audit_assets.generation.prompt_sheet import ORIGIN, answered
from audit_assets.generation.tables import absent_rows, imitation_table
from audit_assets.hashing import digest, sha256_once
from audit_assets.roster.homes import Homes
from audit_assets.roster.normalise import tokens
from audit_assets.untrusted.folders import MANIFEST, contents, manifest_files, manifests
from audit_assets.untrusted.images import open_image
from audit_assets.untrusted.making import UNSTATED, Said
from audit_assets.untrusted.saved_images import FILE_NAME, said_in
from audit_assets.warehouse.images import ImageStore, status_of

_WORDS_OF_A_USER = 3
_WORDS_OF_A_TITLE = 5
_CUT = 45
"""The number of characters after which Midjourney cuts a prompt off in the names of its files."""


def check_names(found: Homes) -> None:
    """InputError if no folder belongs to a subject, because nothing would be audited."""
    if not found.own:
        such = f", such as {found.strays[0][0].name!r}," if found.strays else ""
        raise InputError(
            f"{found.folder}: none of its {len(found.strays)} folders{such} has the name of a subject; rename them to the names in the table of artists."
        )


def lacking(found: Homes, asked: Mapping[str, int], controls: Collection[str]) -> str:
    """How many of the images that are asked for lie in the folder, and of whom; empty if none is missing.

    `asked` has the number of images per subject, and `controls` are those of them that are control names.
    """
    here = {s: sum(len(contents(own, check=False).images) for own in found.own.get(s, ())) for s in asked}
    if all(here[s] >= wanted for s, wanted in asked.items()):
        return ""

    def complete(subjects: Sequence[str]) -> str:
        return f"{sum(here[s] >= asked[s] for s in subjects)} of {len(subjects)}"

    images = sum(min(here[s], wanted) for s, wanted in asked.items())
    return (
        f"the folder {found.folder} has {images} of {sum(asked.values())} images so far: all images of {complete([s for s in asked if s not in controls])} artists "
        f"and of {complete([s for s in asked if s in controls])} control names. What a plan promises holds once all of them lie there, each with its prompt and none a copy; `audit-assets prompts` lists them."
    )


def fingerprint(files: list[Path]) -> str:
    """The hash of the inputs of a subject's rows: names and bytes of its images, and its manifest."""
    return digest([(in_utf8(f"{f.parent.name}/{f.name}"), sha256_once(f)) for f in [*files, *manifest_files(files)]])


def supplied_rows(
    files: list[Path],
    protocol: Protocol,
    *,
    model_version: str,
    subject: str,
    name: str,
    indirect: str = "",
    store: ImageStore,
) -> pd.DataFrame:
    """One row per image, and one `not_supplied` row per missing image that the protocol asks for.

    Prompt and seed come from the manifest, else from what the program that drew the image wrote into the file; `origin` says
    which. An image belongs to the template that has its prompt, and to template OTHER if none has, or if its file says that it
    was made from more than a prompt or is a grid. An image whose prompt is not known belongs to the first template. Trials are numbered in order of name. A file
    with the pixels of an earlier one has the status `copy` and no image, after the trials that the protocol asks for; a blank
    image is no copy, because a model can refuse several times. Seed,
    prompt and date are NULL if they are not known. InputError names a file that cannot be read.
    """
    manifest = manifests(files)
    wordings = {prompt: t for t, (prompt, _) in protocol.wordings(name, indirect).items()}
    rows: list[dict[str, Any]] = []
    trials: Counter[int] = Counter()
    seen: set[str] = set()
    for file in files:
        said, apart = _said(file, manifest.get(file, {}), (name, indirect, file.parent.name), wordings)
        if said["prompt"] is not None:
            said["origin"] += _sheet_says_otherwise(file, said["prompt"], wordings)
        elif (prompt := _by_sheet(file, wordings)) is not None:
            said |= {"prompt": prompt, "origin": f"{said['origin']}, {ORIGIN}" if said["origin"] else ORIGIN}
        image = open_image(file)
        sha256 = store.put(image)
        template = _template(said["prompt"], said["origin"], wordings) if said["prompt"] is not None else 0
        if apart is not None:
            template, said["origin"] = OTHER, f"{said['origin']}{APART}{apart}"
        row = {
            "model_version": model_version,
            "subject": subject,
            "template": template,
            "generation_hash": protocol.generation_hash,
            "file": in_utf8(f"{file.parent.name}/{file.name}"),
            **said,
        }
        status = status_of(image)
        if sha256 in seen and status == "ok":
            rows.append({**row, "status": "copy"})
            continue
        seen.add(sha256)
        size = {"width": image.width, "height": image.height}
        rows.append({**row, **size, "trial": trials[template], "image_sha256": sha256, "status": status})
        trials[template] += 1
    after = Counter({t: max(trials[t], protocol.trials) for t in {row["template"] for row in rows}})
    for row in (row for row in rows if row["status"] == "copy"):
        row["trial"] = after[row["template"]]
        after[row["template"]] += 1
    absent = absent_rows(protocol, model_version=model_version, subject=subject)
    rows += [row for row in absent if row["trial"] >= trials[row["template"]]]
    return imitation_table(rows)


def _said(
    file: Path, manifest: Mapping[str, str], names: Iterable[str], wordings: Iterable[str]
) -> tuple[dict[str, Any], str | None]:
    """What is known of an image's making (prompt, seed, date, model, and the origin of prompt and seed), and why it is counted apart.

    The manifest's word counts. If the file says otherwise, the origin says so.
    """
    found = said_in(file)
    if found is not None and found.texts:
        found = _with_known_texts(found, names, wordings)
    prompt, seed = manifest.get("prompt"), int(manifest["seed"]) if "seed" in manifest else None
    said = {"prompt": prompt, "seed": seed, "date": manifest.get("date"), "model": found.model if found else None}
    origin = MANIFEST if (prompt, seed) != (None, None) else None
    if found is None:
        return {**said, "origin": origin}, None
    apart = found.apart
    if _differs(prompt, found.prompt) and not found.origin.startswith(FILE_NAME):
        origin = f"{origin}{OTHERWISE}prompt {str(found.prompt)[:200]!r} ({found.origin})"
    elif prompt is not None and found.texts:
        origin = f"{origin}{OTHERWISE}{_quoted(found.texts)} ({found.origin})"
    elif _differs(seed, found.seed):
        origin = f"{origin}{OTHERWISE}seed {found.seed} ({found.origin})"
    elif found.texts and apart is None:
        apart = f"{UNCERTAIN}{_quoted(found.texts)}"
    new = [v for v, known in ((found.prompt, prompt), (found.seed, seed)) if v is not None and known is None]
    said |= {"prompt": prompt or found.prompt, "seed": found.seed if seed is None else seed}
    if new:
        origin = f"{origin}, {found.origin}" if origin else found.origin
    if apart is not None:
        origin = origin or found.origin
    return {**said, "origin": origin}, apart


UNCERTAIN = "states words of which it is not known that they are the prompt: "
_SHOWN_TEXTS, _SHOWN = 3, 80


def _quoted(texts: Sequence[str]) -> str:
    shown = " and ".join(repr(text[:_SHOWN]) for text in texts[:_SHOWN_TEXTS])
    return f"{f'{len(texts)} texts, ' if len(texts) > 1 else ''}{shown}"


def _with_known_texts(found: Said, names: Iterable[str], wordings: Iterable[str]) -> Said | None:
    """What a file says, if its texts are known: titles that are the artist's name alone say nothing, and those that are
    the protocol's prompt are the prompt."""
    own = [sorted(tokens(name)) for name in names if name]
    texts = tuple(t for t in found.texts if sorted(w for w in tokens(t) if not w.isdigit()) not in own)
    plain = {_plain(text) for text in texts}
    prompt = texts[0] if len(plain) == 1 and plain <= {_plain(wording) for wording in wordings} else None
    if not texts and (found.seed, found.model, found.apart) == (None, None, None):
        return None
    return found._replace(prompt=prompt, texts=() if prompt else texts)


def _by_sheet(file: Path, prompts: Iterable[str]) -> str | None:
    """The prompt that a file answers, if it has the name that a prompt sheet gives it."""
    try:
        return answered(file.stem, prompts)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _sheet_says_otherwise(file: Path, prompt: str, wordings: Iterable[str]) -> str:
    """What to say if a file has the name of the prompt sheet for another prompt than the one that is known."""
    try:
        answered(file.stem, [prompt, *(w for w in wordings if _plain(w) == _plain(prompt))])
    except InputError:
        return f"{OTHERWISE}another prompt ({ORIGIN})"
    return ""


OTHERWISE = "; the file says "
APART = "; counted apart, because it "


def _differs(one: object, other: object) -> bool:
    texts = (_plain(v) if isinstance(v, str) else v for v in (one, other))
    return one is not None and other is not None and len(set(texts)) == 2


def _template(prompt: str, origin: str | None, wordings: Mapping[str, int]) -> int:
    """The template of a prompt. The name of a file has the words of the prompt alone, behind those of the user's name, and
    may end within one."""
    exact = {_plain(wording): t for wording, t in wordings.items()}
    if origin is None or not origin.startswith(FILE_NAME):
        return exact.get(_plain(prompt), OTHER)
    words = tokens(prompt)
    for wording, template in wordings.items():
        wanted = tokens(wording)
        if words[-len(wanted) :] == wanted and len(words) - len(wanted) <= _WORDS_OF_A_USER:
            return template
        if len(prompt) >= _CUT and any(
            " ".join(wanted).startswith(" ".join(words[n:])) for n in range(min(_WORDS_OF_A_USER + 1, len(words) - 2))
        ):
            return template
    return OTHER


def _plain(prompt: str) -> str:
    """A prompt without differences that no tokenizer sees: form of the accents, and spaces."""
    return " ".join(unicodedata.normalize("NFC", prompt).split())


def deviations(table: pd.DataFrame, protocol: Protocol, subjects: pd.DataFrame) -> list[str]:
    """One sentence per deviation of a folder's images from the protocol, for the checks and the report.

    `table` has the rows of any number of subjects; `subjects` has columns subject and kind. A subject with fewer than
    FEWEST_IMAGES images (or fewer than the protocol asks for, if that is less) is `not auditable`. A subject without images
    was not supplied.
    """
    asked = len(protocol.templates) * protocol.trials
    images = table[table["image_sha256"].notna()]
    apart = images["origin"].fillna("").astype(str).str.partition(APART)[2]
    others, copies = images[(images["template"] == OTHER) & (apart == "")], table[table["status"] == "copy"]
    counts = (
        images[images["template"] != OTHER].groupby("subject").size().reindex(table["subject"].unique(), fill_value=0)
    )
    supplied = set(images["subject"])
    kinds = subjects.set_index("subject")["kind"].reindex(counts.index)
    controls = counts[kinds.isin(["random_name", "nonsense"])]
    found = [
        f"{subject}: {count} images, not {asked}" + ("; not auditable" if count < min(FEWEST_IMAGES, asked) else "")
        for subject, count in counts.items()
        if count != asked and subject in supplied
    ]
    if absent := len(set(counts.index) - supplied):
        found.insert(0, f"{absent} of {len(counts)} subjects were not supplied")
    if len(controls) and not (controls > 0).any():
        found.insert(
            0,
            "no control name was supplied: the audit cannot show what the model draws for a name that belongs to no artist",
        )
    for subject, own in others.groupby("subject"):
        found.append(
            f"{subject}: {len(own)} of {int((images['subject'] == subject).sum())} images have another prompt than the protocol's (such as "
            f"{str(own['prompt'].iloc[0])[:200]!r}); they are counted apart; if the prompts name the artist in one way, make them a template of the protocol"
        )
    for (whose, why), own in images[apart != ""].groupby(["subject", apart[apart != ""]]):
        found.append(
            f"{whose}: {len(own)} of {int((images['subject'] == whose).sum())} images are counted apart, such as {own['file'].iloc[0]}: "
            f"according to its file, it {why}"
            + (
                "; if the prompt is known, name it in manifest.csv"
                if str(why).startswith((UNCERTAIN, UNSTATED))
                else ""
            )
        )
    for subject, own in copies.groupby("subject"):
        different = int((images["subject"] == subject).sum())
        found.append(f"{subject}: {len(own) + different} images, {different} different; copies count once")
    drawn = images[images["status"] == "ok"]
    pairs = drawn[["image_sha256", "subject"]].drop_duplicates()
    twice = pairs[pairs.duplicated("image_sha256", keep=False)].groupby("image_sha256")["subject"]
    shared = Counter(tuple(sorted(subjects)) for _, subjects in twice)
    for who, n in sorted(shared.items()):
        found.append(
            f"images that are the same in the folders of {' and '.join(who)}: {n}; give each name the images that were asked for by that name"
        )
    sizes = sorted({(int(w), int(h)) for w, h in zip(drawn["width"], drawn["height"], strict=True)})
    if len(sizes) > 1:
        (w, h), (wide, high) = sizes[0], sizes[-1]
        found.append(
            f"the images have {len(sizes)} sizes, from {w} x {h} to {wide} x {high} pixels; a difference between names may come from it"
        )
    origin = table["origin"].fillna("").astype(str)
    for _, row in table[origin.str.contains(OTHERWISE, regex=False)].iterrows():
        found.append(f"{row['file']}: {row['origin']}; what is named first counts, correct the one that is wrong")
    known = table["image_sha256"].notna() & (table["prompt"].notna() | table["seed"].notna())
    read = origin.str.partition(APART)[0][known & (origin != "") & ~origin.str.startswith(MANIFEST)]
    found += [
        f"{n} of {len(images)} images: prompt or seed come from {where}" for where, n in read.value_counts().items()
    ]
    models = sorted(set(images["model"].dropna().astype(str)))
    if len(models) > 1:
        found.append(f"the images name {len(models)} models: {', '.join(models[:5])}")
    elif models and " with " in models[0]:
        found.append(f"the images name a model with adapters: {models[0]}")
    if unknown := int(images["seed"].isna().sum()):
        found.append(f"{unknown} of {len(images)} images have no known seed")
    unsaid = images[images["prompt"].isna()]
    if len(unsaid):
        found.append(f"{len(unsaid)} of {len(images)} images have no known prompt")
    asked_for = frozenset(word for template in protocol.templates for word in tokens(template))
    rows = zip(unsaid["file"], unsaid["subject"], strict=True)
    titles = [file for file, subject in rows if _is_title(file, subject, asked_for)]
    if titles:
        found.append(
            f"{len(titles)} of {len(images)} images have names that may be another prompt, such as {titles[0]!r}, and count for the first template; "
            "if they are, name the prompts in manifest.csv"
        )
    return found


def _is_title(file: str, subject: str, asked_for: Collection[str]) -> bool:
    """Whether the name of a file has many words beside those of the subject and of the templates, as another prompt has."""
    own = {*tokens(subject.replace("-", " ")), *asked_for}
    words = tokens(re.sub(r"[_+-]", " ", PurePosixPath(file).stem))
    return (
        len([w for w in words if w not in own and w.isalpha() and (len(w) > 1 or not w.isascii())]) >= _WORDS_OF_A_TITLE
    )
