"""OpenVINO IR files (``.xml`` with ``.bin``) from an ONNX file, with their description and digest inside."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from perception.errors import InputError
from perception.runtime.exported_file import KEY, NO_DIGEST, FileInfo, file_digest, seal
from perception.runtime.openvino_engine import last_line, load_openvino, openvino_core


def export_openvino(onnx_path: Path, described: FileInfo, out: Path, compress_to_fp16: bool = False) -> FileInfo:
    """Convert an exported ONNX file.

    Args:
        onnx_path: the ONNX file; ``described``: what it says about itself.
        out: ``.xml`` file; the weights go into the ``.bin`` of the same name.
        compress_to_fp16: store weights in half precision.

    Returns:
        The description as written, with the digest.

    Raises:
        InputError: where OpenVINO cannot convert the network.
        MissingExtra: without openvino.
    """
    ov = load_openvino()
    try:
        network = openvino_core().read_model(str(onnx_path))
    except RuntimeError as error:
        raise InputError(f"OpenVINO cannot convert {described.model}: {last_line(error)}") from error
    if network.has_rt_info(["framework", KEY]):
        network.set_rt_info("", ["framework", KEY])  # that of the ONNX file, which is not that of this one
    out.parent.mkdir(parents=True, exist_ok=True)
    weights = out.with_suffix(".bin").name
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as name:
        folder = Path(name)
        ov.save_model(network, str(folder / out.name), compress_to_fp16=compress_to_fp16)
        versions = described.versions | {"openvino": ov.__version__}
        described = replace(
            described, data={weights: file_digest(folder / weights)}, versions=versions, digest=NO_DIGEST, suffix=".xml"
        )
        network.set_rt_info(described.to_json(), [KEY])
        ov.save_model(network, str(folder / out.name), compress_to_fp16=compress_to_fp16)
        digest = seal(folder / out.name)
        for part in (weights, out.name):
            (folder / part).replace(out.parent / part)
    return replace(described, digest=digest)
