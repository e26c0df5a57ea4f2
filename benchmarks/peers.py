"""The same films with the same weights through clip-retrieval's inference and rclip, and through `filmroom index`.

    python -m venv one && one/bin/pip install 'clip-retrieval>=2.45' 'setuptools<81'
    python -m venv other && other/bin/pip install rclip
    python benchmarks/peers.py --peers one other [--films 128] [--side 512] [--programs NAME ...] [--folder DIR]

Together they would get a clip-retrieval of years ago, which knows no open_clip: the later ones want another numpy.
The model is ViT-B/32 at 256 pixels, which rclip is made for, with random weights, made here once for all (speed does
not depend on them): as a checkpoint for Filmroom and clip-retrieval, as graphs for rclip. The films are phantoms as
JPEG, 16 different ones and copies that count as others. Each program is run as a person runs it, as a process, once on
a few films to warm the caches and then on all; a program that does not run says why. `--folder` keeps the films and the
weights for the next time, `--programs` runs only some of the three.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from indexing import films_in
from made import checkpoint, machine, whole

ARCHITECTURE = "ViT-B-32-256"
PROGRAMS = ("filmroom", "clip-retrieval", "rclip")


def graphs_for_rclip(weights: Path, folder: Path) -> Path:
    """What rclip looks for in its data folder, of the same weights."""
    import open_clip
    import torch

    model = open_clip.create_model(ARCHITECTURE, pretrained=str(weights)).eval()
    model.forward = model.encode_text
    there = folder / "ViT-B-32-256-datacomp_s34b_b86k"
    there.mkdir(parents=True)
    for name, tower, given in (
        ("visual", model.visual, torch.zeros(1, 3, 256, 256)),
        ("textual", model, torch.zeros(1, 77, dtype=torch.int64)),
    ):
        torch.onnx.export(
            tower, (given,), str(there / f"{name}.onnx"), input_names=["input"], output_names=["output"],
            dynamic_axes={"input": {0: "n"}, "output": {0: "n"}}, dynamo=False,
        )  # fmt: skip
    words = folder / "tokenizer" / "bpe_simple_vocab_16e6.txt.gz"
    words.parent.mkdir()
    shutil.copy(Path(open_clip.__file__).with_name(words.name), words)
    return folder


def program_in(environments: list[Path], name: str) -> str:
    places = [one.absolute() / "bin" / name for one in environments]
    if not any(one.exists() for one in places):
        sys.exit(f"none of these environments has {name}")
    return str(next(one for one in places if one.exists()))


def run(name: str, command: list[str], films: int, **environment: str) -> None:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    spent = time.perf_counter() - started
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        print(f"{name:<16} does not run here: {said[-1][:100] if said else done.returncode}", flush=True)
    else:
        print(f"{name:<16} {spent:>7.1f} s {films / spent:>7.2f} films a second", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peers", type=Path, nargs="+", help="virtual environments that have them")
    options.add_argument("--films", type=int, default=128)
    options.add_argument("--side", type=int, default=512)
    options.add_argument("--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS)
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    if asked.peers is None:
        print("name the environments that have them: --peers DIR DIR")
        return
    print(f"{machine()}; {asked.films} JPEG films of {asked.side} px, {ARCHITECTURE}, whole processes", flush=True)
    with tempfile.TemporaryDirectory() as place:
        there = Path(place)
        with whole((asked.folder or there) / f"peers-{asked.films}-{asked.side}") as aside:
            if aside is not None:
                films_in(aside / "films", form="jpeg", side=asked.side, count=asked.films)
                graphs_for_rclip(checkpoint(ARCHITECTURE, aside / "random.pt"), aside / "rclip")
        kept = (asked.folder or there) / f"peers-{asked.films}-{asked.side}"
        films, few = kept / "films", there / "few"
        few.mkdir()
        for path in sorted(films.iterdir())[:4]:
            shutil.copy(path, few)
        for folder, count in ((few, 4), (films, asked.films)):
            print("to warm up:" if folder is few else "all films:", flush=True)
            for name in asked.programs:
                measure(name, folder, count, kept=kept, there=there, peers=asked.peers)


def measure(name: str, folder: Path, count: int, *, kept: Path, there: Path, peers: list[Path]) -> None:
    weights = kept / "random.pt"
    if name == "filmroom":
        program = [sys.executable, "-c", "from filmroom.cli import main; main()", "index", str(folder)]
        wanted = [
            "--archive",
            str(there / f"archive-{folder.name}"),
            "--model",
            ARCHITECTURE,
            "--weights",
            str(weights),
        ]
        home = {
            "XDG_CACHE_HOME": str(there / "cache"),
        }
        run(name, [*program, *wanted], count, **home)
    elif name == "clip-retrieval":
        run(
            name,
            [
                program_in(peers, name), "inference", "--input_dataset", str(folder), "--output_folder",
                str(there / f"vectors-{folder.name}"), "--clip_model", f"open_clip:{ARCHITECTURE}/{weights}",
                "--enable_text", "False", "--enable_wandb", "False", "--use_jit", "False", "--batch_size", "32",
                "--num_prepro_workers", "2", "--output_partition_count", "1",
            ],
            count,
        )  # fmt: skip
    else:
        copy = shutil.copytree(folder, there / f"rclip-{folder.name}")
        command = ["sh", "-c", f"cd {copy} && {program_in(peers, name)} chest"]
        own = there / f"rclip-data-{folder.name}"  # what it keeps of one run would spare it the films of the next
        own.mkdir()
        for one in (kept / "rclip").iterdir():
            if one.is_dir():
                (own / one.name).symlink_to(one.absolute())
        run(name, command, count, RCLIP_DATADIR=str(own), HF_HUB_OFFLINE="1")


if __name__ == "__main__":
    main()
