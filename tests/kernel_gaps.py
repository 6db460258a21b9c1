"""Kernels and dtypes that Paddle's CPU device has and mps has not, each with the reason.

test_coverage.py holds this table to be exact: what is filled must go, what Paddle has must be
registered or stand here. Kernels that Paddle itself brings for every custom device (reshape, shape,
feed, ...) are not asked for, and float64 and complex128 are no gap: Metal does not have them.
"""

from __future__ import annotations

import re

# reason -> kernels; a name stands for its gradient too.
KERNELS: dict[str, str] = {
    "for other chips, servers or old programs: no class or function of Paddle's Python asks": """
        cross_entropy decayed_adagrad dpsgd ftrl
        pow2_decay_with_linear_warmup einsum_infer negative rint sequence_mask tril_triu
    """,
    "asked for where Paddle was built with CUDA; elsewhere it composes them": """
        coalesce_tensor linear_v2 std var
    """,
    "random numbers that nothing in Python asks for": """
        dropout_nd randint_with_seed seed
    """,
    "decompositions and solvers: MPSGraph has none; iterative and small, the CPU is no slower": """
        cholesky cholesky_solve determinant eig eigh eigvals eigvalsh inverse lstsq lu lu_solve
        lu_unpack matrix_rank matrix_rank_atol_rtol matrix_rank_tol qr slogdet slogdet_v2 solve
        svd svdvals triangular_solve
    """,
}

# Names that no program for one GPU calls by itself, as patterns -> reasons.
OUT_OF_SCOPE: dict[str, str] = {
    r"\w+_(coo|csr)(_\w+)?|\w*(coo|csr)_\w+|sparse_coo_tensor\w*": "paddle.sparse: how many"
    " elements are not zero follows from data, and a graph's shapes do not",
    # The gradients of embeddings with sparse=True, and what optimisers make of them, are here.
    r"\w+_sr(_\w+)?|sgd_sparse_param_sparse_grad|sparse_momentum": "selected rows: parameters of"
    " that kind nothing in Python makes, and of gradients lamb and add_n are not built",
    r"adamw_dense_param_sparse_grad": "Paddle's adamw_ reads selected rows as a tensor and fails"
    " before it asks for a kernel",
    r"sparse_weight_embedding\w*|\w*lookup_table\w*|pyramid_hash\w*|cvm\w*|tdm_\w+": "tables of"
    " parameter servers, whose rows lie in another process or in a tree on the host",
    r"distributed_\w+|fetch_barrier|dgc_\w+|nce\w*|rank_attention": "training by many processes, or"
    " what Paddle has for CUDA and servers alone",
    r"(c|p|dist|global|mp)_\w+|partial_(allgather|recv|send)|reduce_scatter|broadcast": "between"
    " devices: a Mac has one",
    r"\w+_triple_grad|(log|matmul|multiply|subtract|matmul_with_flatten)_double_grad": "the double"
    " ones Paddle makes of other ops, and third derivatives run on the CPU device",
    r"\w+_raw(_grad)?|unique_raw": "with an axis or a flag that only programs of Paddle 1 have",
    r"legacy_\w+|\w+_v1(_grad)?|(flatten2|cross_entropy2|cross_entropy_grad2|soft_relu)\w*": "of"
    " fluid, whose Python Paddle 3 has not",
    r"matmul_with_flatten(_grad)?": "static.nn.fc of programs before PIR; today's makes a matmul",
    r"(fused|fusion)_\w+|self_dp_attention|attention_lstm|fc": "put into programs by Paddle's"
    " inference for x86 CPUs, and only there",
    r"strings_\w+|faster_tokenizer|hash": "texts: Metal has no such type",
    r"\w+_array(_\w+)?|array_\w+|slice_array\w*": "lists of tensors of static programs, which"
    " lie on the host; dynamic mode has Python's",
    r"(sequence|lod)_\w+|row_conv\w*|im2sequence\w*|match_matrix_tensor\w*|chunk_eval": "sequences"
    " one behind the other by levels of detail, which programs before PIR have alone",
    r"(gru|lstm|gru_unit|cudnn_lstm)(_grad)?|beam_search\w*|crf_decoding": "of fluid's sequences;"
    " paddle.nn.LSTM and GRU ask for rnn, which is here",
    r"add_position_encoding\w*|anchor_generator|variance|l1_norm\w*": "no function of Paddle's"
    " Python asks; _C_ops.anchor_generator takes no arguments that it understands",
    r"box_clip": "reads levels of detail without asking whether a tensor has any: without, Paddle's"
    " own ends the process",
    r"multiclass_nms": "an operator of old programs; what Python calls is multiclass_nms3",
    r"graph_\w+|weighted_sample_neighbors": "walks through lists of neighbours by hash tables: each"
    " step's length is the result of the one before",
    r"(save|load)(_\w+)?|read_file|decode_jpeg": "files, which the host reads",
    r"print_kernel|assert|check_\w+": "messages of programs, which the host writes",
    r"memcpy\w*|(trans|transfer)_layout\w*|onednn_to_paddle_layout|share_\w+": "between devices and"
    " layouts of the CPU: Paddle asks for them by the device that it copies from",
    r"npu_identity": "asked for on devices named npu",
    r"grad_add|prod_infer": "of programs before PIR; today's ask for add and prod",
    r"(range|range_tensor|arange|assign_value)": "with numbers that the program has: arange_tensor"
    " and a copy from the host do it",
    r"(feed|fetch|data|depend|nop|shadow_\w+|shape\w*|numel|empty_like)": "bookkeeping of programs",
}

# reason -> kernels that Paddle has for other GPUs alone, under the names of its functions.
GPU_ONLY: dict[str, str] = {
    "keys and values in pages, for servers of many users; masked_multihead_attention keeps them in"
    " one piece": """
        block_multihead_attention_ blha_get_max_len qkv_unpack_mha
    """,
    "Paddle's eager functions call them by an old name that a build without CUDA has not; the"
    " layers that they are made of run here": """
        fused_attention fused_feedforward
    """,
    "a whole decoder in one kernel, of weights in an order of its own; its parts are here": """
        fused_multi_transformer_
    """,
    "asked for by a flag that a build without CUDA has not; flash_attn and flashmask_attention do"
    " the same": """
        flash_attn_v3 flash_attn_v3_varlen flashmask_attention_v2 calc_reduced_attn_scores
    """,
    "another spelling of what is here: attention, layer_norm": """
        fused_dot_product_attention fast_ln
    """,
    "attention to places given one by one, in rows of a sparse matrix": "sparse_attention",
    "mixtures of experts, and rotary positions for a part of a head": """
        moe_combine moe_combine_no_weight moe_gate_dispatch moe_gate_dispatch_permute batched_gemm
        cal_aux_loss expand_modality_expert_id int_bincount fused_partial_rope
    """,
}

# (kernels, dtypes, reason) of registered kernels.
DTYPES: tuple[tuple[str, str, str], ...] = (
    (
        """add_grad divide_grad expand_grad fill_diagonal fill_diagonal_grad fill_grad gather_grad
        gather_nd_grad index_put_grad index_select_grad mean_grad multiply_grad set_value_grad
        set_value_with_scalar_grad sum_grad tile_grad
        copysign copysign_grad masked_fill_grad where_grad allclose mean""",
        "bool",
        "no arithmetic, and no gradient, of truth values",
    ),
    (
        "copysign copysign_grad masked_fill_grad ceil_grad floor_grad",
        "int8 int16 int32 int64 uint8",
        "no gradient, and no signed zero, of integers",
    ),
    (
        """where_grad cumprod_grad elementwise_pow_grad exp_grad fill_grad fmax_grad fmin_grad
        frame_grad heaviside_grad maximum_grad minimum_grad nansum_grad overlap_add_grad
        remainder_grad round_grad shuffle_batch_grad topk_grad trunc_grad""",
        "int32 int64",
        "no gradient of integers",
    ),
    ("put_along_axis_grad", "int16 int32 int64 uint8", "no gradient of integers"),
    ("atan2", "int32 int64", "the CPU device computes in float64, which Metal does not have"),
    ("bincount", "float32", "counts integers"),
    (
        """concat concat_grad diagonal diagonal_grad full slice slice_grad strided_slice
        strided_slice_grad unbind cast transpose transpose_grad check_numerics""",
        "float8_e4m3fn float8_e5m2",
        "8-bit floats are moved whole; taking them apart waits for what computes with them",
    ),
    (
        "cast transpose transpose_grad",
        "uint16 uint32 uint64",
        "Paddle's Python makes no such tensors",
    ),
    (
        "pad pad_grad argsort_grad put_along_axis take_along_axis take_along_axis_grad",
        "int16",
        "rare",
    ),
    ("argsort_grad put_along_axis take_along_axis take_along_axis_grad", "uint8", "rare"),
    ("scatter_nd_add scatter_nd_add_grad", "uint8", "rare"),
    ("roi_pool_grad", "int32", "no gradient of integers"),
    (
        "get_tensor_from_selected_rows multiply_sr",
        "int32 int64",
        "selected rows are gradients, which are floats",
    ),
    ("multiply_sr", "bool", "selected rows are gradients, which are floats"),
    (
        """abs_double_grad add_double_grad cos_double_grad divide_double_grad pow_double_grad
        sin_double_grad square_double_grad""",
        "int32 int64",
        "no gradient of integers",
    ),
    ("add_double_grad nansum_grad", "int16", "no gradient of integers"),
    (
        """divide_double_grad index_elementwise_get_grad index_elementwise_put_grad
        index_elementwise_put_with_tensor_grad nansum_grad reduce_as reduce_as_grad""",
        "bool",
        "no arithmetic, and no gradient, of truth values",
    ),
    ("logspace", "int32 int64", "the CPU device computes in float64, which Metal does not have"),
    (
        "squeeze squeeze_grad unsqueeze unsqueeze_grad",
        "float8_e4m3fn float8_e5m2",
        "no kernel of Paddle's computes with them",
    ),
    (
        "bilinear_interp interp_antialias linear_interp nearest_interp trilinear_interp",
        "uint8",
        "only floats are resized so far",
    ),
    ("nearest_interp", "int32 int64", "only floats are resized so far"),
    ("unpool unpool3d unpool_grad unpool3d_grad", "int64", "rare"),
    ("roi_align roi_align_grad", "int32", "images of integers are not averaged"),
    ("embedding", "int8", "quantised weights come with their layers"),
)


def listed_kernels() -> set[str]:
    """Names in KERNELS, without their gradients."""
    return {name for names in KERNELS.values() for name in names.split()}


def gpu_only_kernels() -> set[str]:
    """Names in GPU_ONLY, as Paddle's functions have them."""
    return {name for names in GPU_ONLY.values() for name in names.split()}


def is_listed(kernel: str) -> bool:
    """Whether KERNELS has the kernel, or what it is the gradient of."""
    return bool(
        {kernel, kernel[: -len("_grad")] if kernel.endswith("_grad") else kernel} & listed_kernels()
    )


def is_out_of_scope(kernel: str) -> bool:
    """Whether a pattern of OUT_OF_SCOPE fits."""
    return any(re.fullmatch(pattern, kernel) for pattern in OUT_OF_SCOPE)


def listed_dtypes() -> set[tuple[str, str]]:
    """(kernel, dtype) of DTYPES."""
    return {
        (k, d) for kernels, dtypes, _ in DTYPES for k in kernels.split() for d in dtypes.split()
    }
