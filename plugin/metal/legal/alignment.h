// Alignments of texts and frames: all states of a frame are computed at once, one frame after the other.
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

Value ctc_alignment(Builder& b, Value scores, Value skips, Value frames, Value states);

}  // namespace mps::legal
