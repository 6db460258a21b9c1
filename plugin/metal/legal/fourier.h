// Fourier transforms: by MPSGraph's methods, which are macOS 14's, and before that as products of matrices.
//
// The scheme of the products is the mixed-radix one of Cooley and Tukey, whose factors of up to 64 make it a few of
// them with twiddle factors in between; prime factors to 256 are one product each, and what is left over is a
// convolution with a chirp (Bluestein, "A linear filtering approach to the computation of the discrete Fourier
// transform", 1970).
//
// The graph has no table of constants: each factor is calculated in it, from an angle of at most pi / 4 that is reduced
// exactly in integers, so that it is off by 1e-7 at most, as one rounded to float32 is by 3e-8. That is as much work as
// one transform of a single line, and shared by all lines. Against a transform in float64 the result is off by some
// 2e-7 of its norm (with chirps 5e-7).
#pragma once

#include "plugin/core/graph.h"
#include "plugin/metal/legal/target.h"

namespace mps::legal {

bool has_fourier(const Graph& graph);

// The graph with what is legal in the place of such nodes: others, and those of them that are one method each, with a
// scale of 1 and, where they take real numbers, negative exponents.
Graph lower_fourier(const Graph& graph, Target target);

}  // namespace mps::legal
