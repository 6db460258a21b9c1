// What a device's memory holds and what happened to it, as rows for Python. Rows are copied while memory is locked, and
// turned into Python's objects afterwards.
#include <pybind11/stl.h>

#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "python/paddle_mps/_C/plugin.h"
#include "python/paddle_mps/_C/stacks.h"

namespace mps::python {
namespace {

// (address, bytes, unit_bytes, stream, small, [(address, bytes, requested_bytes, state), ...])
py::list blocks(int32_t device) {
  struct Rows {
    std::vector<PaddleMpsArena> arenas;
    std::vector<PaddleMpsBlock> blocks;
    std::vector<size_t> first_blocks;  // of each arena
  } rows;
  call(
      exports().visit_memory, device,
      [](void* context, const PaddleMpsArena* arena) {
        auto& to = *static_cast<Rows*>(context);
        to.arenas.push_back(*arena);
        to.first_blocks.push_back(to.blocks.size());
      },
      [](void* context, const PaddleMpsBlock* block) { static_cast<Rows*>(context)->blocks.push_back(*block); },
      static_cast<void*>(&rows));
  rows.first_blocks.push_back(rows.blocks.size());
  py::list arenas;
  for (size_t i = 0; i < rows.arenas.size(); ++i) {
    py::list of_arena;
    for (size_t j = rows.first_blocks[i]; j < rows.first_blocks[i + 1]; ++j) {
      const PaddleMpsBlock& block = rows.blocks[j];
      of_arena.append(py::make_tuple(block.address, block.bytes, block.requested_bytes, block.state));
    }
    const PaddleMpsArena& arena = rows.arenas[i];
    arenas.append(
        py::make_tuple(arena.address, arena.bytes, arena.unit_bytes, arena.stream, arena.small != 0, of_arena));
  }
  return arenas;
}

// (number, time_ns, kind, stream, op, address, bytes, block_bytes, stack)
py::list memory_history(int32_t device) {
  std::vector<PaddleMpsMemoryEvent> rows;
  call(
      exports().visit_memory_history, device,
      [](void* context, const PaddleMpsMemoryEvent* event) {
        static_cast<std::vector<PaddleMpsMemoryEvent>*>(context)->push_back(*event);
      },
      static_cast<void*>(&rows));
  py::list events;
  for (const PaddleMpsMemoryEvent& row : rows) {
    events.append(py::make_tuple(row.number, row.time_ns, row.kind, row.stream, row.op, row.address, row.bytes,
                                 row.block_bytes, row.stack));
  }
  return events;
}

const char* allocator(int32_t device) {
  const char* name = nullptr;
  call(exports().allocator, device, &name);
  return name;
}

// Devices whose events may have numbers of stacks in them.
std::set<int32_t>& devices_with_stacks() {
  static auto* const instance = new std::set<int32_t>;
  return *instance;
}

void start_memory_history(int32_t device, uint64_t events, bool with_stacks) {
  // Paddle's own cache holds a lock of its own while it asks the plugin for memory, and a thread that has Python's lock
  // may be waiting for that one.
  const bool may_wait = std::string(allocator(device)) == "mps";
  const PaddleMpsStackHook hook = may_wait ? current_stack : current_stack_without_waiting;
  call(exports().stop_memory_history, device);
  devices_with_stacks().erase(device);
  if (devices_with_stacks().empty()) forget_stacks();
  if (with_stacks) {
    devices_with_stacks().insert(device);
    switch_stacks_on();
  }
  call(exports().start_memory_history, device, events, with_stacks ? hook : nullptr);
}

}  // namespace

void define_history(py::module_& m) {
  m.def("allocator", allocator, py::arg("device"));
  m.def("blocks", blocks, py::arg("device"));
  m.def("memory_history", memory_history, py::arg("device"));
  m.def("start_memory_history", start_memory_history, py::arg("device"), py::arg("events"), py::arg("with_stacks"));
  m.def("stop_memory_history", [](int32_t device) { call(exports().stop_memory_history, device); }, py::arg("device"));
  m.def("switch_stacks_off", switch_stacks_off);
  m.def("frames_of", frames_of, py::arg("stack"));
  m.def("frames_in_tree", frames_in_tree);
}

}  // namespace mps::python
