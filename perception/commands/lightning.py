"""``fit``, ``validate``, ``test`` and ``predict`` on LightningCLI, with one-line errors."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonargparse
import pytorch_lightning as pl
import yaml
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import Logger

from perception.errors import InputError
from perception.memory import keep_freed_memory

ALLOWED = ("perception.", "pytorch_lightning.", "torch.optim.")
"""Packages whose classes a config may name: reading a config must not run code from anywhere else."""

CLASS_KEYS = (
    "model", "data", "optimizer", "lr_scheduler", "logger", "callbacks", "strategy", "plugins", "profiler",
    "accelerator",
)  # fmt: skip
"""Options whose value may be a class in short form."""

FORMATS = ("files", "nuscenes")
"""What ``predict`` writes."""

SUBCOMMANDS = ("fit", "validate", "test", "predict")


class LogConfig(SaveConfigCallback):
    """Hands the configuration to the loggers and writes it beside the checkpoints.

    The base class refuses to write into a folder that has one, which is what a second run under the same name
    and a resumed one have.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "save_to_log_dir": False})

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        text = self.parser.dump(self.config, skip_none=False)
        for logger in trainer.loggers:
            if isinstance(logger, Logger):
                logger.log_hyperparams({"config": text})
        if trainer.is_global_zero and stage == "fit":
            folder = Path(trainer.default_root_dir)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.yaml").write_text(text, encoding="utf-8")


class PerceptionCLI(LightningCLI):
    """LightningCLI over our tasks and data modules."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({"seed_everything": 0})

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            parser.add_argument(
                "--format",
                choices=FORMATS,
                default="files",
                help="files: what the config's callbacks write; nuscenes: official submissions, in OUT/submission, "
                "where OUT is trainer.default_root_dir",
            )
        if subcommand == "test":
            parser.add_argument(
                "--official",
                action="store_true",
                help="also print the figures of the official nuScenes evaluators; the submissions are in OUT/official",
            )
        return parser

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        trainer = super().instantiate_trainer(**kwargs)
        options = self.config_init[self.subcommand] if self.subcommand is not None else {}
        official = bool(options.get("official"))
        if official or options.get("format") == "nuscenes":
            from perception.callbacks import LidarSubmission, NuScenesSubmission, PredictionWriter
            from perception.tasks import LidarSegmentation

            callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
            # One format is written, not two.
            writers = NuScenesSubmission | LidarSubmission | PredictionWriter
            callbacks[:] = [item for item in callbacks if not isinstance(item, writers)]
            folder = Path(trainer.default_root_dir) / ("official" if official else "submission")
            writer = LidarSubmission if isinstance(self.model, LidarSegmentation) else NuScenesSubmission
            callbacks.append(writer(str(folder), evaluate=official))
        return trainer

    def before_instantiate_classes(self) -> None:
        if self.subcommand is not None and "verbose" in self.config[self.subcommand]:
            self.config[self.subcommand].verbose = False  # the RunSummary callback prints the measures

    def _parse_ckpt_path(self) -> None:
        """The config says what is built. The base class lets the checkpoint's hyperparameters, among them a
        class to import, overrule it in silence; here a checkpoint of another model is an error."""


def run(name: str, arguments: list[str]) -> None:
    """Run one subcommand.

    Raises:
        InputError: for a bad config, option, data folder or checkpoint.
    """
    _command_line([name, *arguments], run=True)


def parse(arguments: list[str]) -> PerceptionCLI:
    """Trainer, model and data module of a config, without running anything: ``.trainer .model .datamodule``.

    Raises:
        InputError: for a bad config or option.
    """
    return _command_line(arguments, run=False)


def _command_line(arguments: list[str], run: bool) -> PerceptionCLI:
    check_config_files(arguments)
    keep_freed_memory()
    errors = {"exit_on_error": False}
    with _quiet(), _argument_errors():
        return PerceptionCLI(
            model_class=pl.LightningModule,
            datamodule_class=pl.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=LogConfig,
            auto_configure_optimizers=False,
            parser_kwargs=(dict.fromkeys(SUBCOMMANDS, errors) if run else {}) | errors,
            args=arguments,
            run=run,
        )


def check_config_files(arguments: list[str]) -> None:
    """Refuse configs that are missing, are not YAML, or name a class from outside :data:`ALLOWED`."""
    for index, argument in enumerate(arguments):
        name, found, value = argument.partition("=")
        if name in ("--config", "-c") and not found:
            value = arguments[index + 1] if index + 1 < len(arguments) else ""
        if name in ("--config", "-c"):
            path = Path(value)
            if not path.is_file():
                raise InputError(f"config {value!r} does not exist; configs/ has examples")
            try:
                content = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise InputError(f"config {value} is not YAML: {error}") from error
            if not isinstance(content, dict):
                raise InputError(f"config {value} must be a mapping of options")
            for class_path in class_paths(content):
                check_class_path(class_path)
        elif name.endswith("class_path"):
            check_class_path(value or (arguments[index + 1] if index + 1 < len(arguments) else ""))


def class_paths(value: Any, names_class: bool = False) -> Iterator[str]:
    """Everything in a nested configuration that would be imported as a class.

    That is every ``class_path``, and a plain dotted string where a class may stand in short form, such as
    ``trainer.logger: package.Logger``.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "class_path":
                yield str(item)
            elif key in CLASS_KEYS:
                yield from class_paths(item, names_class=True)
            else:
                yield from class_paths(item)
    elif isinstance(value, list):
        for item in value:
            yield from class_paths(item, names_class)
    elif names_class and isinstance(value, str) and re.fullmatch(r"\w+(\.\w+)+", value):
        yield value


def check_class_path(class_path: str) -> None:
    if "." in class_path and not class_path.startswith(ALLOWED):
        raise InputError(
            f"class_path {class_path!r} is not allowed; configs may name classes of "
            f"{', '.join(prefix.rstrip('.') for prefix in ALLOWED)}"
        )


@contextlib.contextmanager
def _argument_errors() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        if (said := worker_cause(str(error))) is not None:
            raise InputError(said) from error
        raise
    except (jsonargparse.ArgumentError, ValueError) as error:
        raise InputError(root_cause(str(error))) from error


def root_cause(message: str) -> str:
    """What went wrong, out of jsonargparse's report of what every alternative of a type said.

    >>> root_cause("Does not validate ... Errors: - unknown model 'x' - Expected a <class 'NoneType'> Given ...")
    "unknown model 'x'"
    """
    text = " ".join(message.split())
    while found := re.search(r"Errors: - (.*?) - Expected a <class 'NoneType'>", text):
        text = found[1]
    return re.sub(r"^Problem with given class_path '[^']*': ", "", text)


def worker_cause(message: str) -> str | None:
    """What an error of a loader process said, out of the traceback that it comes with; ``None`` for other errors.

    >>> worker_cause("Caught InputError in DataLoader worker process 0.\\n ... InputError: cut off\\n")
    'cut off'
    """
    if not re.match(r"Caught \w+ in DataLoader worker process", message):
        return None
    return " ".join(message.rpartition("InputError: ")[2].split())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice that a config answers on purpose off the screen."""
    os.environ.setdefault("WANDB_SILENT", "true")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*args parameter is intended to run.*")
        warnings.filterwarnings("ignore", message=".*`isinstance\\(treespec, LeafSpec\\)`.*")
        warnings.filterwarnings("ignore", message=".*WeightAveraging callback, but loading.*")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Trying to infer the `batch_size`.*")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        warnings.filterwarnings("ignore", message=".*encountered more than 100 detections.*")
        warnings.filterwarnings("ignore", message=".*was configured.*persistent_workers.*")
        for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
            logging.getLogger(name).setLevel(logging.WARNING)
        yield
    sys.stdout.flush()
