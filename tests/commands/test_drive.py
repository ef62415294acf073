"""The drive command through the command line, with a small network in place of a trained one."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import av
import numpy as np
import pytest
import tiny_nuscenes
import torch
from conftest import real_data
from PIL import Image
from torch import Tensor, nn

import perception
from perception.cli import main
from perception.taxonomy import CAMVID


class Gray(nn.Module):
    """Says road where the picture is dark, sky elsewhere, and one car."""

    label_set = CAMVID

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"gray": image.mean(1) * self.scale}

    def decode(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        dark = outputs["gray"] < 0.5
        height, width = dark.shape[1:]
        return {
            "semantic": (3 * dark).to(torch.uint8),
            "drivable": dark.to(torch.uint8),
            "boxes": torch.tensor([[[2.0, 2.0, width / 2, height / 2]]]),
            "scores": torch.tensor([[0.8]]),
            "labels": torch.tensor([[0]]),
        }


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(spec: str, device: str = "cpu") -> nn.Module:
        assert spec == "gray"
        return Gray()

    monkeypatch.setattr(perception, "load", load, raising=False)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(6):
        image = np.full((45, 90, 3), 200, np.uint8)
        image[22:] = 60 + index
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


def drive(source: object, out: Path, *arguments: str) -> int:
    fixed = ["drive", "--source", str(source), "--model", "gray", "--out", str(out), "--policy", "fixed:32x64"]
    return main([*fixed, *arguments])


def test_a_folder_gives_video_report_and_summary(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clip / "2.png").write_bytes(b"damaged")
    out = tmp_path / "out"
    assert drive(clip, out, "--speed", "36km/h", "--fps", "15", "--deadline_ms", "100000", "--json") == 0
    output = capsys.readouterr()
    summary = json.loads(output.out)
    assert summary["frames"] == 6
    assert summary["skipped"] == 1
    assert summary["status"] == {"OK": 5, "DEADLINE_MISSED": 0, "SKIPPED": 1, "DEGRADED": 0, "STALE": 0}
    assert "1 of 6 frames could not be read" in " ".join(output.err.split())
    report = json.loads((out / "report.json").read_text())
    assert {"plan", "deadline", "latency", "speed", "status"} <= report["summary"].keys()
    assert len(report["frames"]) == 6
    for frame in report["frames"]:
        assert {"plan", "deadline", "latency", "speed", "status"} <= frame.keys()
        assert frame["speed"]["mps"] == 10.0
    assert "2.png does not decode" in report["frames"][2]["error"]
    assert report["run"]["heads"] == ["semantic", "drivable", "boxes"]
    assert report["run"]["policy"] == "fixed:32x64"
    assert report["run"]["versions"]["torch"] == torch.__version__
    assert "2.png does not decode" in (out / "report.html").read_text()
    with av.open(str(out / "drive.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6
        assert container.streams.video[0].average_rate == 15
    assert sorted(path.name for path in out.iterdir()) == ["drive.mp4", "report.html", "report.json"]


def test_the_table_is_for_people(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drive(clip, tmp_path / "out", "--video", "false") == 0
    output = capsys.readouterr()
    assert "6 (0 skipped)" in output.out
    assert "report.html" in "".join(output.out.split())
    assert "does not know the vehicle's speed" in " ".join(output.err.split())
    assert "stretches" not in output.err
    assert not (tmp_path / "out" / "drive.mp4").exists()


def test_an_earlier_run_is_kept_unless_told_otherwise(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert drive(clip, out, "--max_frames", "2") == 0
    before = (out / "report.json").read_bytes()
    assert drive(clip, out) == 2
    assert "is not empty; name a new folder or pass --overwrite true" in capsys.readouterr().err
    assert (out / "report.json").read_bytes() == before
    assert drive(clip, out, "--overwrite", "true", "--video", "false") == 0
    assert json.loads((out / "report.json").read_text())["summary"]["frames"] == 6
    assert not (out / "drive.mp4").exists()  # it showed the other run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policy", "adaptive:best"), "unknown mode 'best' of the adaptive policy"),
        (("--policy", "fixed:0x640"), "size '0x640'"),
        (("--speed", "can"), "speed 'can' is not available"),
        (("--speed", "none.csv"), "speed log none.csv does not exist"),
        (("--source", "nowhere"), "source 'nowhere' does not exist"),
        (("--device", "cuda:99"), "device 'cuda:99' is not available"),
        (("--precision", "int4"), "unknown precision 'int4'"),
        (("--score", "2"), "score 2 is outside 0..1"),
        (("--deadline_ms", "-1"), "deadline_ms -1 is not a positive number"),
        (("--max_frames", "0"), "max_frames 0 is below 1"),
        (("--metrics", "none.json"), "metrics file none.json does not exist"),
        (("--camera", "all"), "has one camera"),
        (("--pace", "quick"), "unknown pace 'quick'; use none or camera"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], message: str
) -> None:
    out = tmp_path / "out"
    assert drive(clip, out, *arguments) == 2
    errors = capsys.readouterr().err
    last = errors.strip().splitlines()[-1]
    assert last.startswith("perception drive: error: ")
    assert message in last
    assert "Traceback" not in errors
    assert not out.exists()


def test_a_source_of_only_damaged_frames_is_an_error(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in clip.iterdir():
        file.write_bytes(b"damaged")
    assert drive(clip, tmp_path / "out") == 2
    assert "none of the 6 frames" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_metrics_are_shown_in_the_report(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"drivable IoU": 0.934, "IoU": {"road": 0.875, "sky": NaN}}')
    assert drive(clip, tmp_path / "out", "--metrics", str(tmp_path / "metrics.json"), "--video", "false") == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "0.934" in page
    assert "0.875" in page
    assert json.loads((tmp_path / "out" / "report.json").read_text())["metrics"]["IoU"]["sky"] is None


def test_a_plan_of_another_shape_is_pointed_out(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drive(clip, tmp_path / "out", "--policy", "fixed:64x64", "--video", "false") == 0
    assert "plan 64x64 stretches the 45x90 frames; fixed:64x128 keeps their shape" in " ".join(
        capsys.readouterr().err.split()
    )


def test_all_cameras_of_a_scene_make_a_mosaic(tmp_path: Path) -> None:
    root = tiny_nuscenes.write_nuscenes(tmp_path / "data", keyframes=3, sweeps_between=1)
    out = tmp_path / "out"
    assert drive(f"nuscenes:{root}#scene-0103", out, "--camera", "all") == 0
    report = json.loads((out / "report.json").read_text())
    assert report["summary"]["frames"] == 10
    assert set(report["summary"]["cameras"]) == set(tiny_nuscenes.CAMERAS)
    assert report["summary"]["deadline"]["ms"] == pytest.approx(125)  # two cameras at 4 Hz share the engine
    assert report["frames"][4]["speed"]["mps"] == pytest.approx(8.75, abs=0.01)
    with av.open(str(out / "drive.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == 5
    assert pictures[0].shape == (90, 320, 3)


@pytest.mark.parametrize("video", ["true", "false"])
def test_at_the_camera_s_pace_the_video_is_drawn_afterwards(clip: Path, tmp_path: Path, video: str) -> None:
    (clip / "2.png").write_bytes(b"damaged")
    out = tmp_path / "out"
    assert drive(clip, out, "--pace", "camera", "--fps", "10", "--deadline_ms", "5000", "--video", video) == 0
    report = json.loads((out / "report.json").read_text())
    summary = report["summary"]
    assert report["run"]["pace"] == summary["loop"]["pace"] == "camera"
    assert summary["frames"] + summary["dropped"] == 6
    assert summary["skipped"] == 1
    assert summary["stopped"] == "end"
    indices = [frame["index"] for frame in report["frames"]]
    assert indices == sorted(set(indices))
    assert sorted(path.name for path in out.iterdir()) == ["drive.mp4"] * (video == "true") + [
        "report.html",
        "report.json",
    ]
    if video == "true":
        with av.open(str(out / "drive.mp4")) as container:
            shown = sum(1 for _ in container.decode(video=0))
        assert shown == indices[-1] - indices[0] + 1


@pytest.mark.parametrize("pace", ["none", "camera"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_drive_and_its_results_are_written(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pace: str, number: signal.Signals
) -> None:
    calls = []

    class Interrupted(Gray):
        def decode(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
            calls.append(1)
            if len(calls) == (5 if pace == "none" else 7):  # the plan is warmed up twice, and once more by the thread
                os.kill(os.getpid(), number)
                time.sleep(0.1)  # until the main thread has run the handler
            return super().decode(outputs)

    monkeypatch.setattr(perception, "load", lambda spec, device="cpu": Interrupted())
    for index in range(6, 40):
        Image.fromarray(np.full((45, 90, 3), 90, np.uint8)).save(clip / f"{index}.png")
    before = signal.getsignal(number)
    assert drive(clip, tmp_path / "out", "--pace", pace, "--fps", "20") == 0
    assert signal.getsignal(number) is before
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["summary"]["stopped"] == "signal"
    assert 1 <= report["summary"]["frames"] < 40
    with av.open(str(tmp_path / "out" / "drive.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) >= report["summary"]["frames"]


def test_the_real_keyframe_drives_on_six_cameras(tmp_path: Path) -> None:
    root = real_data("nuscenes_keyframe")
    out = tmp_path / "out"
    assert drive(f"nuscenes:{root}", out, "--camera", "all") == 0
    report = json.loads((out / "report.json").read_text())
    assert report["summary"]["frames"] == 6
    assert report["summary"]["skipped"] == 0
    speeds = [frame["speed"]["mps"] for frame in report["frames"]]
    assert all(5 < speed < 15 for speed in speeds)
    assert drive(f"nuscenes:{root}", tmp_path / "shared", "--camera", "all", *ADAPTIVE) == 0
    report = json.loads((tmp_path / "shared" / "report.json").read_text())
    assert report["run"]["policy"] == "adaptive, shared"
    # Behind one another on one engine: the sum of the round's bounds keeps within the deadline, or it says so.
    bounds = {plan["name"]: plan["bound_ms"] for plan in report["run"]["plans"]}
    assert len(report["frames"]) == 6
    if not any(frame["decision"]["degraded"] for frame in report["frames"]):
        assert sum(bounds[frame["plan"]["name"]] for frame in report["frames"]) <= report["frames"][0]["deadline"]["ms"]


@pytest.fixture
def street(tmp_path: Path) -> Path:
    folder = tmp_path / "street"
    folder.mkdir()
    for index in range(24):
        image = np.full((144, 256, 3), 200, np.uint8)
        image[72:] = 60 + index
        Image.fromarray(image).save(folder / f"{index:02}.jpg")
    log = "seconds,speed_mps\n0,0\n0.5,0\n1.0,25\n2.0,25\n"
    (tmp_path / "speed.csv").write_text(log)
    return folder


ADAPTIVE = ("--policy", "adaptive", "--min_height_px", "2", "--video", "false")


def test_the_adaptive_policy_follows_the_speed(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert drive(street, out, *ADAPTIVE, "--speed", str(tmp_path / "speed.csv"), "--focal_px", "200") == 0
    printed = capsys.readouterr()
    assert "latencies are provisional" in " ".join(printed.err.split())
    assert "with 95 % confidence" in " ".join(printed.out.replace("│", " ").split())
    report = json.loads((out / "report.json").read_text())
    assert report["run"]["policy"] == "adaptive"
    assert report["run"]["calibration"] == "provisional"
    names = {plan["name"] for plan in report["run"]["plans"]}
    standing, fast = report["frames"][2], report["frames"][20]
    assert standing["plan"]["name"] == "144x256"
    assert standing["deadline"]["ms"] == 1000
    assert 25 <= fast["decision"]["speed_mps"] < 26  # a third of a second after the log's row
    assert fast["deadline"]["ms"] == pytest.approx(1500 / fast["decision"]["speed_mps"], abs=0.01)
    assert fast["decision"]["required_m"] > 60
    for frame in report["frames"]:
        assert frame["plan"]["name"] in names
        decision = frame["decision"]
        assert decision["degraded"] or decision["required_m"] <= decision["seen_m"]
    page = (out / "report.html").read_text()
    for expected in ("range that the speed requires", "Plans", "frames degraded", "deadline"):
        assert expected in page


def test_a_calibration_serves_the_machine_that_it_was_made_on(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "latency.json"
    arguments = [
        "--native",
        "144x256",
        "--miss_rate",
        "0.5",
        "--fps",
        "200",
        "--focal_px",
        "200",
        "--min_height_px",
        "2",
    ]
    assert main(["calibrate", "--model", "gray", "--out", str(table), *arguments]) == 0
    out = tmp_path / "out"
    driving = (*ADAPTIVE, "--speed", "5", "--focal_px", "200", "--calibration", str(table))
    assert drive(street, out, *driving) == 0
    assert "provisional" not in capsys.readouterr().err
    assert json.loads((out / "report.json").read_text())["run"]["calibration"] == str(table)
    assert drive(street, tmp_path / "other", *driving, "--precision", "bf16") == 2
    assert "measured with precision 'fp32', but this run has 'bf16'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--calibration", "none.json"), "--calibration is for --policy adaptive"),
        (("--policy", "adaptive", "--calibration", "none.json", "--focal_px", "9"), "none.json does not exist"),
        (("--policy", "adaptive", "--focal_px", "-1"), "focal_px -1 is not a positive number"),
        (("--policy", "adaptive", "--min_height_px", "0"), "min_height_px 0 is not a positive number"),
    ],
)
def test_bad_adaptive_options(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert drive(street, tmp_path / "out", *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
