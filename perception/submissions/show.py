"""Official figures as tables."""

from __future__ import annotations

from typing import Any

from rich.table import Table

ERRORS = {"trans_err": "ATE", "scale_err": "ASE", "orient_err": "AOE", "vel_err": "AVE", "attr_err": "AAE"}
"""Errors of true positives: metres, 1 - IoU, radians, m/s, 1 - accuracy."""


def lidarseg_table(figures: dict[str, Any]) -> Table:
    """IoU of each class and their mean, as the devkit's evaluator gives them."""
    table = Table("class", "IoU", title="nuScenes-lidarseg, official")
    table.columns[1].justify = "right"
    for name, value in figures["iou_per_class"].items():
        if name != "ignore":
            table.add_row(name, _number(value))
    table.add_section()
    table.add_row("mIoU", _number(figures["miou"]))
    table.add_row("frequency-weighted", _number(figures["freq_weighted_iou"]))
    return table


def detection_table(figures: dict[str, Any]) -> Table:
    """Average precision and errors of each class, and the nuScenes detection score."""
    table = Table("class", "AP", *ERRORS.values(), title="nuScenes detection, official")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, precision in figures["mean_dist_aps"].items():
        errors = figures["label_tp_errors"][name]
        table.add_row(name, _number(precision), *(_number(errors[key]) for key in ERRORS))
    table.add_section()
    table.add_row("mean", _number(figures["mean_ap"]), *(_number(figures["tp_errors"][key]) for key in ERRORS))
    table.add_row("NDS", _number(figures["nd_score"]))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
