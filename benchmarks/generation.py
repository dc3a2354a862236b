"""Measure images, embeddings and the cost of a cell beside hand-written code, in one process tree.

    python -m benchmarks.generation                 the miniature on this machine's CPU; `benchmarks.gpu` measures a GPU

The hand-written loop calls the pipeline with as many prompts and generators as ours, and saves PNGs with Pillow's
defaults. The plain script makes one image per call in float32. Peers and ours take turns, and the fastest turn counts.
Time is by the clock, because ours writes in a thread: run the benchmark on a machine that does nothing else. A cell's
cost is the time that a run of Dagster takes beyond the same work done by the library alone. The model is small, so that
ours draws with one thread, and so do the loops beside it. Another row compares ours in as many processes as there are
cores, as an audit draws (`audit_assets/generation/helpers.py`), with the loop in one process with all threads.
"""

import argparse
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import yaml
from diffusers import DiffusionPipeline
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from audit_assets.config import Protocol
from audit_assets.encoders.embed import embed_stored
from audit_assets.encoders.load import load
from audit_assets.generation.makers import AskedModel
from audit_assets.generation.seeds import image_seed
from audit_assets.generation.stage import ImitationStage
from audit_assets.models.encoders import resolve_encoder
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers
from audit_assets.runs.driver import Driver, driver
from audit_assets.runs.steps import Step
from audit_assets.warehouse.images import ImageStore
from benchmarks.results import Results

MINIATURE = Path(__file__).parent.parent / "data" / "miniature"
PROTOCOL = Protocol(name="bench", templates=("Artwork from {name}",), trials=10)


def people(count: int) -> list[str]:
    firsts, lasts = ["Ada", "Bo", "Clara", "Dov", "Eli"], ["Brandvold", "Corvin", "Dahl", "Estrem", "Fauss", "Gorin"]
    return [
        f"{firsts[n % 5]} {lasts[n % 6]} {'abcdefghij'[n // 30 % 10] * 3}{'klmnop'[n // 300 % 6]}" for n in range(count)
    ]


def in_turns(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Return the seconds of the fastest turn of each, after one turn that does not count."""
    fastest = dict.fromkeys(runs, float("inf"))
    for turn in range(repeats + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                fastest[name] = min(fastest[name], time.perf_counter() - began)
    return fastest


class ByHand:
    """A careful hand-written loop with diffusers: batches, one generator per image, PNGs with Pillow's defaults."""

    def __init__(self, model: ResolvedModel, device: str, dtype: torch.dtype, batch: int) -> None:
        self.pipeline = DiffusionPipeline.from_pretrained(model.path, dtype=dtype, use_safetensors=True).to(device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.settings, self.batch = model.settings, batch

    def draw(self, prompt: str, seeds: Sequence[int]) -> list[Image.Image]:
        images: list[Image.Image] = []
        for start in range(0, len(seeds), self.batch):
            some = seeds[start : start + self.batch]
            images += self.pipeline(
                prompt=[prompt] * len(some),
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in some],
                num_inference_steps=self.settings["steps"],
                guidance_scale=self.settings["guidance"],
                width=self.settings["size"],
                height=self.settings["size"],
            ).images
        return images

    def audit(self, names: Sequence[str], folder: Path) -> None:
        with torch.inference_mode():
            for name in names:
                seeds = [image_seed(name, PROTOCOL.templates[0], trial) for trial in range(PROTOCOL.trials)]
                for n, image in enumerate(self.draw(PROTOCOL.prompt(0, name), seeds)):
                    image.save(folder / f"{name}-{n}.png")


def ours(model: ResolvedModel, names: Sequence[str], folder: Path) -> Callable[[], None]:
    """Load our maker once. Each turn writes into its own store, because an existing image is not written again."""
    maker = AskedModel(model, PROTOCOL, ImageStore(folder / "ours"), batch_size=PROTOCOL.trials)
    turn = iter(range(1000))

    def run() -> None:
        maker.store = ImageStore(folder / f"ours-{next(turn)}")
        for name in names:
            maker.make(name, name)

    return run


def generation(results: Results, model: ResolvedModel, folder: Path, names: Sequence[str], repeats: int) -> None:
    batched = ByHand(model, "cpu", torch.float32, PROTOCOL.trials)
    plain = ByHand(model, "cpu", torch.float32, 1)
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = in_turns(
        {
            "ours": ours(model, names, folder),
            "batched": lambda: batched.audit(names, folder),
            "plain": lambda: plain.audit(names, folder),
        },
        repeats,
    )
    torch.set_num_threads(cores)
    images = len(names) * PROTOCOL.trials
    rate = {name: images / s for name, s in seconds.items()}
    results.ratio("images/s of one core against a hand-written batched loop", rate["ours"], rate["batched"], rate["ours"] / rate["batched"], 0.95)  # fmt: skip
    results.ratio("images/s of one core against a plain script, one image a call", rate["ours"], rate["plain"], rate["ours"] / rate["plain"], 2)  # fmt: skip


def drawing(folder: Path, model: ResolvedModel, names: Sequence[str], ready: Any) -> None:
    """Draw the images of some names in a process of its own, between two meetings of all processes."""
    torch.set_num_threads(1)
    maker = AskedModel(model, PROTOCOL, ImageStore(folder), batch_size=PROTOCOL.trials)
    maker.make("first", "first")
    ready.wait()
    for name in names:
        maker.make(name, name)
    ready.wait()


def processes(results: Results, model: ResolvedModel, folder: Path, names: Sequence[str], repeats: int) -> None:
    """Compare one process for each core with one process that has a thread for each core."""
    cores, context = torch.get_num_threads(), multiprocessing.get_context("spawn")
    images = cores * len(names) * PROTOCOL.trials
    by_hand = ByHand(model, "cpu", torch.float32, PROTOCOL.trials)
    by_hand.audit(names[:1], folder)
    rates: dict[str, list[float]] = {"processes": [], "threads": []}
    until_drawn: list[float] = []
    for turn in range(repeats):
        ready = context.Barrier(cores + 1)
        started = [
            context.Process(
                target=drawing, args=(folder / f"{turn}-{n}", model, [f"{name} {n}" for name in names], ready)
            )
            for n in range(cores)
        ]
        began = time.perf_counter()
        for process in started:
            process.start()
        ready.wait()
        until_drawn.append(time.perf_counter() - began)
        began = time.perf_counter()
        ready.wait()
        rates["processes"].append(images / (time.perf_counter() - began))
        for process in started:
            process.join()
        began = time.perf_counter()
        for _ in range(cores):
            by_hand.audit(names, folder)
        rates["threads"].append(images / (time.perf_counter() - began))
    ours, threads = max(rates["processes"]), max(rates["threads"])
    what = "images/s in a process for each core, against a hand-written batched loop with all threads"
    results.ratio(what, ours, threads, ours / threads, 1.2)
    results.reported("seconds until each process has drawn its first ten images", min(until_drawn))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # of the largest: no other process has run yet
    results.reported("memory of such a process, MB", peak)


def encoding(results: Results, folder: Path, repeats: int) -> None:
    """Embed images of the store cell by cell, and compare with one image per call."""
    import numpy as np
    import pandas as pd

    path = MINIATURE / "encoders" / "clip"
    encoder = load(resolve_encoder("clip", "image_text", str(path)), "cpu")
    store, draws = ImageStore(folder / "images"), np.random.default_rng(1)
    pictures = [Image.fromarray(draws.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(400)]
    cells = [pd.DataFrame({"image_sha256": [store.put(p) for p in pictures[n : n + 10]]}) for n in range(0, 400, 10)]
    processor = AutoImageProcessor.from_pretrained(path, backend="pil")
    model = AutoModel.from_pretrained(path, dtype=torch.float32).eval()

    def one_at_a_time() -> None:
        with torch.inference_mode():
            for cell in cells:
                for sha256 in cell["image_sha256"]:
                    pixels = processor(images=Image.open(store.path(sha256)).convert("RGB"), return_tensors="pt")
                    torch.nn.functional.normalize(model.get_image_features(**pixels).pooler_output, dim=-1).numpy()

    def by_cell() -> None:
        for cell in cells:
            embed_stored(encoder, cell, store)

    seconds = in_turns({"ours": by_cell, "one": one_at_a_time}, repeats)
    rate = {name: 400 / s for name, s in seconds.items()}
    results.ratio("images/s encoded against one image a call", rate["ours"], rate["one"], rate["ours"] / rate["one"], 2.5)  # fmt: skip


def write_audit(folder: Path, cells: int) -> Path:
    """Write an audit of `cells` artists with one image each in one step: the remaining time is the cost of a cell."""
    folder.mkdir(parents=True)
    (folder / "references").mkdir()
    (folder / "artists.csv").write_text("name\n" + "\n".join(people(cells)) + "\n")
    (folder / "protocol.yaml").write_text("name: bench\ntemplates: ['Artwork from {name}']\ntrials: 1\n")
    settings = {"steps": 1, "guidance": 1.0, "size": 16}
    model = {"name": "m", "source": "diffusers", "path": str(MINIATURE / "models" / "miniature-1"), "approved": True}
    content = {
        "protocol": "protocol.yaml",
        "roster": {"artists": "artists.csv", "criteria": cells, "most_mentioned": 0},
        "controls": {"random_names": 0},
        "models": [{**model, "settings": settings}],
        "encoders": [{"name": "e", "kind": "image_text", "path": str(MINIATURE / "encoders" / "clip")}],
    }
    (folder / "audit.yaml").write_text(yaml.safe_dump(content))
    return folder / "audit.yaml"


def stored_bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def range_step(d: Driver, keys: Sequence[str]) -> Step:
    ordered = [k for k in d.instance.get_dynamic_partitions("subject") if k in set(keys)]
    ends = {"start": ordered[0], "end": ordered[-1]}
    return Step("imitations", ["imitations"], {f"dagster/asset_partition_range_{e}": f"m|{k}" for e, k in ends.items()})


def orchestration(results: Results, folder: Path, cells: int, repeats: int) -> None:
    """Make the same cells by the library alone, by one run of Dagster, and by one run per cell."""
    with driver(write_audit(folder / "audit", cells)) as d:
        d.preflight()
        for step in (*d.roster_steps(), *d.registry_steps()):
            d.run(step)
        subjects = d.ws.subjects()["subject"].tolist()

        def alone() -> None:
            forget(d)
            for _ in ImitationStage(d.ws).make("m", subjects):
                pass

        def in_a_run() -> None:
            forget(d)
            d.run(range_step(d, subjects))

        before = stored_bytes(d.audit.dagster_home)
        seconds = in_turns({"alone": alone, "run": in_a_run}, repeats)
        kilobytes = (stored_bytes(d.audit.dagster_home) - before) / (repeats + 1) / cells / 1000
        few = iter(subjects * repeats)
        # The cells exist: one run per cell costs this without any model.
        run_each = in_turns({"each": lambda: d.run(range_step(d, [next(few)]))}, 5)["each"]
        process_each = in_turns({"each": lambda: in_a_process(d, subjects[0])}, 2)["each"]
        each = (seconds["run"] - seconds["alone"]) / cells
    results.within("orchestration of a cell in ms", 1000 * each, 25)
    results.within("kept by Dagster for a cell in KB", kilobytes, 20)
    results.ratio("ms a cell against a run a cell, in process", 1000 * each, 1000 * run_each, run_each / each, 7)
    results.ratio("ms a cell against a process a cell", 1000 * each, 1000 * process_each, process_each / each, 70)


def in_a_process(d: Driver, key: str) -> None:
    """Make a cell as `dagster asset materialize` makes it, with no image to draw."""
    program = Path(sys.executable).with_name("dagster")
    cell = ["--select", "imitations", "--partition", f"m|{key}", "-m", "audit_assets.definitions"]
    environment = {
        **os.environ, "AUDIT_CONFIG": str(d.audit.base / "audit.yaml"), "DAGSTER_HOME": str(d.audit.dagster_home)
    }  # fmt: skip
    done = subprocess.run([program, "asset", "materialize", *cell], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])


def forget(d: Driver) -> None:
    """Remove the tables of the cells, so that they are made again."""
    for path in (d.ws.warehouse.root / "imitations").rglob("*.parquet"):
        path.unlink()


def memory(results: Results, folder: Path) -> None:
    """Measure the peak memory of a run over few cells and of a run over many cells, each in its own process."""
    peaks = {}
    for cells in (20, 200):
        command = [
            sys.executable,
            "-m",
            "benchmarks.generation",
            "--peak",
            str(cells),
            "--folder",
            str(folder / f"memory-{cells}"),
        ]
        peaks[cells] = float(
            subprocess.run(
                command, check=True, capture_output=True, text=True, cwd=MINIATURE.parents[1]
            ).stdout.split()[-1]
        )
    results.ratio("peak memory in MB, 200 cells against 20", peaks[200], peaks[20], peaks[200] / peaks[20], 1.05, at_most=True)  # fmt: skip


def peak(cells: int, folder: Path) -> None:
    """Make this number of cells, and print the peak memory of this process in MB."""
    with driver(write_audit(folder, cells)) as d:
        for step in (*d.roster_steps(), *d.registry_steps()):
            d.run(step)
        d.run(range_step(d, d.ws.subjects()["subject"].tolist()))
    print(int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=4, help="artists of ten images each in a turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns; the fastest counts")
    parser.add_argument("--cells", type=int, default=140, help="cells of which Dagster's part is measured")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="instead of benchmarks/results/<stage>.json")
    chosen = parser.parse_args()
    if chosen.peak:
        peak(chosen.peak, chosen.folder)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results = Results("generation", "a second, or as said")
        settings: dict[str, Any] = {"steps": 15, "guidance": 3.0, "size": 32}
        model = resolve_diffusers("miniature", str(MINIATURE / "models" / "miniature-1"), None, settings)
        (folder / "generation").mkdir()
        generation(results, model, folder / "generation", people(chosen.subjects), chosen.repeats)
        processes(results, model, folder / "generation", people(chosen.subjects), chosen.repeats)
        encoding(results, folder / "encoding", chosen.repeats)
        orchestration(results, folder / "orchestration", chosen.cells, chosen.repeats)
        memory(results, folder)
    return results.finish(chosen.output)


if __name__ == "__main__":
    sys.exit(main())
