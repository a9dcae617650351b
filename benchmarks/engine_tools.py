"""Tools that render the same recipe, at the version that was asked, and mistakes that each must refuse."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, and what its validation imports.

    Attributes:
        package: With its version; it comes without its dependencies, which want servers, clouds and other devices.
        needs: What of these its validation imports.
        wrong: Settings with a mistake, each of which it must refuse: the key and the value.
        packed: Whether its trainer is asked for samples that rows share, and nothing else.
    """

    name: str
    package: str
    needs: tuple[str, ...]
    wrong: Mapping[str, Mapping[str, Any]]
    packed: bool = False


TOOLS = (
    Tool(
        "llamafactory",
        "llamafactory==0.9.5",
        ("transformers==5.6.0", "accelerate==1.11.0", "peft==0.18.1", "trl==0.24.0", "datasets==4.0.0", "omegaconf"),
        {
            "an unknown key": {"lora_rnk": 8},
            "two precisions": {"bf16": True, "fp16": True},
            "packing without sft": {"stage": "pt", "neat_packing": True},
            "4 bits with all weights": {"finetuning_type": "full", "quantization_bit": 4},
            "two held-out parts": {"eval_dataset": "evaluation", "val_size": 0.5},
        },
    ),
    Tool(
        "axolotl",
        "axolotl==0.19.0",
        (
            *("transformers==5.16.1", "accelerate==1.13.0", "peft==0.20.0", "trl==1.9.0", "datasets==4.8.4"),
            *("huggingface_hub==1.17.0", "fire", "addict", "colorama", "art", "python-dotenv", "posthog==6.7.11"),
            *(
                "axolotl-contribs-lgpl==0.0.7",
                "axolotl-contribs-mit==0.0.6",
                "requests",
                "bitsandbytes==0.50.2",
                "pillow",
                "kernels<0.17",
            ),
        ),
        {
            "an adapter that is none": {"adapter": "loraa"},
            "a rank that is no number": {"adapter": "lora", "lora_r": "many"},
            "packing of preferences": {"rl": "dpo", "sample_packing": True},
            "a precision that is none": {"bf16": "maybe"},
            "no data": {"datasets": []},
        },
    ),
    Tool(
        "ms-swift",
        "ms-swift==4.6.0",
        (
            *("transformers==5.6.0", "accelerate==1.13.0", "peft==0.20.0", "trl==0.29.1", "datasets==4.8.4"),
            *(
                "modelscope",
                "addict",
                "attrdict",
                "binpacking",
                "dacite",
                "json-repair",
                "nltk",
                "openai",
                "oss2",
                "rouge",
            ),
            *("simplejson", "sortedcontainers", "tiktoken", "pillow", "matplotlib", "aiohttp", "importlib-metadata"),
            *("charset-normalizer", "zstandard", "fastapi", "uvicorn", "tensorboard", "requests"),
        ),
        {
            "an unknown word": {"lora_rnk": 8},
            "a precision that is none": {"torch_dtype": "bfloat17"},
            "a truncation that is none": {"truncation_strategy": "middle"},
            "packing without flash attention": {"packing": True, "attn_impl": "sdpa"},
            "a model that is not there": {"model": "/nowhere/model"},
        },
    ),
    Tool(
        "torchtitan",
        "torchtitan==0.3.0",
        (
            *(
                "torchdata==0.11.0",
                "torch_checkpointing==0.1.1",
                "spmd_types==0.2.3",
                "datasets==4.7.0",
                "tyro==1.0.17",
            ),
            *("tokenizers", "safetensors", "pillow", "tensorboard", "jinja2", "triton==3.9.0"),
        ),
        {
            "an unknown word": {"training.stepz": 5},
            "a precision that is none": {"training.mixed_precision_param": "bfloat17"},
            "a number that is none": {"training.local_batch_size": "many"},
            "a schedule that is none": {"lr_scheduler.decay_type": "step"},
            "one checkpoint": {"checkpoint.keep_latest_k": 1},
            "more copies than ranks": {"parallelism.data_parallel_replicate_degree": 3},
            "settings that nobody registered": {"config": "recipes"},
            "a model that is not there": {"hf_assets_path": "/nowhere/model"},
            "a size that it has not": {"settings": {"flavor": "7B"}},
            "an attention that it has not": {"settings": {"attention": "sdpa"}},
            # It would find out when it loads the weights; here it is our comparison of its model with config.json.
            "weights of another size": {"settings": {"flavor": "70B"}},
        },
        packed=True,
    ),
)
