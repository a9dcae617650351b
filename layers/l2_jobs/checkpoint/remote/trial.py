"""Loads a checkpoint with the job's own Python, and prints what could be loaded. Nothing of it is executed.

Sent with `distributed` and what that needs. torch loads with `weights_only=True`; what it refuses then because it
would have to call something (arguments of a trainer) is told apart from what it cannot load.
"""

import io
import json
import os
import pickle
import sys

from .distributed import read_metadata


def main(base, readings):
    """Load each file that is read as `torch`, `safetensors` or `dcp`."""
    told = {"loaded": 0, "refused": [], "failed": {}}
    for one in readings:
        path = os.path.join(base, one["path"])
        try:
            told["loaded"] += LOADERS[one["how"]](path)
        except ImportError as error:
            told["failed"][one["path"]] = "cannot be tried: %s in %s" % (error, sys.executable)
            break
        except pickle.UnpicklingError as error:
            if "weights" in str(error).lower():
                told["refused"].append(one["path"])
            else:
                told["failed"][one["path"]] = last_line(error)
        except Exception as error:
            told["failed"][one["path"]] = last_line(error)
    print(json.dumps(told))


def last_line(error):
    """What an error says, shortly."""
    words = str(error).strip().split("\n")[0][:200]
    return "does not load: %s" % (words or type(error).__name__)


def load_torch(path):
    """One file of torch.save."""
    import torch

    torch.load(path, map_location="cpu", weights_only=True)
    return 1


def load_safetensors(path):
    """All tensors of one file."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - it is no dictionary
            tensors.get_tensor(name)
    return 1


def load_distributed(path):
    """All items that a `.metadata` refers to, without unpickling it."""
    import torch

    with open(path, "rb") as stream:
        files, _ = read_metadata(stream, os.path.getsize(path))
    for name, items in sorted(files.items()):
        with open(os.path.join(os.path.dirname(path), name), "rb") as stream:
            for item in items:
                if not item.transformed:
                    stream.seek(item.at)
                    torch.load(io.BytesIO(stream.read(item.length)), map_location="cpu", weights_only=True)
    return len(files)


LOADERS = {"torch": load_torch, "safetensors": load_safetensors, "dcp": load_distributed}
