"""Facts of the machine."""

from __future__ import annotations

import platform
import shutil


def cpu_name() -> str:
    """Model name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def has_compiler() -> bool:
    """Whether there is a C++ compiler, which torch needs to compile for a CPU."""
    return any(shutil.which(name) for name in ("g++", "clang++"))


def cpu_flags() -> list[str]:
    """Which of the instruction sets that networks profit from the processor has."""
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "i8mm")
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                name, _, values = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    have = set(values.split())
                    return [flag for flag in wanted if flag in have]
    except OSError:
        pass
    return []
