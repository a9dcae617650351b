"""What is said of mistakes in a recipe.yml: its keys, what other tools call them, and its patterns in words."""

from aiops.layers.core.places import Spelling
from aiops.layers.l2_jobs.mistake import Grammar

from .recipe_document import PATTERN_WORDS, RecipeDocument

_SYNONYMS = {
    **dict.fromkeys(("base_model", "model", "model_name_or_path", "pretrained_model", "model_id"), "base"),
    **dict.fromkeys(("stage", "task", "rlhf_type", "rl"), "method"),
    **dict.fromkeys(("lora", "peft", "finetuning_type", "tuner_type", "train_type"), "adapter"),
    **dict.fromkeys(("lora_rank", "lora_r", "r"), "rank"),
    **dict.fromkeys(("lora_alpha",), "alpha"),
    **dict.fromkeys(("lora_dropout",), "dropout"),
    **dict.fromkeys(("lora_target", "lora_target_modules", "target_modules", "modules"), "targets"),
    **dict.fromkeys(("dataset", "datasets"), "data"),
    **dict.fromkeys(("eval_dataset", "validation", "valid"), "evaluation"),
    **dict.fromkeys(("val_size", "val_set_size", "test_size", "split_dataset_ratio"), "held_out"),
    **dict.fromkeys(("chat_template",), "template"),
    **dict.fromkeys(("max_length", "max_len", "max_seq_len", "cutoff_len", "sequence_len", "seq_len"), "length"),
    **dict.fromkeys(("truncation", "truncation_strategy", "excess_length_strategy", "overlong"), "long"),
    **dict.fromkeys(("packed", "pack", "sample_packing"), "packing"),
    **dict.fromkeys(("train_on_inputs", "loss_on"), "loss"),
    **dict.fromkeys(("dedup", "deduplicate"), "duplicates"),
    **dict.fromkeys(("pii", "redact"), "mask"),
    **dict.fromkeys(("output_dir", "output", "runs"), "folder"),
    **dict.fromkeys(("training", "trainer_args"), "train"),
    **dict.fromkeys(("num_epochs", "num_train_epochs", "epoch"), "epochs"),
    **dict.fromkeys(("max_steps", "num_steps"), "steps"),
    **dict.fromkeys(("batch_size", "micro_batch_size", "per_device_train_batch_size"), "batch"),
    **dict.fromkeys(("gradient_accumulation_steps", "accum", "grad_accum"), "accumulate"),
    **dict.fromkeys(("lr", "learning_rate"), "rate"),
    **dict.fromkeys(("warmup_steps", "num_warmup_steps"), "warmup"),
    **dict.fromkeys(("lr_scheduler", "lr_scheduler_type", "scheduler"), "schedule"),
    **dict.fromkeys(("max_grad_norm", "clip_grad_norm", "grad_clip"), "clip"),
    **dict.fromkeys(("optim",), "optimizer"),
    **dict.fromkeys(("dtype", "torch_dtype"), "precision"),
    **dict.fromkeys(("attn_implementation", "attn_impl", "flash_attn", "flash_attention"), "attention"),
    **dict.fromkeys(("gradient_checkpointing", "activation_checkpointing"), "recompute"),
    **dict.fromkeys(("logging_steps", "log_every_n_steps"), "log_every"),
    **dict.fromkeys(("place", "resources"), "placement"),
    **dict.fromkeys(("gpus", "gpu", "accelerators"), "devices"),
    **dict.fromkeys(("nproc", "nproc_per_node", "ranks"), "processes"),
    **dict.fromkeys(("parallelism", "strategy", "distributed", "deepspeed"), "sharding"),
    **dict.fromkeys(("checkpoints", "ckpt", "save"), "checkpoint"),
    **dict.fromkeys(("save_steps", "save_every"), "every"),
    **dict.fromkeys(("save_total_limit",), "keep"),
    **dict.fromkeys(("eval",), "evaluation"),
    **dict.fromkeys(("registry", "export", "registration"), "register"),
    **dict.fromkeys(("env", "venv"), "environment"),
    **dict.fromkeys(("engine", "backend", "framework"), "trainer"),
    **dict.fromkeys(("base_recipe", "inherits", "include", "parent"), "extends"),
    **dict.fromkeys(("partition",), "queue"),
}
"""What other tools call things. `engine` in the wrong place is the trainer that they mean by it."""

GRAMMAR = Grammar(RecipeDocument, _SYNONYMS, PATTERN_WORDS)
SPELLING = Spelling(first="base: /shared/models/llama-3.1-8b-instruct", as_written=("name",))
