// What Instruments and Xcode get to see: signposts around the encoding of each piece of work and around each command
// buffer (subsystem paddle_mps; they cost next to nothing while nobody records), and, with PADDLE_MPS_CAPTURE, a GPU
// trace of some command buffers.
#pragma once

#import <Metal/Metal.h>

#include <cstdint>

namespace mps {

// The encoding of a piece, for the life of the object.
class EncodeSpan {
 public:
  explicit EncodeSpan(const char* op);
  ~EncodeSpan();
  EncodeSpan(const EncodeSpan&) = delete;
  EncodeSpan& operator=(const EncodeSpan&) = delete;

 private:
  const uint64_t id_;
};

// From the commit of a command buffer to its end; returns what the end is told.
uint64_t trace_commit(size_t pieces);
void trace_done(uint64_t id);

// Before a command buffer is opened, and after one was committed: starts and stops the capture.
void capture_before_open(id<MTLDevice> device);
void capture_after_commit();

}  // namespace mps
