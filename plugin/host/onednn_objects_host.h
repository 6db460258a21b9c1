// What every use of oneDNN needs. libdnnl comes with Paddle and is loaded with it; only the onednn_*_host.cc files know
// it.
//
// A primitive runs on the calling thread alone (openmp_host.h). Primitives may run on several threads at once, but
// their memory objects and scratchpads may not: each run borrows a set of them, and sets are kept for the next run.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <new>

#include "oneapi/dnnl/dnnl.h"
#include "plugin/core/check.h"
#include "plugin/core/dtype.h"
#include "plugin/host/openmp_host.h"

namespace mps::onednn {

inline const char* status_text(dnnl_status_t status) {
  switch (status) {
    case dnnl_success:
      return "success";
    case dnnl_out_of_memory:
      return "out of memory";
    case dnnl_invalid_arguments:
      return "invalid arguments";
    case dnnl_unimplemented:
      return "unimplemented";
    case dnnl_last_impl_reached:
      return "last implementation reached";
    case dnnl_runtime_error:
      return "runtime error";
    case dnnl_not_required:
      return "not required";
    case dnnl_invalid_graph:
      return "invalid graph";
    case dnnl_invalid_graph_op:
      return "invalid graph operation";
    case dnnl_invalid_shape:
      return "invalid shape";
    case dnnl_invalid_data_type:
      return "invalid data type";
  }
  return "unknown status";
}

inline void check(dnnl_status_t status, const char* action) {
  MPS_CHECK(status == dnnl_success, kDevice, "oneDNN could not ", action, ": expected success, got ",
            status_text(status), ". Build with MPS_ONEDNN=OFF to do without it.");
}

// Owns one of oneDNN's handles.
template <typename T, dnnl_status_t (*destroy)(T)>
class Handle {
 public:
  Handle() = default;
  ~Handle() {
    if (handle_ != nullptr) destroy(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator T() const { return handle_; }
  T* out() { return &handle_; }

 private:
  T handle_ = nullptr;
};

using Primitive = Handle<dnnl_primitive_t, dnnl_primitive_destroy>;
using PrimitiveDesc = Handle<dnnl_primitive_desc_t, dnnl_primitive_desc_destroy>;
using MemoryDesc = Handle<dnnl_memory_desc_t, dnnl_memory_desc_destroy>;
using Attributes = Handle<dnnl_primitive_attr_t, dnnl_primitive_attr_destroy>;
using DnnlMemory = Handle<dnnl_memory_t, dnnl_memory_destroy>;
using DnnlStream = Handle<dnnl_stream_t, dnnl_stream_destroy>;

// One for the process, never destroyed: primitives may outlive static destructors.
inline dnnl_engine_t engine() {
  static const dnnl_engine_t instance = [] {
    dnnl_engine_t created = nullptr;
    check(dnnl_engine_create(&created, dnnl_cpu, 0), "open the CPU");
    return created;
  }();
  return instance;
}

inline dnnl_data_type_t data_type(DType dtype) {
  if (dtype == DType::float32) return dnnl_f32;
  if (dtype == DType::bfloat16) return dnnl_bf16;
  if (dtype == DType::float16) return dnnl_f16;
  return dnnl_data_type_undef;
}

struct AlignedDelete {
  void operator()(char* data) const { ::operator delete(data, std::align_val_t{64}); }
};

using Scratch = std::unique_ptr<char, AlignedDelete>;

inline Scratch allocate(size_t bytes) {
  return Scratch(bytes == 0 ? nullptr : static_cast<char*>(::operator new(bytes, std::align_val_t{64})));
}

// Memory of the calling thread, for as long as a primitive runs on it. Every thread keeps what it needed most: for
// primitives that want much, of which a program has many.
inline char* thread_scratch(size_t bytes) {
  thread_local Scratch scratch;
  thread_local size_t size = 0;
  if (bytes > size) {
    size = 0;
    scratch.reset();
    scratch = allocate(bytes);
    size = bytes;
  }
  return scratch.get();
}

// Objects that one run at a time may use, kept for later runs.
template <typename Objects>
class Kept {
 public:
  ~Kept() {
    for (auto& kept : kept_) delete kept.load();
  }
  // Null if there are none to spare.
  std::unique_ptr<Objects> borrow() {
    for (auto& kept : kept_) {
      if (kept.load(std::memory_order_relaxed) == nullptr) continue;
      if (Objects* const objects = kept.exchange(nullptr)) return std::unique_ptr<Objects>(objects);
    }
    return nullptr;
  }
  void give_back(std::unique_ptr<Objects> objects) {
    for (auto& kept : kept_) {
      Objects* none = nullptr;
      if (kept.compare_exchange_strong(none, objects.get())) {
        objects.release();
        return;
      }
    }
  }

 private:
  std::atomic<Objects*> kept_[4] = {};
};

}  // namespace mps::onednn
