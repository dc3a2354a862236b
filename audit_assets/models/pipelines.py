"""Resolve an image source before anything expensive starts.

This finds its kind, checks that it is whole, and determines the settings that it will be asked for. No torch is needed.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_assets.config import ApiEntry
from audit_assets.errors import InputError
from audit_assets.hashing import sha256_once
from audit_assets.models.adapters import ResolvedLora
from audit_assets.models.embeddings import ResolvedEmbedding
from audit_assets.models.families import Described, asked, family_of
from audit_assets.models.files import files_sha256, local_folder, text_encoder_family
from audit_assets.models.one_file import check_one_file, check_scheduler, is_in_file, not_used
from audit_assets.models.pipeline_source import PipelineSource, installed, pipeline_source
from audit_assets.models.pretrained import check_class_name, check_configuration
from audit_assets.models.schedulers import check_seeded, noise_is_handed_on
from audit_assets.models.tokenizers import check_tokenizer_config, is_text_encoder
from audit_assets.untrusted.folders import artist_folders, folder_files
from audit_assets.untrusted.layout import (
    INDEX,
    components,
    problem_of_other_formats,
    used_variant,
    weights_by_variant,
)
from audit_assets.untrusted.weights import (
    check_configured_size,
    check_weights,
    read_json,
)

_MAY_LACK_A_FOLDER = {"safety_checker", "feature_extractor", "image_encoder"}


@dataclass(frozen=True)
class ResolvedModel:
    """This is a model version as its results will cite it. `settings` also has the adapters, by name and hash.

    `arguments`, `origins` and `not_sent` are those of `families.Asked`.
    """

    name: str
    source: str
    path: Path
    pipeline_class: str | None
    revision: str | None
    files_sha256: str
    text_encoder_families: tuple[str, ...]
    settings: dict[str, Any]
    lora: tuple[ResolvedLora, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    not_sent: dict[str, str] = field(default_factory=dict)
    variant: str | None = None
    """The variant that audit.yaml asks for. `variants` has the one that is loaded, for each component that has one."""
    variants: Mapping[str, str] = field(default_factory=dict)
    one_file: Path | None = None
    """The file of a model in one file. `path` is then the folder `config`."""
    in_file: tuple[str, ...] = ()
    """The components whose weights come from that file."""
    embeddings: tuple[ResolvedEmbedding, ...] = ()
    api: ApiEntry | None = None
    """How a model that is served behind an API is asked. Such a model has no files, and `path` and `files_sha256` are empty."""

    @property
    def recorded(self) -> dict[str, Any]:
        """The settings as the database publishes them: with what the call is sent, where it comes from, and what is left out."""
        about = {"call": self.arguments, "origins": self.origins, "not_sent": self.not_sent}
        return {**self.settings, **{name: value for name, value in about.items() if value}}

    def notes(self) -> list[str]:
        """Return a sentence per assumption about an adapter, and per setting of audit.yaml that is not sent."""
        unsent = [f"settings.{setting} is not sent: {why}." for setting, why in self.not_sent.items()]
        return [*(note for adapter in self.lora for note in adapter.notes()), *unsent]


def resolve_diffusers(
    name: str,
    path: str,
    revision: str | None,
    settings: dict[str, Any],
    lora: tuple[ResolvedLora, ...] = (),
    embeddings: tuple[ResolvedEmbedding, ...] = (),
    *,
    variant: str | None = None,
    config: str | None = None,
) -> ResolvedModel:
    """Resolve a folder of a diffusers pipeline, or one file with the folder of its configuration.

    It raises InputError if the folder is not a pipeline, a component is missing, or a weight file is quantized, of
    another format or truncated.
    """
    one_file = Path(path) if os.path.isfile(path) else None
    tensors = check_one_file(one_file, config) if one_file else None
    if config is not None and one_file is None:
        raise InputError(f"{path}: is no model in one file, which alone takes a `config`; delete the field.")
    folder, found = local_folder(path, revision, "pipeline", variant) if config is None else local_folder(config, None)
    if not (folder / INDEX).exists():
        raise InputError(_not_a_pipeline(folder))
    index = read_json(folder / "model_index.json")
    if one_file is not None and not any((folder / "safety_checker").glob("*.safetensors")):
        index["safety_checker"] = [None, None]  # a model in one file has none, and such a folder `config` brings none
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str):
        raise InputError(f"{folder / 'model_index.json'}: names no pipeline (_class_name); copy the model again.")
    configs = _component_configs(
        folder, index, variant, (one_file, tensors) if one_file and tensors is not None else None
    )
    source = _drawing_source(folder, pipeline)
    families = tuple(text_encoder_family(c) for n, c in configs.items() if is_text_encoder(n))
    if not families and any(map(is_text_encoder, source.components)):
        raise InputError(
            f"{folder}: the pipeline {pipeline} has no text encoder, so a name cannot be asked for; copy the model again."
        )
    own = {n: value for n, value in index.items() if not n.startswith("_") and not isinstance(value, list)}
    absent = dict.fromkeys(n for n, value in index.items() if isinstance(value, list) and n not in configs)
    described = Described(family_of(pipeline, marks_of(configs, own)), source, own, {**absent, **configs})
    chosen = asked(described, settings)
    said = chosen.settings
    check_seeded(folder, index, said["scheduler"])
    scheduler = index.get("scheduler")
    if said["scheduler"] is None and isinstance(scheduler, list):
        said["scheduler"] = scheduler[-1]
    if noise_is_handed_on(source, said["scheduler"], configs.get("scheduler", {})):
        said["noise_of_steps"] = "from the seed"
    if lora:
        said["lora"] = [a.record() for a in lora]
    if embeddings:
        said["embeddings"] = [e.record() for e in embeddings]
    variants = _variants(folder, index, variant)
    if variant is not None and variant not in variants.values():
        raise InputError(f"{folder}: holds no weights of the variant {variant!r}; correct `variant`, or delete it.")
    if variants:
        said["variant"] = "+".join(sorted(set(variants.values())))
    in_file: tuple[str, ...] = ()
    if one_file is not None and tensors is not None:
        in_file = tuple(c for c, (_, own) in components(index).items() if is_in_file(c, str(own), tensors.keys()))
        check_scheduler(
            one_file, tensors.keys(), folder / "scheduler/scheduler_config.json", configs.get("scheduler", {})
        )
        said["one_file"] = {"file": one_file.name, "components": list(in_file)}
        if said["safety_checker"]:
            said["one_file"]["safety_checker"] = "of the folder `config`"
        if unused := not_used(tensors, in_file):
            said["one_file"]["not_used"] = unused
    return ResolvedModel(
        name=name,
        source="diffusers",
        path=folder,
        pipeline_class=pipeline,
        revision=found if one_file is None else revision,
        files_sha256=files_sha256(folder, variant, one_file, in_file),
        text_encoder_families=families,
        settings=said,
        lora=lora,
        arguments=chosen.arguments,
        origins=chosen.origins,
        not_sent=chosen.not_sent,
        variant=variant,
        variants=variants,
        one_file=one_file,
        in_file=in_file,
        embeddings=embeddings,
    )


def _drawing_source(folder: Path, pipeline: str) -> PipelineSource:
    """Return what the source of a pipeline says. InputError if a prompt alone does not make it draw an image."""
    source = pipeline_source(pipeline)
    if source is None:
        raise InputError(
            f"{folder / 'model_index.json'}, _class_name: the installed diffusers has no pipeline {pipeline!r}; install the "
            "version that has it, or save the model with a pipeline of this version."
        )
    if "prompt" not in source.takes:
        raise InputError(
            f"{folder}: {pipeline} takes no prompt, so a name cannot be asked for; audit its images as an image_folder."
        )
    if "generator" not in source.takes:
        raise InputError(
            f"{folder}: {pipeline} takes no generator, so no image could be drawn again from its seed; audit its images as an "
            "image_folder."
        )
    if source.makes is not None:
        raise InputError(f"{folder}: {pipeline} makes {source.makes}, not images; give a text-to-image pipeline.")
    if source.needs is not None:
        what = "an image" if "image" in source.needs and "embed" not in source.needs else f"`{source.needs}`"
        raise InputError(
            f"{folder}: {pipeline} needs {what} to begin with (its argument `{source.needs}`), so it cannot be asked by a "
            "prompt alone; give a text-to-image pipeline."
        )
    return source


def _not_a_pipeline(folder: Path) -> str:
    """Return what a folder without model_index.json is, and the remedy."""
    whole = sorted(folder.glob("*.safetensors"))
    names = [p.name for p in folder.iterdir() if p.is_file()]
    if whole:
        return (
            f"{folder / INDEX}: is missing; if {whole[0].name} is a model in one file, give that file as `path`, and the folder of "
            "its configuration as `config`."
        )
    return problem_of_other_formats(folder, names, folder) or (
        f"{folder / INDEX}: is missing; the folder is not a saved model, or was copied in part."
    )


def _variants(folder: Path, index: dict[str, Any], wanted: str | None) -> dict[str, str]:
    """Return the variant of each component that is loaded from a variant of its weights."""
    found = {}
    for component in components(index):
        names = [p.name for p in (folder / component).glob("*")]
        if used := used_variant(weights_by_variant(names), wanted):
            found[component] = used
    return found


def _component_configs(
    folder: Path,
    index: dict[str, Any],
    variant: str | None = None,
    one_file: tuple[Path, Mapping[str, tuple[int, ...]]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the configuration of each component that model_index.json names, schedulers included.

    `one_file` has the weights of some components: its path, and its tensors' shapes.
    """
    configs = {}
    exported = re.match(r"(Onnx|OV|ORT|Flax)[A-Z]", str(index.get("_class_name")))
    if exported is not None:
        raise InputError(
            f"{folder / INDEX}: {index['_class_name']} is no pipeline of PyTorch; give the model as PyTorch saves it."
        )
    for component, value in index.items():
        if component.startswith("_") or not isinstance(value, list) or not value or value[0] is None:
            continue
        if len(value) != 2 or not re.fullmatch(r"\w+", component) or not _is_known_library(value[0]):
            raise InputError(
                f"{folder / 'model_index.json'}, {component}: {value[0]!r} is no part of diffusers or transformers, and code of other modules is not run; save the model with its standard components."
            )
        check_class_name(folder / "model_index.json", component, value[1])
        own = folder / component
        if not own.is_dir():
            if component in _MAY_LACK_A_FOLDER:
                continue
            raise InputError(f"{own}: the component that model_index.json names is missing; copy the model again.")
        if not any(own.glob("*config.json")):
            raise InputError(f"{own / 'config.json'}: is missing; the model was copied in part, copy it again.")
        shapes = _shapes(folder, component, str(value[1]), variant, one_file)
        file = own / ("scheduler_config.json" if component == "scheduler" else "config.json")
        configs[component] = read_json(file) if file.exists() else {}
        check_configuration(file, configs[component])
        check_tokenizer_config(own)
        if shapes:
            check_configured_size(file, configs[component], shapes)
    return configs


def _shapes(
    folder: Path,
    component: str,
    class_name: str,
    variant: str | None,
    one_file: tuple[Path, Mapping[str, tuple[int, ...]]] | None,
) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of a component's tensors. A component without weights has none."""
    own = folder / component
    if not (own / "config.json").exists():
        return {}
    if one_file is None:
        return check_weights(own, variant, pipeline=folder)
    file, shapes = one_file
    if is_in_file(component, class_name, shapes.keys()):
        return shapes
    if not any(own.glob("*.safetensors")):
        raise InputError(
            f"{file}: has no weights of {component}, and neither has {own}; copy the {component} of its family there, with its weights."
        )
    return check_weights(own, variant, pipeline=folder)


def _is_known_library(name: Any) -> bool:
    """Return whether diffusers may import a library of model_index.json. It would import any installed module."""
    if name in ("diffusers", "transformers"):
        return True
    return (
        isinstance(name, str) and re.fullmatch(r"\w+", name) is not None and (installed() / "pipelines" / name).is_dir()
    )


def marks_of(configs: dict[str, dict[str, Any]], own: dict[str, Any]) -> dict[str, Any]:
    """Return the marks that tell families of one pipeline class apart.

    The components' configurations and the pipeline's own fields have them.
    """
    scheduler = configs.get("scheduler", {})
    return {
        "timestep_spacing": scheduler.get("timestep_spacing"),
        "prediction_type": scheduler.get("prediction_type", "epsilon"),  # the schedulers' default
        "sample_size": configs.get("unet", {}).get("sample_size"),
        "text_width": configs.get("text_encoder", {}).get("hidden_size"),
        "guidance_embeds": configs.get("transformer", {}).get("guidance_embeds"),
        "time_cond_proj_dim": configs.get("unet", {}).get("time_cond_proj_dim"),
        "is_distilled": own.get("is_distilled"),
    }


def left_out(folder: Path, with_safety_checker: bool = True) -> list[str]:
    """Return the components that model_index.json names and that are not loaded.

    They were not copied, and a pipeline can draw without them, or the safety checker is left out.
    """
    index = read_json(folder / "model_index.json")
    absent = {c for c in _MAY_LACK_A_FOLDER & index.keys() if not (folder / c).is_dir()}
    return sorted(absent | ({"safety_checker"} & index.keys() if not with_safety_checker else set()))


def resolve_folder(name: str, folder: Path) -> ResolvedModel:
    """Resolve a folder of images that a person saved from a model, as `<artist>/<any name>.{png,jpg,webp}`.

    Each artist's images are checked when they are read.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder; put the images there, one folder for each artist.")
    files = [file for own in artist_folders(folder) for file in folder_files(own)]
    if not files and folder_files(folder):
        raise InputError(
            f"{folder}: holds images themselves, and no folder per artist with images; put each artist's images into a folder with the "
            "artist's name. `audit-assets sort` does so by the prompts in the files or by their names."
        )
    if not files:
        raise InputError(f"{folder}: holds no images; it takes <artist>/<any name>.png, .jpg or .webp.")
    total = hashlib.sha256()
    for file in files:
        relative = os.fsencode(file.relative_to(folder).as_posix())
        total.update(relative + b"\0" + sha256_once(file).encode() + b"\n")
    return ResolvedModel(name, "image_folder", folder, None, None, total.hexdigest(), (), {})
