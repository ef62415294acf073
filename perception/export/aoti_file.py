"""AOTInductor packages (``.pt2``): the network compiled to machine code, with its description and digest inside.

https://docs.pytorch.org/docs/stable/torch.compiler_aot_inductor.html
"""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import torch

from perception.errors import InputError
from perception.export.network import ExportNetwork
from perception.runtime.aoti_engine import built_for
from perception.runtime.exported_file import NO_DIGEST, FileInfo, seal
from perception.runtime.host import has_compiler


def export_aoti(network: ExportNetwork, described: FileInfo, out: Path, device: str = "cpu") -> FileInfo:
    """Compile a network for this machine at one size.

    The description is the comment of the package, which is a zip file.

    Args:
        network: to compile, at ``described.size``.
        out: ``.pt2`` file.
        device: ``cpu`` or ``cuda``, where the package will run.

    Returns:
        The description as written, with the digest.

    Raises:
        InputError: without a compiler, or where the network cannot be compiled.
    """
    if not has_compiler():
        raise InputError("an AOTInductor package needs a C++ compiler (g++ or clang++), and this machine has none")
    out.parent.mkdir(parents=True, exist_ok=True)
    network = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    example = network.example(described.size).to(device)
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = Path(folder) / out.name
        try:
            with torch.no_grad():
                program = torch.export.export(network, (example,), strict=False)
                torch._inductor.aoti_compile_and_package(
                    program, package_path=str(part), inductor_configs={"freezing": device == "cpu"}
                )
        except Exception as error:  # the compiler has many types of its own
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise InputError(f"{described.model} cannot be compiled: {reason}") from error
        described = replace(
            described, free_size=False, suffix=".pt2", data={}, digest=NO_DIGEST, target=built_for(device)
        )
        with zipfile.ZipFile(part, "a") as package:
            package.comment = described.to_json().encode()
        digest = seal(part)
        part.replace(out)
    return replace(described, digest=digest)
