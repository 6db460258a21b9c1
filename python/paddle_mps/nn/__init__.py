"""Quantised layers: bitsandbytes' by its own names, BitNet's, and adapters beside them."""

from __future__ import annotations

from .bitlinear import BitLinear
from .linear4bit import Embedding4bit, EmbeddingFP4, EmbeddingNF4, Linear4bit, LinearFP4, LinearNF4
from .linear8bit import Embedding8bit, Linear8bitLt
from .lora import LoRALinear
from .params import Params4bit, load_state_dict

__all__ = [
    "BitLinear",
    "Embedding4bit",
    "Embedding8bit",
    "EmbeddingFP4",
    "EmbeddingNF4",
    "Linear4bit",
    "Linear8bitLt",
    "LinearFP4",
    "LinearNF4",
    "LoRALinear",
    "Params4bit",
    "load_state_dict",
]
