"""What the tasks of cameras and of LiDAR share: how one model of the zoo starts, is checked and is saved."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

import perception
from perception.console import console
from perception.errors import InputError
from perception.models.checkpoint import RECIPE_KEY, load_matching, read_weights
from perception.models.slimming import PRUNED, apply_pruning


class ModelTask(pl.LightningModule):
    """A task around one model that knows its recipe and its label set.

    Attributes:
        model: of the zoo.
        compile_model: whether ``fit`` compiles it.
    """

    model: Any
    compile_model: bool

    def start_from(self, init_from: str) -> None:
        """Copy the weights of a checkpoint or saved model whose names and shapes agree, and its pruned widths."""
        recipe, weights = read_weights(init_from)
        if PRUNED in recipe:
            apply_pruning(self.model, recipe[PRUNED])
        copied, fresh = load_matching(self.model, weights)
        if not copied:
            raise InputError(f"init_from {init_from}: no tensor fits model {self.model.recipe['name']}")
        console.print(f"started from {init_from}: {copied} tensors copied, {len(fresh)} start at random", markup=False)

    def setup(self, stage: str) -> None:
        labels = getattr(getattr(self.trainer, "datamodule", None), "label_set", None)
        if labels is not None and labels.name != self.model.label_set.name:
            raise InputError(f"the model predicts label set {self.model.label_set.name}, the data has {labels.name}")
        if self.compile_model and stage == "fit":
            self.model.compile()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.trainer.should_stop:  # time is up: the run ends with a validation whatever its interval
            self.trainer.check_val_every_n_epoch = 1

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[RECIPE_KEY] = self.model.recipe
        checkpoint["perception_version"] = perception.__version__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        recipe, own = checkpoint.get(RECIPE_KEY), self.model.recipe
        if recipe is None:
            raise InputError("this checkpoint was not written by this library")
        if recipe == own:
            return
        if {**recipe, PRUNED: None} != {**own, PRUNED: None}:
            raise InputError(
                f"the checkpoint is of model {recipe['name']} ({recipe['label_set']}, {recipe['options']}), the "
                f"config builds {own['name']} ({own['label_set']}, {own['options']})"
            )
        if PRUNED in own:
            raise InputError("the checkpoint was not pruned as the config prunes; leave prune out")
        apply_pruning(self.model, recipe[PRUNED])
