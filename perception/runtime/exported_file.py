"""What an exported file says about itself, and whether it is whole: plain Python, no torch.

A file carries one JSON object under the key ``perception``: what the model is, what goes in and comes out, and a
``digest``, the SHA-256 of the file with the digest's own 64 digits as zeros.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from perception.errors import InputError
from perception.taxonomy import LabelSet, get_label_set

KEY = "perception"
FORMAT = 1
NO_DIGEST = "0" * 64
POINTS = "lidar"
"""Input and head of files that take LiDAR points."""
FUSION = "cameras and lidar"
"""Input of files that take pictures of several cameras and LiDAR points."""
# XML writes quotation marks as entities.
_DIGEST = re.compile(rb"(?:\"|&quot;)digest(?:\"|&quot;): ?(?:\"|&quot;)([0-9a-f]{64})(?:\"|&quot;)")
_BEGIN = (b'{"classes"', b"{&quot;classes&quot;")
"""How the object begins: its keys are sorted."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class FileInfo:
    """Facts of an exported model.

    Args:
        model: zoo name; ``options``: what it was built with besides.
        label_set, classes, detection: what the outputs mean.
        heads: which of them it has.
        size: ``(height, width)`` that was traced; ``(points, columns)`` of LiDAR files.
        sizes: further sizes that it takes besides, each ``(height, width)``.
        free_size: whether it takes all sizes.
        scale: share of the camera's resolution whose norms it holds, for models with norms per scale.
        input: ``uint8`` (0..255) or ``float`` (0..1), RGB, ``(N, 3, H, W)``; normalisation is inside. ``lidar``:
            points ``(P, 5)``, see :data:`perception.types.POINT_COLUMNS`. ``cameras and lidar``: uint8 pictures, the
            points, and for each the camera and the pixel that show it.
        point_label_set: what classes of points mean, of files with pictures and points.
        neighbours, voxel_m: of LiDAR files that take ``neighbours`` ``(P, neighbours + 1)`` int64 rows besides, the
            point itself first, of points that were merged by voxels of this edge; 0 where the network takes none.
        postprocess: whether masks are class indices and boxes are decoded, instead of raw maps.
        mask_strides: in pixels, of each mask that comes as coarse logits ``(N, C, h, w)``, of which
            :mod:`perception.runtime.masks` makes masks; empty where they come at full size.
        precision: of the weights and activations, such as ``fp32`` or ``int8``.
        opset: of ONNX, or 0.
        suffix: of the file's name, which says who reads it.
        data: SHA-256 of each file beside this one that belongs to it, by name.
        target: device and instruction sets that machine code inside needs; empty where there is none.
        versions: of the programs that wrote it.
        digest: SHA-256 of the file with these digits as zeros.
    """

    model: str
    options: dict[str, Any]
    label_set: str
    classes: tuple[str, ...]
    detection: tuple[str, ...]
    heads: tuple[str, ...]
    size: tuple[int, int]
    free_size: bool
    sizes: tuple[tuple[int, int], ...] = ()
    scale: float | None = None
    input: str = "uint8"
    point_label_set: str = ""
    neighbours: int = 0
    voxel_m: float = 0.0
    postprocess: bool = True
    mask_strides: dict[str, int] = field(default_factory=dict)
    precision: str = "fp32"
    opset: int = 0
    suffix: str = ".onnx"
    data: dict[str, str] = field(default_factory=dict)
    target: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT
    digest: str = NO_DIGEST

    def kind_digest(self) -> str:
        """A short name for what was exported, whatever its weights: that is what latencies depend on."""
        size = self.free_size or ([self.size, *self.sizes] if self.sizes else self.size)
        kind: tuple[Any, ...] = (self.model, self.options, self.label_set, size, self.scale, self.precision)
        if self.mask_strides:
            kind += (self.mask_strides,)
        return hashlib.sha256(json.dumps(kind, sort_keys=True, default=str).encode()).hexdigest()[:12]

    def takes(self, size: tuple[int, int]) -> bool:
        """Whether pictures of a size can be given to it."""
        return self.free_size or size in (self.size, *self.sizes)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, path: Path) -> FileInfo:
        """Read and check the object of a file.

        Raises:
            InputError: where it is not what this version writes.
        """
        try:
            values = json.loads(text)
            if values.get("format") != FORMAT:
                raise InputError(
                    f"{path} is of export format {values.get('format')!r}, this version reads {FORMAT}; export it again"
                )
            known = {item.name for item in fields(cls)}
            for name in ("classes", "detection", "heads", "size"):
                values[name] = tuple(values[name])
            values["target"] = tuple(values.get("target", ()))
            values["sizes"] = tuple((height, width) for height, width in values.get("sizes", ()))
            return cls(**{name: value for name, value in values.items() if name in known})
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} has a damaged description ({error}); export it again") from None

    def labels(self, path: Path) -> LabelSet:
        """The label set that the outputs index into.

        Raises:
            InputError: where this version's label set of that name has other classes.
        """
        labels = get_label_set(self.label_set)
        if self.classes != labels.classes or self.detection != labels.detection:
            raise InputError(
                f"{path} was exported for {len(self.classes)} classes and {len(self.detection)} box classes of label "
                f"set {self.label_set} that are not those of this version; export it again"
            )
        return labels


def seal(path: Path) -> str:
    """Write the digest into a file that holds :data:`NO_DIGEST`, and return it.

    Raises:
        ValueError: for a file that does not hold it once.
    """
    content = path.read_bytes()
    found = list(_DIGEST.finditer(content))
    if len(found) != 1 or found[0].group(1) != NO_DIGEST.encode():
        raise ValueError(f"{path} must hold an empty digest once, found {len(found)}")
    digest = hashlib.sha256(content).hexdigest()
    at = found[0].start(1)
    path.write_bytes(content[:at] + digest.encode() + content[at + len(digest) :])
    return digest


def open_exported(path: Path) -> FileInfo:
    """Check that a file and those that belong to it are as they were written, and read what it says about itself.

    Raises:
        InputError: for a file that is missing, renamed, not of this library, or changed.
    """
    if not path.is_file():
        raise InputError(f"exported file {path} does not exist")
    content = path.read_bytes()
    found = list(_DIGEST.finditer(content))
    start = description_start(content)
    if start < 0:
        raise InputError(
            f"{path} is not a whole export of this library: it holds no description; write one with perception export"
        )
    at = found[0].start(1)
    blank = content[:at] + NO_DIGEST.encode() + content[at + len(NO_DIGEST) :]
    if hashlib.sha256(blank).hexdigest() != found[0].group(1).decode():
        raise InputError(f"{path} is damaged or was changed: its digest does not fit; export it again")
    end = content.index(b"}", found[0].end())
    while content[start:end].count(b"{") > content[start : end + 1].count(b"}"):
        end = content.index(b"}", end + 1)
    described = FileInfo.from_json(html.unescape(content[start : end + 1].decode()), path)
    if path.suffix != described.suffix:
        raise InputError(f"{path} was written as a {described.suffix} file; give it its own ending back")
    verify_data(path, described.data)
    return described


def description_start(content: bytes) -> int:
    """Where the description begins in a file; -1 without one, or with several."""
    found = list(_DIGEST.finditer(content))
    return max(content.rfind(begin, 0, found[0].start()) for begin in _BEGIN) if len(found) == 1 else -1


def verify_data(path: Path, data: Mapping[str, str]) -> None:
    """Check the files that belong to an exported file.

    Raises:
        InputError: for one that is missing, outside of the folder, or changed.
    """
    for name, digest in data.items():
        beside = path.parent / name
        if Path(name).name != name:
            raise InputError(f"{path} refers to {name!r}, which is not a file beside it; export it again")
        if not beside.is_file():
            raise InputError(f"{path} needs {name} beside it, which is missing; keep both together under their names")
        if file_digest(beside) != digest:
            raise InputError(f"{beside} is damaged or of another export than {path.name}; export it again")


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
