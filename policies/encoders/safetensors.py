"""Reads a `.safetensors` file: eight bytes with the length of a JSON header, the header, and the tensors' bytes one after the other."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from policies.encoders.errors import EncoderError

TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64, "U8": torch.uint8}


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file by name.

    Raises:
        EncoderError: it is cut off, or is no such file.
    """
    data = path.read_bytes()
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > len(data) - 8:
            raise ValueError(f"a header of {length} bytes in a file of {len(data)}")
        header = json.loads(data[8 : 8 + length])
        body = memoryview(data)[8 + length :]
        found: dict[str, torch.Tensor] = {}
        for name, told in header.items():
            if name == "__metadata__":
                continue
            start, stop = told["data_offsets"]
            dtype = TYPES.get(told["dtype"])
            if dtype is None:
                raise ValueError(f"{name} is of type {told['dtype']}; valid: {', '.join(TYPES)}")
            if not 0 <= start <= stop <= len(body):
                raise ValueError(f"{name} ends at byte {stop} of {len(body)}: it is cut off")
            raw = torch.frombuffer(bytearray(body[start:stop]), dtype=dtype) if stop > start else torch.empty(0, dtype=dtype)
            found[name] = raw.reshape(told["shape"])
        return found
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise EncoderError(f"{path} is not a safetensors file that can be read: {' '.join(str(error).split())}") from error
