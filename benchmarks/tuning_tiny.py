"""A tiny random Llama, data for it, and runs of the worker in forked processes, which may be killed. Needs no aiops.

It is run by the Python of the trainer's environment, as a process of its own, with the worker's code laid out in a
folder; `benchmarks.tuning_exact` and the tests of the trainer do so. Torch is loaded once, then each attempt is a fork:
a real process, that SIGKILL really kills, a second after it was wanted.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_WORDS = ("iron", "copper", "tin", "zinc", "lead", "gold", "silver", "nickel", "cobalt", "argon", "neon", "carbon")


def make_base(folder: Path, seed: int = 1) -> Path:
    """A random Llama of 2 layers, with a tokenizer of bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate([*letters, "<|im_start|>", "<|im_end|>"])}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = dict.fromkeys(("eos_token", "pad_token"), "<|im_end|>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **special)
    tokenizer.chat_template = CHATML
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=vocabulary["<|im_start|>"],
        eos_token_id=vocabulary["<|im_end|>"],
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rows_of(form: str, count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Made-up rows, as prepared data has them."""
    chance = random.Random(seed)  # noqa: S311 - a seed is what is wanted
    found = []
    for number in range(count):
        some = [chance.choice(_WORDS) for _ in range(chance.randint(1, 6))]
        turn = {"role": "user", "content": f"{number}: {' '.join(some)}?"}
        if form == "text":
            found.append({"form": form, "text": f"{number} " + " and ".join(some)})
            continue
        row: dict[str, Any] = {"form": form, "turns": [turn], "answer": [{"role": "assistant", "content": some[0]}]}
        if form == "preference":
            row["rejected"] = [{"role": "assistant", "content": " ".join(some[::-1]) + "!"}]
        found.append(row)
    return found


def prepare(folder: Path, base: Path, rows: Sequence[dict[str, Any]], *, packed: int = 0) -> Path:
    """Prepared data of rows, as layers/l3_tuning/data/dataset.py lays it out; `packed` rows share each sample."""
    import numpy as np
    import zstandard
    from worker.model import tokenizer_of
    from worker.template import rendered

    tokenizer = tokenizer_of(base)
    folder.mkdir(parents=True, exist_ok=True)
    tokens: list[int] = []
    mask: list[int] = []
    segments: list[int] = []
    places: list[tuple[int, int]] = []
    lines = []
    for number, row in enumerate(rows):
        sample, segment = divmod(number, packed) if packed else (number, 0)
        lines.append({"sample": sample, "segment": segment, "file": "made.jsonl", "line": number + 1, "row": row})
        for part, counted in _parts(tokenizer, rendered, row):
            if packed and segment:
                places[-1] = (places[-1][0], places[-1][1] + len(part))
            else:
                places.append((len(tokens), len(part)))
            tokens += part
            mask += counted
            segments += [segment] * len(part)
    np.array(tokens, "<u4").tofile(folder / "tokens.bin")
    np.array(mask, "u1").tofile(folder / "mask.bin")
    np.array(places, "<u8").tofile(folder / "samples.bin")
    if packed:
        np.array(segments, "<u4").tofile(folder / "segments.bin")
    whole = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (folder / "rows.jsonl.zst").write_bytes(zstandard.compress(whole))
    return folder


def _parts(tokenizer: Any, rendered: Any, row: dict[str, Any]) -> list[tuple[list[int], list[int]]]:
    if row["form"] == "text":
        ids = [*tokenizer(row["text"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        return [(ids, [1] * len(ids))]
    prompt = rendered(tokenizer, row["turns"], ask=True)
    answers = [
        rendered(tokenizer, row["turns"] + row[name])[len(prompt) :] for name in ("answer", "rejected") if name in row
    ]
    if row["form"] == "preference":
        ended = [one[: one.index(tokenizer.eos_token_id) + 1] for one in answers]
        return [(prompt, [0] * len(prompt)), *((one, [1] * len(one)) for one in ended)]
    learnt = answers[0].index(tokenizer.eos_token_id) + 1
    return [(prompt + answers[0], [0] * len(prompt) + [1] * learnt + [0] * (len(answers[0]) - learnt))]


def write_work(folder: Path, base: Path, data: Path, **changes: Any) -> Path:
    """The file that the worker is given; the path of it."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "v": 1,
        "run": folder.name,
        "name": "tiny",
        "folder": str(folder),
        "base": str(base),
        "data": str(data),
        "digests": {"base": "b" * 64, "data": "d" * 64, "recipe": "e" * 64, "code": "c" * 64},
        "allowed": [],
        "form": "prompt",
        "packed": False,
        "held_out": False,
        "length": 512,
        "template": None,
        "method": "sft",
        "adapter": {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1, "targets": [], "layers": None},
        "steps": 12,
        "world": 1,
        "batch": 2,
        "accumulate": 2,
        "rate": 1e-2,
        "schedule": "cosine",
        "warmup": 2,
        "weight_decay": 0.01,
        "clip": 1.0,
        "optimizer": "adamw",
        "precision": "fp32",
        "attention": "sdpa",
        "recompute": False,
        "seed": 7,
        "beta": 0.1,
        "log_every": 1,
        "sharding": "none",
        "devices": 0,
        "threads": 1,
        "every": 3,
        "keep": 2,
        "questions": None,
        "right": 0.0,
        "loss": None,
        "tokens": 16,
        "alias": None,
        "merge": False,
        "gguf": [],
        "trace": True,
        "simulated": False,
        **changes,
    }
    path = folder / "trainer.json"
    path.write_text(json.dumps(said, indent=1))
    return path


def fork(work: Path, world: int = 1, resume: str | None = None) -> list[int]:
    """Begin an attempt: `world` processes, each a rank; their numbers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    numbers = []
    for rank in range(world):
        number = os.fork()
        if number == 0:
            _child(work, rank, world, port, resume)
        numbers.append(number)
    return numbers


def _child(work: Path, rank: int, world: int, port: int, resume: str | None) -> None:
    """Be a rank; never returns."""
    status = 70
    try:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
        os.environ["AIOPS_PROGRESS"] = str(work.parent / f"progress-{rank}")
        if resume is not None:
            os.environ |= {"AIOPS_RESUME": resume}
        log = os.open(work.parent / f"rank-{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        from worker.main import main

        status = main([str(work)])
    except BaseException:  # noqa: BLE001 - a fork must not go on with its parent's work
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(numbers: Sequence[int]) -> list[int]:
    """Wait until all have ended; how each did."""
    return [os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) for number in numbers]


def kill(work: Path, numbers: Sequence[int], chance: random.Random, after: int) -> bool:
    """Kill all ranks once the first has told `after` things more, and a moment later; False where they were done."""
    path = work.parent / "progress-0"
    wanted = _told(path) + after
    while _told(path) < wanted:
        done, status = os.waitpid(numbers[0], os.WNOHANG)
        if done:
            rest = ended(numbers[1:])
            if status or any(rest):
                raise RuntimeError(f"{work}: an attempt ended with {status} {rest}")
            return False
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.02))
    for number in chance.sample(list(numbers), len(numbers)):
        os.kill(number, signal.SIGKILL)
    ended(numbers)
    return True


def _told(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def train(work: Path, world: int = 1) -> list[int]:
    """A whole attempt."""
    return ended(fork(work, world))


def train_killed(work: Path, world: int, kills: int, seed: int) -> dict[str, int]:
    """A run that is killed so often at moments by a seed, and goes on each time; attempts, and kills that hit."""
    chance = random.Random(seed)  # noqa: S311 - a seed is what is wanted
    hit = attempts = 0
    while hit < kills:
        attempts += 1
        if not kill(work, fork(work, world), chance, chance.randint(1, 6)):
            return {"kills": hit, "attempts": attempts}
        hit += 1
    statuses = train(work, world)
    if any(statuses):
        raise RuntimeError(f"{work}: the last attempt ended with {statuses}")
    return {"kills": hit, "attempts": attempts + 1}


def weights(folder: Path) -> str:
    """A digest of all tensors of a folder's safetensors files; nothing where it holds none."""
    from safetensors import safe_open

    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        return ""
    hashing = hashlib.sha256()
    for path in files:
        with safe_open(path, "pt") as opened:
            for name in sorted(opened.keys()):
                hashing.update(name.encode() + opened.get_tensor(name).float().numpy().tobytes())
    return hashing.hexdigest()


def samples(folder: Path) -> str:
    """What each rank has read in each step, as text."""
    return "".join(path.read_text() for path in sorted(folder.glob("samples-*.jsonl")))


def begin(code: Path, place: Path) -> None:
    """Load what forks need: once."""
    sys.path.insert(0, str(code))
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    import torch
    import transformers.models.llama.modeling_llama
    import worker.artefact
    import worker.judgement
    import worker.loop
    import worker.main
    import worker.tuned  # noqa: F401
    from peft import get_peft_model  # noqa: F401

    torch.set_num_threads(1)
    del transformers


def exact(place: Path, *, runs: int, kills: int, world: int, steps: int, seed: int) -> dict[str, Any]:
    """Runs that are killed, each against one of the same that is left alone."""
    base = make_base(place / "base")
    data = prepare(place / "data", base, rows_of("prompt", 37))
    found = []
    for number in range(runs):
        sharding = "ddp" if world > 1 else "none"
        said = {"steps": steps, "world": world, "seed": seed + number, "sharding": sharding, "merge": True}
        whole = write_work(place / f"whole-{number}", base, data, **said)
        begun = time.monotonic()
        statuses = train(whole, world)
        if any(statuses):
            raise RuntimeError(f"{whole}: {statuses}: {(whole.parent / 'rank-0.log').read_text()[-2000:]}")
        hurt = write_work(place / f"hurt-{number}", base, data, **said)
        told = train_killed(hurt, world, kills, seed + number)
        one, other = whole.parent, hurt.parent
        found.append(
            {
                **told,
                "samples": samples(one) == samples(other) and bool(samples(one)),
                "weights": weights(one / "artefact") == weights(other / "artefact") != "",
                "seconds": round(time.monotonic() - begun, 1),
            }
        )
    return {"runs": found}


if __name__ == "__main__":
    code_, place_, *numbers_ = sys.argv[1:]
    begin(Path(code_), Path(place_))
    told = dict(zip(("runs", "kills", "world", "steps", "seed"), map(int, numbers_), strict=True))
    print(json.dumps(exact(Path(place_) / "runs", **told)))
