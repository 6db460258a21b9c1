// Expands rows of nodes.def by their families, through what the includer defines and this file undefines:
//
//   MPS_UNARY_NODE(kind), MPS_BINARY_NODE(kind)  pointwise ones; binary and compare
//   MPS_WHOLE_NODE(kind)                         arg reductions, scans, positions, sorts, random numbers
//   MPS_QUANTIZED_NODE(kind)                     numbers of few bits
//   MPS_CONVOLUTION_NODE(kind), MPS_POOLING_NODE(kind)  images, gradients among them
//   MPS_ATTENTION_NODE(kind), MPS_ALIGNMENT_NODE(kind)  sequences
//   MPS_FOURIER_NODE(kind)                       spectra
//
// What is not defined, and every other family, expands to nothing. No include guard: it is meant to be included many
// times.
#ifndef MPS_UNARY_NODE
#define MPS_UNARY_NODE(kind)
#endif
#ifndef MPS_BINARY_NODE
#define MPS_BINARY_NODE(kind)
#endif
#ifndef MPS_WHOLE_NODE
#define MPS_WHOLE_NODE(kind)
#endif
#ifndef MPS_QUANTIZED_NODE
#define MPS_QUANTIZED_NODE(kind)
#endif
#ifndef MPS_CONVOLUTION_NODE
#define MPS_CONVOLUTION_NODE(kind)
#endif
#ifndef MPS_POOLING_NODE
#define MPS_POOLING_NODE(kind)
#endif
#ifndef MPS_ATTENTION_NODE
#define MPS_ATTENTION_NODE(kind)
#endif
#ifndef MPS_ALIGNMENT_NODE
#define MPS_ALIGNMENT_NODE(kind)
#endif
#ifndef MPS_FOURIER_NODE
#define MPS_FOURIER_NODE(kind)
#endif
#define MPS_NODE(kind, family, ...) MPS_NODE_##family(kind)
#define MPS_NODE_kUnary(kind) MPS_UNARY_NODE(kind)
#define MPS_NODE_kBinary(kind) MPS_BINARY_NODE(kind)
#define MPS_NODE_kCompare(kind) MPS_BINARY_NODE(kind)
#define MPS_NODE_kSource(kind)
#define MPS_NODE_kSelect(kind)
#define MPS_NODE_kCast(kind)
#define MPS_NODE_kReshape(kind)
#define MPS_NODE_kTranspose(kind)
#define MPS_NODE_kBroadcast(kind)
#define MPS_NODE_kSlice(kind)
#define MPS_NODE_kConcatenation(kind)
#define MPS_NODE_kStridedView(kind)
#define MPS_NODE_kStridedUpdate(kind)
#define MPS_NODE_kReduce(kind)
#define MPS_NODE_kArgReduce(kind) MPS_WHOLE_NODE(kind)
#define MPS_NODE_kScan(kind) MPS_WHOLE_NODE(kind)
#define MPS_NODE_kCoordinate(kind) MPS_WHOLE_NODE(kind)
#define MPS_NODE_kGather(kind) MPS_WHOLE_NODE(kind)
#define MPS_NODE_kScatter(kind) MPS_WHOLE_NODE(kind)
#define MPS_NODE_kArgSort(kind) MPS_WHOLE_NODE(kind)
#define MPS_NODE_kSearchSorted(kind) MPS_WHOLE_NODE(kind)
#define MPS_NODE_kRandom(kind) MPS_WHOLE_NODE(kind)
#define MPS_NODE_kMatmul(kind)
#define MPS_NODE_kConvolution(kind) MPS_CONVOLUTION_NODE(kind)
#define MPS_NODE_kConvolutionGradient(kind) MPS_CONVOLUTION_NODE(kind)
#define MPS_NODE_kPooling(kind) MPS_POOLING_NODE(kind)
#define MPS_NODE_kPoolingGradient(kind) MPS_POOLING_NODE(kind)
#define MPS_NODE_kAttention(kind) MPS_ATTENTION_NODE(kind)
#define MPS_NODE_kAlignment(kind) MPS_ALIGNMENT_NODE(kind)
#define MPS_NODE_kFourier(kind) MPS_FOURIER_NODE(kind)
#define MPS_NODE_kQuantized(kind) MPS_QUANTIZED_NODE(kind)
#include "plugin/core/nodes.def"
#undef MPS_NODE
#undef MPS_NODE_kUnary
#undef MPS_NODE_kBinary
#undef MPS_NODE_kCompare
#undef MPS_NODE_kSource
#undef MPS_NODE_kSelect
#undef MPS_NODE_kCast
#undef MPS_NODE_kReshape
#undef MPS_NODE_kTranspose
#undef MPS_NODE_kBroadcast
#undef MPS_NODE_kSlice
#undef MPS_NODE_kConcatenation
#undef MPS_NODE_kStridedView
#undef MPS_NODE_kStridedUpdate
#undef MPS_NODE_kReduce
#undef MPS_NODE_kArgReduce
#undef MPS_NODE_kScan
#undef MPS_NODE_kCoordinate
#undef MPS_NODE_kGather
#undef MPS_NODE_kScatter
#undef MPS_NODE_kArgSort
#undef MPS_NODE_kSearchSorted
#undef MPS_NODE_kRandom
#undef MPS_NODE_kMatmul
#undef MPS_NODE_kConvolution
#undef MPS_NODE_kConvolutionGradient
#undef MPS_NODE_kPooling
#undef MPS_NODE_kPoolingGradient
#undef MPS_NODE_kAttention
#undef MPS_NODE_kAlignment
#undef MPS_NODE_kFourier
#undef MPS_NODE_kQuantized
#undef MPS_UNARY_NODE
#undef MPS_BINARY_NODE
#undef MPS_WHOLE_NODE
#undef MPS_QUANTIZED_NODE
#undef MPS_CONVOLUTION_NODE
#undef MPS_POOLING_NODE
#undef MPS_ATTENTION_NODE
#undef MPS_ALIGNMENT_NODE
#undef MPS_FOURIER_NODE
