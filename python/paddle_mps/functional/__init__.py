"""Quantisation, as functions: blocks of 8 and 4 bits, LLM.int8, BitNet b1.58.

Names and conventions are those of `bitsandbytes.functional`, so that programs and files move; what
belongs to BitNet has names of its own. docs/quantization.md compares the formats.
"""

from __future__ import annotations

from .bitnet import (
    bitnet_linear,
    int8_absmax_quantize,
    pack_ternary,
    ternary_matmul,
    ternary_quantize,
    unpack_ternary,
)
from .blocks import (
    dequantize_4bit,
    dequantize_blockwise,
    dequantize_fp4,
    dequantize_nf4,
    quantize_4bit,
    quantize_blockwise,
    quantize_fp4,
    quantize_nf4,
)
from .code_books import (
    create_dynamic_map,
    create_fp8_map,
    create_linear_map,
    create_normal_map,
    get_4bit_type,
)
from .int8 import (
    int8_double_quant,
    int8_linear,
    int8_linear_matmul,
    int8_mixed_scaled_mm,
    int8_mm_dequant,
    int8_scaled_mm,
    int8_vectorwise_dequant,
    int8_vectorwise_quant,
)
from .matmul import gemv_4bit, matmul_4bit
from .packings import pack_i2_s, pack_int2, unpack_i2_s, unpack_int2
from .state import QuantState

__all__ = [
    "QuantState",
    "bitnet_linear",
    "create_dynamic_map",
    "create_fp8_map",
    "create_linear_map",
    "create_normal_map",
    "dequantize_4bit",
    "dequantize_blockwise",
    "dequantize_fp4",
    "dequantize_nf4",
    "gemv_4bit",
    "get_4bit_type",
    "int8_absmax_quantize",
    "int8_double_quant",
    "int8_linear",
    "int8_linear_matmul",
    "int8_mixed_scaled_mm",
    "int8_mm_dequant",
    "int8_scaled_mm",
    "int8_vectorwise_dequant",
    "int8_vectorwise_quant",
    "matmul_4bit",
    "pack_i2_s",
    "pack_int2",
    "pack_ternary",
    "quantize_4bit",
    "quantize_blockwise",
    "quantize_fp4",
    "quantize_nf4",
    "ternary_matmul",
    "ternary_quantize",
    "unpack_i2_s",
    "unpack_int2",
    "unpack_ternary",
]
