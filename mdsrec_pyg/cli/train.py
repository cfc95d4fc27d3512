"""``mdsrec train``: a data set folder -> a run folder."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdsrec_pyg.cli.device import check_device, cpu_threads
from mdsrec_pyg.cli.parser import Namespace, Parser, add_config, option_texts
from mdsrec_pyg.datasets import SPLITS
from mdsrec_pyg.nn.models.presets import PRESETS, Preset
from mdsrec_pyg.nn.votes.config import RelationsConfig
from mdsrec_pyg.showing import json_text
from mdsrec_pyg.training import (
    Logger,
    MLflowLogger,
    RunConfig,
    TensorBoardLogger,
    TrainerConfig,
    WandbLogger,
    preset_options,
    synthetic_settings,
    train_run,
)
from mdsrec_pyg.training.run_config import flat_options

EXAMPLES = """\
  mdsrec train                                  the synthetic data set, with settings of its own
  mdsrec train --data shop --relations.l2 300 --trainer.epochs 20
  mdsrec train --data shop --relations.feature_weight 10 --relations.memory_limit 8000000000
  mdsrec train --data shop --preset paper --model.channels 128 --threads 4
  mdsrec train --print-config > run.yaml && mdsrec train --config run.yaml
  mdsrec train --preset paper --help            the defaults of another preset"""

LOGGERS = ("tensorboard", "mlflow", "wandb")
_USUAL = RunConfig()


def make_parser(preset: str = "best", synthetic: bool = False) -> Parser:
    """The options; their defaults are those of a preset, or of the synthetic data."""
    base, trainer = _usual_settings(preset, synthetic)
    parser = Parser("train", "Train MDSRec on a data set folder and evaluate it.", EXAMPLES)
    _add_run(parser, preset)
    parser.add_argument(
        "--num-centers",
        type=int,
        default=base.num_centers,
        metavar="INT",
        help=option_texts(Preset)["num_centers"],
    )
    parser.add_argument(
        "--votes",
        type=bool,
        default=base.relations is not None,
        metavar="{true,false}",
        help="relation votes: the history votes for items over learned relations",
    )
    add_config(parser, "graph", "item graphs (graph)", base.graph)
    fitted = base.relations or RelationsConfig()
    add_config(parser, "relations", "learned relations (relations)", fitted)
    add_config(parser, "model", "model (model)", base.model)
    add_config(parser, "trainer", "training (trainer)", trainer, skip=("seed",))
    return parser


def _usual_settings(preset: str, synthetic: bool) -> tuple[Preset, TrainerConfig]:
    return synthetic_settings(preset) if synthetic else (PRESETS[preset], TrainerConfig())


def _add_run(parser: Parser, preset: str) -> None:
    """Options of the run itself: data, split, seed, folder."""
    parser.add_argument("--config", action="config", metavar="FILE", help="YAML with options")
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="folder of the data set; default: synthetic data, with settings of its own",
    )
    parser.add_argument(
        "--modalities", nargs="+", metavar="NAME", help="default: all in the folder"
    )
    parser.add_argument(
        "--duplicates",
        choices=("keep", "drop"),
        default=_USUAL.duplicates,
        help="further interactions of a user with the same item",
    )
    parser.add_argument("--split", choices=sorted(SPLITS), default=_USUAL.split, help="the split")
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default=preset, help="decides the other defaults"
    )
    parser.add_argument(
        "--seed", type=int, default=_USUAL.seed, help="of everything random", metavar="INT"
    )
    parser.add_argument(
        "--directory",
        metavar="FOLDER",
        help="of the run; default: runs/ and a name made of all options",
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue; an error if there is no run yet"
    )
    parser.add_argument(
        "--growable",
        action="store_true",
        help="the saved model keeps features and training interactions, to take in new items later",
    )
    parser.add_argument("--device", metavar="DEVICE", help="default: the GPU if there is one")
    parser.add_argument(
        "--threads", type=int, metavar="INT", help="of the CPU; default: what torch takes"
    )
    parser.add_argument(
        "--logger",
        nargs="+",
        choices=LOGGERS,
        default=[],
        help="besides metrics.jsonl; tensorboard writes into the run's folder",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON only")


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options; those that are not given have the defaults of the preset or the data."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", nargs="?", default="best")
    first.add_argument("--data", nargs="?")
    first.add_argument("--config", nargs="?")
    words = [word for word in argv if word not in ("-h", "--help")]
    known = first.parse_known_args(words)[0]
    preset = known.preset if known.preset in PRESETS else "best"  # the whole parser says it
    synthetic = known.data is None and known.config is None and len(words) == len(argv)
    if known.config is not None:  # the preset and the data may stand in it
        words = [word for word in words if not re.match("--print[-_]config(=|$)", word)]
        args = make_parser(preset).read(words)
        preset, synthetic = args.preset, args.data is None
    args = make_parser(preset, synthetic).read(argv)
    args.command = shlex.join(["mdsrec", "train", *argv])
    return args


def configurations(args: Namespace) -> tuple[RunConfig, TrainerConfig]:
    """The configurations that the options stand for; each is checked here, before any work.

    Raises:
        ValueError: An option out of range, or one without effect.
    """
    base, _ = _usual_settings(args.preset, args.data is None)
    usual = base.relations or RelationsConfig()
    relations: RelationsConfig | None = usual.replace(**vars(args.relations))
    if not args.votes:
        changed = [n for n in usual.names() if getattr(relations, n) != getattr(usual, n)]
        if changed:
            raise ValueError(f"--relations.{changed[0]} has no effect without --votes true")
        relations = None
    chosen = Preset(
        graph=base.graph.replace(**vars(args.graph)),
        relations=relations,
        num_centers=args.num_centers,
        model=base.model.replace(**vars(args.model)),
    )
    config = RunConfig(
        data=args.data,
        modalities=args.modalities,
        duplicates=args.duplicates,
        split=args.split,
        preset=args.preset,
        seed=args.seed,
        options=preset_options(args.preset, chosen),
    )
    return config, TrainerConfig(seed=args.seed, **vars(args.trainer))


def run(args: Namespace) -> int:
    """Trains, evaluates, says what comes next."""
    check_device(args.device)
    config, trainer = configurations(args)
    with cpu_threads(args.threads):
        return _train(args, config, trainer)


def _train(args: Namespace, config: RunConfig, trainer: TrainerConfig) -> int:
    """Trains with options that were checked."""
    first = [f"{_settings(config, trainer)}\n\n"]  # said when nothing is wrong with folder and data

    def log(text: str) -> None:
        text = f"{first.pop()}{text}" if first else text
        print(text, file=sys.stderr if args.json else sys.stdout, flush=True)

    folder = Path("runs") / config.name(trainer) if args.directory is None else args.directory
    done = train_run(
        config,
        trainer,
        folder,
        resume=args.resume,
        growable=args.growable,
        device=args.device,
        log=log,
        loggers=[_logger(name, Path(folder)) for name in args.logger],
        command=args.command,
    )
    if done.test is None:
        log(f"the same command continues the run in {done.directory}")
        return 130
    if args.json:
        print(json_text({"directory": str(done.directory), **done.result}, 2))
        return 0
    print(f"\n{done.test}\n")
    _say_what_next(done.directory, done.user, config)
    return 0


def _settings(config: RunConfig, trainer: TrainerConfig) -> str:
    """What differs from the preset and the trainer's defaults, and whose choice that is."""
    usual = TrainerConfig()
    given: dict[str, Any] = dict(config.options)
    given["trainer"] = {
        name: getattr(trainer, name)
        for name in trainer.names()
        if name != "seed" and getattr(trainer, name) != getattr(usual, name)
    }
    parts = ", ".join(f"{name} {value}" for name, value in flat_options(given)) or "the preset's"
    own = " (of the synthetic data, where no others were given)" if config.data is None else ""
    return f"preset {config.preset}, options{own}: {parts}"


def _logger(name: str, folder: Path) -> Logger:
    """Where else the metrics go; an error here if its library is not installed."""
    if name == "tensorboard":
        return TensorBoardLogger(folder / "tensorboard")
    if name == "mlflow":
        return MLflowLogger(run_name=folder.name)
    return WandbLogger(name=folder.name)


def _say_what_next(directory: Path, user: Any, config: RunConfig) -> None:
    folder, name = shlex.quote(str(directory)), shlex.quote(str(user))
    print(f"The run is in {directory}. What comes next:")
    print(f"  mdsrec evaluate {folder}")
    print(f"  mdsrec recommend {folder} --user {name} --explain")
    if config.data is None:
        print(f"  mdsrec serve {folder}")
        print("  mdsrec train --data FOLDER")
    else:
        print(f"  mdsrec serve {folder} --data {shlex.quote(config.data)}")
