// Discrete Fourier transforms, as nodes have them (graph.h).
#pragma once

#include <cstring>

#include "plugin/core/shape.h"

namespace mps {

struct Fourier {
  bool inverse = false;  // the exponents are positive; nothing is divided by the length
  double scale = 1;      // by which the result is multiplied
  int64_t length = 0;    // of the lines, as complex or as real numbers

  // As they stand in a node, and back.
  Ints attributes() const {
    int64_t bits;
    std::memcpy(&bits, &scale, sizeof bits);
    return {int64_t{inverse}, bits, length};
  }
  static Fourier of(Dims attributes) {
    Fourier fourier;
    fourier.inverse = attributes[0] != 0;
    std::memcpy(&fourier.scale, &attributes[1], sizeof fourier.scale);
    fourier.length = attributes[2];
    return fourier;
  }
};

}  // namespace mps
