// oneDNN's matrix products. libdnnl comes with Paddle and is loaded with it; this file is the only one that knows it.
//
// A primitive runs on the calling thread alone (openmp_host.h). Primitives may run on several threads at once, but
// their memory objects and scratchpads may not: each run borrows a set of them, and sets are kept for the next run.
#include <memory>

#include "plugin/core/check.h"
#include "plugin/host/matmul_kernel_host.h"

#if !defined(MPS_HAS_ONEDNN)

namespace mps {

std::unique_ptr<MatmulKernel> make_onednn_matmul(DType, const MatmulGeometry&) { return nullptr; }

}  // namespace mps

#else

#include <atomic>
#include <cstring>
#include <new>

#include "oneapi/dnnl/dnnl.h"
#include "plugin/host/openmp_host.h"

namespace mps {
namespace {

const char* status_text(dnnl_status_t status) {
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

void check(dnnl_status_t status, const char* action) {
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
dnnl_engine_t engine() {
  static const dnnl_engine_t instance = [] {
    dnnl_engine_t created = nullptr;
    check(dnnl_engine_create(&created, dnnl_cpu, 0), "open the CPU");
    return created;
  }();
  return instance;
}

dnnl_data_type_t data_type(DType dtype) {
  if (dtype == DType::float32) return dnnl_f32;
  if (dtype == DType::bfloat16) return dnnl_bf16;
  if (dtype == DType::float16) return dnnl_f16;
  return dnnl_data_type_undef;
}

struct AlignedDelete {
  void operator()(char* data) const { ::operator delete(data, std::align_val_t{64}); }
};

class OneDnnMatmul final : public MatmulKernel {
 public:
  OneDnnMatmul(DType dtype, const MatmulGeometry& geometry) {
    const dnnl_data_type_t type = data_type(dtype);
    describe(x_, type, geometry.x_batch == 0 ? 1 : geometry.batch, geometry.rows, geometry.inner, geometry.x_batch,
             geometry.x_row, geometry.x_inner);
    describe(y_, type, geometry.y_batch == 0 ? 1 : geometry.batch, geometry.inner, geometry.columns, geometry.y_batch,
             geometry.y_inner, geometry.y_column);
    describe(to_, type, geometry.batch, geometry.rows, geometry.columns, geometry.to_batch, geometry.to_row, 1);
    Attributes attributes;
    check(dnnl_primitive_attr_create(attributes.out()), "create attributes");
    check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user), "set an attribute");
    const dnnl_status_t status =
        dnnl_matmul_primitive_desc_create(description_.out(), engine(), x_, y_, nullptr, to_, attributes);
    if (status == dnnl_unimplemented) return;
    check(status, "describe a matrix product");
    const char* implementation = nullptr;
    check(dnnl_primitive_desc_query(description_, dnnl_query_impl_info_str, 0, &implementation), "name its kernel");
    if (std::strncmp(implementation, "ref", 3) == 0) return;  // oneDNN's own plain loops are slower than ours
    scratchpad_ = dnnl_primitive_desc_query_md(description_, dnnl_query_scratchpad_md, 0);
    scratchpad_bytes_ = dnnl_memory_desc_get_size(scratchpad_);
    check(dnnl_primitive_create(primitive_.out(), description_), "create a matrix product");
  }

  ~OneDnnMatmul() override {
    for (auto& kept : kept_) delete kept.load();
  }

  bool usable() const { return primitive_ != nullptr; }

  // Code that oneDNN generates, and one set of objects.
  size_t bytes() const override { return sizeof *this + (16 << 10) + scratchpad_bytes_; }

  void run(const void* x, const void* y, void* to) const override {
    std::unique_ptr<Objects> objects = borrow();
    check(dnnl_memory_set_data_handle(objects->x, const_cast<void*>(x)), "bind an operand");
    check(dnnl_memory_set_data_handle(objects->y, const_cast<void*>(y)), "bind an operand");
    check(dnnl_memory_set_data_handle(objects->to, to), "bind the result");
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, objects->x},
                                         {DNNL_ARG_WEIGHTS, objects->y},
                                         {DNNL_ARG_DST, objects->to},
                                         {DNNL_ARG_SCRATCHPAD, objects->scratchpad}};
    {
      SingleOpenMpThread alone;
      check(dnnl_primitive_execute(primitive_, objects->stream, 4, arguments), "multiply matrices");
    }
    give_back(std::move(objects));
  }

 private:
  struct Objects {
    DnnlMemory x, y, to, scratchpad;
    DnnlStream stream;
    std::unique_ptr<char, AlignedDelete> scratch;
  };

  static void describe(MemoryDesc& description, dnnl_data_type_t type, int64_t batch, int64_t rows, int64_t columns,
                       int64_t batch_stride, int64_t row_stride, int64_t column_stride) {
    const dnnl_dims_t dims = {batch, rows, columns};
    // A stride that is never used must still look like one.
    const dnnl_dims_t strides = {batch == 1 ? rows * columns : batch_stride, rows == 1 ? columns : row_stride,
                                 column_stride};
    check(dnnl_memory_desc_create_with_strides(description.out(), 3, dims, type, strides), "describe a matrix");
  }

  std::unique_ptr<Objects> borrow() const {
    for (auto& kept : kept_) {
      if (kept.load(std::memory_order_relaxed) == nullptr) continue;
      if (Objects* const objects = kept.exchange(nullptr)) return std::unique_ptr<Objects>(objects);
    }
    auto objects = std::make_unique<Objects>();
    check(dnnl_memory_create(objects->x.out(), x_, engine(), DNNL_MEMORY_NONE), "create a memory object");
    check(dnnl_memory_create(objects->y.out(), y_, engine(), DNNL_MEMORY_NONE), "create a memory object");
    check(dnnl_memory_create(objects->to.out(), to_, engine(), DNNL_MEMORY_NONE), "create a memory object");
    check(dnnl_stream_create(objects->stream.out(), engine(), dnnl_stream_default_flags), "create a stream");
    if (scratchpad_bytes_ != 0) {
      objects->scratch.reset(static_cast<char*>(::operator new(scratchpad_bytes_, std::align_val_t{64})));
    }
    check(dnnl_memory_create(objects->scratchpad.out(), scratchpad_, engine(),
                             scratchpad_bytes_ != 0 ? objects->scratch.get() : DNNL_MEMORY_NONE),
          "create a memory object");
    return objects;
  }

  void give_back(std::unique_ptr<Objects> objects) const {
    for (auto& kept : kept_) {
      Objects* none = nullptr;
      if (kept.compare_exchange_strong(none, objects.get())) {
        objects.release();
        return;
      }
    }
  }

  MemoryDesc x_, y_, to_;
  PrimitiveDesc description_;
  Primitive primitive_;
  const_dnnl_memory_desc_t scratchpad_ = nullptr;  // belongs to description_
  size_t scratchpad_bytes_ = 0;
  mutable std::atomic<Objects*> kept_[4] = {};
};

}  // namespace

std::unique_ptr<MatmulKernel> make_onednn_matmul(DType dtype, const MatmulGeometry& geometry) {
  if (!is_float(dtype)) return nullptr;
  SingleOpenMpThread alone;
  auto kernel = std::make_unique<OneDnnMatmul>(dtype, geometry);
  if (!kernel->usable()) return nullptr;
  return kernel;
}

}  // namespace mps

#endif
