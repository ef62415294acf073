from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latency_tables import made_up_table
from made_up_drives import LARGE, SIZE, SMALL, Knowing, Road, answered, fixed, make_drive

import perception
from perception.cli import main
from perception.commands.stream_drives import Reader, open_drives, with_stride, with_trace
from perception.commands.stream_evaluation import Evaluation
from perception.commands.stream_live import DriveSource, Live, drive_live, score_live
from perception.commands.stream_predictions import Predictor, cache_folder
from perception.commands.stream_scores import (
    AtRest,
    coarse_scores,
    late_truth_counts,
    score_schedules,
)
from perception.commands.stream_utility import MIN_INSTANTS, speed_groups
from perception.errors import InputError
from perception.metrics.segmentation import SemanticIoU
from perception.metrics.streaming import mean_iou
from perception.runtime.loop import Publication, Status
from perception.runtime.plan import Fovea, Window, fovea_plan, ladder
from perception.runtime.replay import ReplayedLatencies
from perception.runtime.resolution import FixedPolicy
from perception.runtime.traces import Trace, make_trace
from perception.runtime.utility import Utility
from perception.taxonomy import CAMVID, ROAD_SCENE
from perception.types import Sample


def test_scores_are_those_of_the_answers_that_are_there() -> None:
    """Against the library's own metric, fed instant by instant with what was finished by then."""
    road = Road()
    drive, engine = make_drive(road), Knowing(road)
    schedules = {"quick": fixed(drive, SMALL, 30.0), "slow": fixed(drive, LARGE, 330.0)}
    scores = score_schedules(drive, schedules, Predictor(engine), ROAD_SCENE, settle_s=0.2)
    for name, schedule in schedules.items():
        meter = SemanticIoU(len(ROAD_SCENE.classes))
        expected_ages = []
        for tick in range(2, 40):
            truth = drive.truth(tick).semantic
            ready = [run for run in schedule.runs if run.finish_s <= drive.times_s[tick]]
            if not ready:
                continue
            answer = engine(drive.picture(ready[-1].frame), ready[-1].plan).semantic
            rows = (np.arange(SIZE[0]) * 2 + 1) * answer.shape[0] // (2 * SIZE[0])
            columns = (np.arange(SIZE[1]) * 2 + 1) * answer.shape[1] // (2 * SIZE[1])
            meter.update(torch.from_numpy(answer[rows][:, columns])[None], torch.from_numpy(truth).long()[None])
            expected_ages.append(drive.times_s[tick] - drive.times_s[ready[-1].frame])
        score = scores[name]
        assert score.ages_s == pytest.approx(expected_ages)
        assert score.unanswered == 38 - len(expected_ages)
        if not score.unanswered:
            expected = meter.compute().numpy()
            assert mean_iou(score.counts.sum(0)) == pytest.approx(np.nanmean(expected), abs=1e-6)
    assert scores["slow"].unanswered == 2
    assert (scores["slow"].counts[:2, 0] == 0).all(), "nothing is hit before the first answer"
    assert scores["quick"].duration_s == pytest.approx(4.0)
    assert scores["slow"].busy_s == pytest.approx(4.0)


def test_lateness_costs_nothing_where_nothing_moves() -> None:
    for step_px, same in ((0, True), (2, False)):
        road = Road(step_px=step_px)
        drive = make_drive(road)
        schedules = {"quick": fixed(drive, LARGE, 30.0), "slow": fixed(drive, LARGE, 430.0)}
        scores = score_schedules(drive, schedules, Predictor(Knowing(road)), ROAD_SCENE)
        values = {name: mean_iou(score.counts.sum(0)) for name, score in scores.items()}
        assert (values["quick"] == values["slow"]) == same
        assert values["quick"] >= values["slow"]


def test_the_ceiling_is_a_perfect_network_that_is_one_frame_late() -> None:
    road = Road(step_px=3)
    drive = make_drive(road)
    scores = score_schedules(drive, {"a": fixed(drive, LARGE, 50.0)}, Predictor(Knowing(road)), ROAD_SCENE)
    ceiling = late_truth_counts(drive, ROAD_SCENE).sum(0)
    assert mean_iou(ceiling) == pytest.approx(mean_iou(scores["a"].counts.sum(0)))
    assert mean_iou(ceiling) < 0.99


def published(at_s: float, road: Road, frame: int, **options) -> tuple[float, Publication]:
    prediction = Knowing(road)(np.full((*SIZE, 3), frame, np.uint8), LARGE)
    out = Publication(frame, "CAMERA", Status.OK, prediction, age_ms=1e3 * (at_s - frame / 10), **options)
    return at_s, out


def test_live_scores_are_those_of_what_was_published_last() -> None:
    """Where the loop publishes what the event clock says, at its times, the scores are the same."""
    road = Road(step_px=1)
    drive = make_drive(road)
    event = score_schedules(drive, {"a": fixed(drive, LARGE, 330.0)}, Predictor(Knowing(road)), ROAD_SCENE)["a"]
    runs = event.schedule.runs
    outs = tuple(published(run.finish_s, road, run.frame) for run in runs)
    results, finished = tuple(answered(run.frame) for run in runs), tuple(run.finish_s for run in runs)
    live = score_live(drive, Live(results, outs, finished), ROAD_SCENE)
    assert np.array_equal(live.counts, event.counts)
    assert np.array_equal(live.drivable, event.drivable)
    assert live.ages_s == pytest.approx(event.ages_s)
    assert live.unanswered == event.unanswered == 0
    assert live.busy_s == pytest.approx(0.1 * len(runs), abs=0.1)
    # What stands in for a late answer counts from the moment when it goes out to the next publication.
    begin_s = finished[4] + 0.01
    mixed = tuple(sorted((*outs, published(begin_s, road, 5, own=False)), key=lambda item: item[0]))
    replaced = score_live(drive, Live(results, mixed, finished), ROAD_SCENE)
    changed = [time for i, time in enumerate(live.times_s) if not np.array_equal(replaced.counts[i], live.counts[i])]
    assert changed == [time for time in live.times_s if begin_s <= time < finished[5]]
    assert changed


def test_the_loop_drives_a_labelled_drive() -> None:
    road = Road(frames=6)
    drive = make_drive(road)
    live = drive_live(DriveSource(drive), FixedPolicy(SMALL), Knowing(road))
    assert {result.frame.name for result in live.results} <= set(drive.names)
    assert len(live.results) == len(live.finished) >= 1
    for result, finish_s in zip(live.results, live.finished, strict=True):
        assert finish_s > drive.times_s[result.index]
    moments = [moment for moment, _ in live.published]
    assert moments == sorted(moments)
    assert moments[0] > 0


def test_each_pair_runs_once_and_kept_predictions_are_the_same(tmp_path) -> None:
    road = Road(frames=12)
    drive, engine = make_drive(road), Knowing(road)
    schedules = {"a": fixed(drive, SMALL, 30.0), "b": fixed(drive, SMALL, 40.0)}
    predict = Predictor(engine, tmp_path / "kept")
    first = score_schedules(drive, schedules, predict, ROAD_SCENE)
    assert engine.calls == predict.ran <= len(drive)
    again = Predictor(engine, tmp_path / "kept")
    second = score_schedules(drive, schedules, again, ROAD_SCENE)
    assert again.ran == 0
    assert np.array_equal(first["a"].counts, second["a"].counts)
    assert np.array_equal(first["a"].boxes[0].xyxy, second["a"].boxes[0].xyxy)
    damaged = next((tmp_path / "kept").rglob("*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(InputError, match="is damaged"):
        score_schedules(drive, schedules, Predictor(engine, tmp_path / "kept"), ROAD_SCENE)


def test_kept_predictions_belong_to_the_place_of_a_window(tmp_path) -> None:
    """Plans whose windows have one size have one name."""
    road = Road(frames=12)
    drive, engine = make_drive(road), Knowing(road)
    predict = Predictor(engine, tmp_path / "kept")
    plans = [fovea_plan(SMALL.size, Fovea(Window(top, 0, 32, 32), SIZE)) for top in (0, 1)]
    assert plans[0].name == plans[1].name
    for plan in (*plans, SMALL):
        predict(drive, 3, plan)
    again = Predictor(engine, tmp_path / "kept")
    again(drive, 3, plans[1])
    assert (predict.ran, again.ran) == (3, 0)


def test_kept_predictions_belong_to_a_model_a_data_set_and_a_version(tmp_path, monkeypatch) -> None:
    weights = tmp_path / "model.ckpt"
    weights.write_bytes(b"one")
    folders = {cache_folder(tmp_path, str(weights), data, {"score": 0.05}) for data in ("a", "b")}
    weights.write_bytes(b"two")
    folders.add(cache_folder(tmp_path, str(weights), "a", {"score": 0.05}))
    monkeypatch.setattr(perception, "__version__", "0.0.1")
    folders.add(cache_folder(tmp_path, str(weights), "a", {"score": 0.05}))
    assert len(folders) == 4
    assert cache_folder(tmp_path, "multitask_resnet18_slim", "a", {}) is None


def test_kept_predictions_belong_to_all_that_an_engine_runs(tmp_path) -> None:
    exported, beside = tmp_path / "model.xml", tmp_path / "model.bin"
    exported.write_bytes(b"graph")
    (tmp_path / "ladder" / "rung").mkdir(parents=True)
    (tmp_path / "ladder" / "rung" / "weights").write_bytes(b"one")
    facts = {"precision": "int8"}
    for model, weights in ((exported, beside), (tmp_path / "ladder", tmp_path / "ladder" / "rung" / "weights")):
        folders = set()
        for content in (b"one", b"two"):
            weights.write_bytes(content)
            folders.add(cache_folder(tmp_path, str(model), "a", facts))
        folders.add(cache_folder(tmp_path, str(model), "a", {"precision": "fp32"}))
        assert len(folders) == 3


def test_at_rest_answers_are_not_late() -> None:
    road, rest = Road(step_px=5), AtRest()
    rest.add(make_drive(road), (SMALL, LARGE), Predictor(Knowing(road)), ROAD_SCENE, 0.3, every=10)
    assert rest.heights_px == pytest.approx([10 * 32 / 48, 10.0] * 4), "in network pixels"
    assert all(rest.hits)
    assert mean_iou(rest.counts[LARGE]) == 1.0
    assert 0.5 < mean_iou(rest.counts[SMALL]) < 1.0


def test_the_oracle_prefers_the_better_answer() -> None:
    road = Road(step_px=4)
    drive = make_drive(road)
    score = coarse_scores(drive, Predictor(Knowing(road)), ROAD_SCENE)
    assert score(10, LARGE, 11) > score(10, LARGE, 14)


def test_other_drives_tell_the_best_plan_and_what_plans_are_worth_by_speed() -> None:
    road = Road(step_px=5)
    times = ReplayedLatencies({SMALL: 30.0, LARGE: 530.0})
    others = Evaluation(ROAD_SCENE, (SMALL, LARGE), times).learn([make_drive(road)], Predictor(Knowing(road)))
    small, large = f"fixed:{SMALL.name}", f"fixed:{LARGE.name}"
    assert set(others.miou) == {small, large}
    assert others.miou[small] > others.miou[large]
    assert len(others.rest.heights_px) == len(others.rest.hits) == len(others.rest.ahead) == 2 * 20  # four a second
    assert mean_iou(others.rest.counts[LARGE]) > mean_iou(others.rest.counts[SMALL])
    assert others.utility is not None
    assert others.utility.at(SMALL, 5.0) == pytest.approx(others.miou[small], abs=1e-5)
    standing, evaluation = Road(step_px=0), Evaluation(ROAD_SCENE, (SMALL, LARGE), times)
    still = evaluation.learn([make_drive(standing, 0.0)], Predictor(Knowing(standing))).utility
    assert still is not None
    assert still.at(LARGE, 0.0) > still.at(SMALL, 0.0), "where nothing moves, sharpness wins"


@given(st.lists(st.none() | st.floats(0, 40), min_size=1, max_size=120))
def test_utilities_count_every_instant_of_known_speed_once(speeds: list[float | None]) -> None:
    known = np.array([np.nan if v is None else v for v in speeds])
    groups = speed_groups(known)
    assert sorted(int(i) for group in groups for i in group) == np.flatnonzero(np.isfinite(known)).tolist()
    assert all(len(group) >= MIN_INSTANTS for group in groups) or len(groups) == 1
    means = [known[group].mean() for group in groups]
    assert means == sorted(means)


def test_a_stride_makes_the_vehicle_faster() -> None:
    drive = with_stride(make_drive(Road()), 3)
    assert drive.frames == tuple(range(0, 40, 3))
    assert set(drive.speeds_mps) == {30.0}
    assert drive.interval_s == pytest.approx(0.1)
    assert drive.first(5).frames == (0, 3, 6, 9, 12)
    assert [place[0] for place in drive.first(5).track] == pytest.approx([0.0, 3.0, 6.0, 9.0, 12.0])


def steady(speed: float, seconds: float = 60.0) -> Trace:
    return Trace("steady", (0.0,), (speed,), (0.0,), (0.0,), seconds)


def test_a_trace_shows_the_frames_of_where_the_vehicle_is() -> None:
    drive = make_drive(Road(), speed=10.0)
    assert with_trace(drive, steady(10.0)).frames == tuple(range(40))
    assert with_trace(drive, steady(20.0)).frames == tuple(range(0, 40, 2))
    assert with_trace(drive, steady(5.0)).frames == tuple(i // 2 for i in range(79))
    assert with_trace(drive, steady(0.0, 2.0)).frames == (0,) * 21
    trace = make_trace("emergency", 3)
    shown = with_trace(drive, trace)
    for i, frame in enumerate(shown.frames):  # one frame is a metre here
        assert 0 <= trace.distance(i * 0.1) - frame < 1.0 + 1e-6
        assert shown.speeds_mps[i] == pytest.approx(trace.speed(i * 0.1))
        assert shown.track[i] == pytest.approx((frame, 0.0, 0.0))
    with pytest.raises(InputError, match="does not know its speed"):
        with_trace(replace(drive, speeds_mps=(None, *drive.speeds_mps[1:])), trace)


def test_world_drives(tiny_world) -> None:
    drives = open_drives(tiny_world, ROAD_SCENE, "all")
    assert len(drives) == 4
    for drive in drives:
        assert drive.camera.size == (96, 160)
        assert drive.interval_s == pytest.approx(0.25, abs=0.01)
        assert drive.picture(1).shape == (96, 160, 3)
        assert drive.truth(1).semantic.shape == (96, 160)
        assert all(speed is not None and 0 <= speed < 40 for speed in drive.speeds_mps)
        x, y, heading = np.array(drive.track).T
        ahead = np.diff(x) * np.cos(heading[:-1]) + np.diff(y) * np.sin(heading[:-1])
        aside = np.diff(y) * np.cos(heading[:-1]) - np.diff(x) * np.sin(heading[:-1])
        mean = (np.array(drive.speeds_mps[1:]) + drive.speeds_mps[:-1]) / 2
        assert np.allclose(ahead / np.diff(drive.times_s), mean, atol=0.5)
        assert (np.abs(aside) <= 0.05 * ahead + 0.01).all(), "it drives where it heads"
    assert len(open_drives(tiny_world, ROAD_SCENE, "val")) == 2


def test_camvid_clips_are_stretches_of_consecutive_frames(camvid) -> None:
    drives = open_drives(camvid, CAMVID, "val", recorded_mps=9.0)
    assert sorted(drive.names for drive in drives) == [
        ("0006R0_00001", "0006R0_00003"),
        ("0016E5_00000", "0016E5_00002"),
    ]
    assert drives[0].interval_s == pytest.approx(1 / 15)
    assert drives[0].speeds_mps == (9.0, 9.0)
    with pytest.raises(InputError, match="labels of its own set"):
        open_drives(camvid, ROAD_SCENE, "val")


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text.append(data)


WORLD = ["--model", "multitask_mobilenetv4_small", "--scales", "0.5,1", "--fovea", "false", "--settle_s", "0.25"]


def test_the_command_on_the_world(tiny_world, tmp_path, capsys) -> None:
    torch.manual_seed(0)
    arguments = ["--data", str(tiny_world), *WORLD, "--latency_ms", "48x80=60,96x160=400", "--resamples", "200"]
    out = ["--out", str(tmp_path / "out"), "--choose_on", str(tiny_world), "--choose_split", "train", "--json"]
    assert main(["bench", "stream", *arguments, *out]) == 0
    result = json.loads(capsys.readouterr().out)
    names = [row["policy"] for row in result["policies"]]
    assert names == [
        "fixed:48x80", "fixed:96x160", "linear deadline", "fits the frame", "adaptive", "adaptive:eco", "oracle",
    ]  # fmt: skip
    rows = {row["policy"]: row for row in result["policies"]}
    assert rows["fixed:48x80"]["age_ms"] == pytest.approx(250, abs=10)
    assert rows["fixed:96x160"]["age_ms"] > 450
    assert rows["fixed:96x160"]["gmacs_per_s"] < 4 * rows["fixed:48x80"]["gmacs_per_s"]
    assert rows["fits the frame"]["plans"] == {"48x80": 10}
    assert rows["fits the frame"]["miou"] == rows["fixed:48x80"]["miou"]
    assert {entry["policy"] for entry in result["comparisons"]} == set(names[2:])
    assert all(entry["low"] <= entry["difference"] <= entry["high"] for entry in result["comparisons"])
    assert result["best_fixed"]["chosen_on"] == str(tiny_world)
    assert len(result["min_height"]["curve"]) > 5
    bins = [result["min_height"][name] for name in ("curve", "curve_in_view")]
    ahead, in_view = ([entry["boxes"] for entry in curve] for curve in bins)
    assert all(a <= b for a, b in zip(ahead, in_view, strict=True))
    assert 0 < sum(ahead) < sum(in_view)
    assert result["corridor_m"] == 4
    assert result["supported_kmh"] == {"uniform": max(plan["supported_kmh"] for plan in result["plans"]), "fovea": None}
    assert result["supported_plans"]["uniform"] in {plan["name"] for plan in result["plans"]}
    for row in result["policies"]:
        assert sum(entry["instants"] for entry in row["miou_by_speed"].values()) == row["instants"]
    assert json.loads((tmp_path / "out" / "stream.json").read_text()) == result
    assert set(Utility.load(tmp_path / "out" / "stream.json").values) == {"48x80", "96x160"}
    page = Text()
    page.feed((tmp_path / "out" / "stream.html").read_text(encoding="utf-8"))
    assert {"linear deadline", "Accuracy against compute", "streaming mIoU, %"} <= set(page.text)


def test_latencies_of_a_table_are_replayed(tiny_world, tmp_path, capsys) -> None:
    table = made_up_table(ladder((96, 160), (0.5, 1.0)))
    table.save(tmp_path / "other.json")
    arguments = ["bench", "stream", "--data", str(tiny_world), *WORLD, "--oracle", "false", "--json"]
    arguments += ["--corridor_m", "inf"]
    assert main([*arguments, "--latencies", str(tmp_path / "other.json")]) == 2
    assert "for pictures of 900x1600, not 96x160" in capsys.readouterr().err
    replace(table, key={**table.key, "native": [96, 160]}).save(tmp_path / "here.json")
    assert main([*arguments, "--latencies", str(tmp_path / "here.json")]) == 0
    printed = capsys.readouterr()
    assert "replaying latencies that were not measured with this" in " ".join(printed.err.split())
    result = json.loads(printed.out)
    assert [plan["name"] for plan in result["plans"]] == ["48x80", "96x160"]
    assert [plan["bound_ms"] for plan in result["plans"]] == pytest.approx(
        [table.bound_ms(plan) for plan in table.plans], abs=1e-3
    )
    assert result["latencies"] == "table"
    assert result["corridor_m"] is None
    assert all(row["hazards"] == row["hazards_in_view"] for row in result["policies"])


def test_an_exported_file_is_evaluated_as_it_runs(tiny_world, tmp_path, capsys) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from perception.models.checkpoint import save
    from perception.models.zoo import create_model

    torch.manual_seed(0)
    saved = save(create_model("multitask_mobilenetv4_small", ROAD_SCENE), tmp_path / "model")
    file = tmp_path / "model.onnx"
    assert main(["export", str(saved), "--out", str(file), "--size", "96x160", "--timing", "0"]) == 0
    capsys.readouterr()
    arguments = ["bench", "stream", "--data", str(tiny_world), "--scales", "1", "--fovea", "false"]
    arguments += ["--settle_s", "0.25", "--latency_ms", "60", "--oracle", "false", "--json"]
    results = {}
    for model in (saved, file):
        kept, out = tmp_path / "kept" / model.name, tmp_path / "out" / model.name
        command = [*arguments, "--model", str(model), "--cache", str(kept), "--out", str(out)]
        assert main(command) == 0
        results[model] = json.loads(capsys.readouterr().out)
        stored = [np.load(path)["scores"] for path in kept.rglob("*.npz")]
        assert 0.05 <= min(scores.min() for scores in stored if len(scores)) < 0.3, "average precision needs the unsure"
    of_torch, of_file = results[saved]["policies"][0], results[file]["policies"][0]
    assert of_file["miou"] == pytest.approx(of_torch["miou"], abs=2e-3)
    assert of_file["mpx_per_s"] == of_torch["mpx_per_s"]
    assert of_torch["gmacs_per_s"] > 0
    assert of_file["gmacs_per_s"] is None
    assert results[file]["machine"]["engine"] == "onnxruntime"
    assert {plan["gmacs"] for plan in results[file]["plans"]} == {None}
    assert {entry["gmacs_ratio"] for entry in results[file]["comparisons"]} == {None}
    assert all(entry["pixels_ratio"] > 0 for entry in results[file]["comparisons"])
    assert "megapixels per second" in (tmp_path / "out" / file.name / "stream.html").read_text()
    assert main([*arguments[:-1], "--model", str(file)]) == 0
    assert "its pixels." in capsys.readouterr().out


def test_the_command_on_camvid_with_a_trace(tmp_path, camvid, capsys) -> None:
    from perception.models.checkpoint import save
    from perception.models.zoo import create_model

    heads = ["semantic", "drivable", "detection"]
    model = save(create_model("multitask_mobilenetv4_small", CAMVID, heads=heads), tmp_path / "model")
    arguments = ["--data", str(camvid), "--model", str(model), "--scales", "0.7,1", "--fovea", "false"]
    arguments += ["--settle_s", "0", "--latency_ms", "5,10", "--cache", str(tmp_path / "kept"), "--oracle", "false"]
    assert main(["bench", "stream", *arguments, "--trace", "stop_and_go"]) == 0
    shown = capsys.readouterr().out
    assert "Ceiling, the truth one frame late" in shown
    assert "Highest speed that a plan supports: " in shown
    assert "adaptive:eco" in shown
    assert len(list((tmp_path / "kept").rglob("*.npz"))) > 0
    assert main(["bench", "stream", *arguments, "--stride", "2"]) == 2
    assert "no drive" in capsys.readouterr().err
    out = tmp_path / "all"
    assert main(["bench", "stream", *arguments, "--trace", "stop_and_go,pose", "--out", str(out)]) == 0
    assert "pose: fixed:" in capsys.readouterr().out
    result = json.loads((out / "stream.json").read_text())
    assert {drive["trace"] for drive in result["drives"]} == {"stop_and_go", "pose"}
    assert [record["trace"] for record in result["traces"]] == ["stop_and_go", "pose"]
    assert sum(record["instants"] for record in result["traces"]) == result["policies"][0]["instants"]
    for record in result["traces"]:
        of_best = next(row for row in record["policies"] if row["policy"] == record["against"])
        assert of_best["difference"] == 0
        for row in record["policies"]:
            assert row["difference"] == pytest.approx(row["miou"] - of_best["miou"], abs=2e-5)
    assert "by speed trace" in (out / "stream.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "dreaming"], "unknown mode 'dreaming'; use event or live"),
        (["--corridor_m", "0"], "corridor_m 0 is not above 0; give inf for all hazards in view"),
        (["--min_iou", "0"], "min_iou 0 is outside 0..1"),
        (["--trace", "lunar"], "unknown trace 'lunar'; use pose, all, or some of urban"),
        (["--trace", "urban,rural,urban"], "names a kind twice"),
        (["--trace", "urban", "--stride", "2"], "not both"),
        (["--latency_ms", "1", "--latencies", "a.json"], "not both"),
        (["--stride", "0"], "stride 0 is below 1"),
        (["--settle_s", "-1"], "settle_s -1 is outside"),
        (["--recorded_speed", "pose"], "must be a number"),
        (["--latencies", "missing.json"], "does not exist; make one with perception calibrate"),
        (["--latency_ms", "5"], "must give one number for each of 48x80, 96x160"),
        (["--latency_ms", "5,x"], "must give one number"),
        (["--scales", "a"], "are not numbers"),
        (["--split", "nowhere"], "unknown split 'nowhere'"),
        (["--settle_s", "30"], "is as long as settle_s 30 s"),
        (["--engine", "openvino"], "run on torch, not on openvino"),
        (["--engine", "auto"], "--engine auto needs --latencies"),
    ],
)
def test_bad_requests_are_one_line(arguments, message, tiny_world, capsys) -> None:
    assert main(["bench", "stream", "--data", str(tiny_world), *WORLD, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())


def test_folders_without_drives(tmp_path) -> None:
    with pytest.raises(InputError, match="neither a nuScenes-format folder"):
        open_drives(tmp_path, ROAD_SCENE, "val")
    frames = SimpleNamespace(read=lambda index: Sample(torch.zeros(3, 4, 4, dtype=torch.uint8), "a"))
    with pytest.raises(InputError, match="frame a has no dense labels"):
        Reader(frames)(0)
