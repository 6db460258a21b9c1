// Products of matrices. MPSGraph multiplies floats only, is right only up to certain sizes (workarounds.def), and does
// not say in what precision it sums; so:
//
//   float16, bfloat16   as float32 between casts
//   integers            digit by digit, in products of floats that stay exact: see digits() in matmul.cc
//   batches             merged into one axis; a batch of matrices times one matrix is one taller matrix
//   long inner axes     in pieces that are added up
//   wide results        before macOS 14.4 in pieces that are put together
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

Value matrix_multiplication(Builder& b, Value x, Value y);

}  // namespace mps::legal
