"""Optimisers with their state in 8 bits, and the same with float32: those of bitsandbytes."""

from __future__ import annotations

from .adam import Adam, Adam8bit, Adam32bit, AdamW, AdamW8bit, AdamW32bit
from .ademamix import AdEMAMix, AdEMAMix8bit, AdEMAMix32bit
from .base import GlobalOptimManager
from .layerwise import LAMB, LARS
from .momentum import SGD, Lion, Lion8bit, Lion32bit, SGD8bit, SGD32bit
from .rms import Adagrad, Adagrad8bit, Adagrad32bit, RMSprop, RMSprop8bit, RMSprop32bit

__all__ = [
    "AdEMAMix",
    "AdEMAMix32bit",
    "AdEMAMix8bit",
    "Adagrad",
    "Adagrad32bit",
    "Adagrad8bit",
    "Adam",
    "Adam32bit",
    "Adam8bit",
    "AdamW",
    "AdamW32bit",
    "AdamW8bit",
    "GlobalOptimManager",
    "LAMB",
    "LARS",
    "Lion",
    "Lion32bit",
    "Lion8bit",
    "RMSprop",
    "RMSprop32bit",
    "RMSprop8bit",
    "SGD",
    "SGD32bit",
    "SGD8bit",
]
