#include "python/paddle_mps/_C/stacks.h"

#include <frameobject.h>
#include <pthread.h>

#include <atomic>
#include <new>
#include <unordered_map>
#include <vector>

namespace mps::python {
namespace {

namespace py = pybind11;

constexpr size_t kMostFrames = 256;             // of a deeper stack the innermost
constexpr size_t kMostNodes = size_t{1} << 18;  // about 20 MB
constexpr uint32_t kRoot = UINT32_MAX;

std::atomic<bool> g_on{false};

// A place in the program: an instruction of a piece of code. Its line is looked up when somebody asks.
struct Spot {
  PyCodeObject* code;
  int instruction;
  friend bool operator==(const Spot& a, const Spot& b) { return a.code == b.code && a.instruction == b.instruction; }
};

struct Edge {
  uint32_t from;
  Spot to;
  friend bool operator==(const Edge& a, const Edge& b) { return a.from == b.from && a.to == b.to; }
};

struct EdgeHash {
  size_t operator()(const Edge& edge) const {
    uint64_t hash = reinterpret_cast<uintptr_t>(edge.to.code) >> 4;
    hash = (hash ^ static_cast<uint32_t>(edge.to.instruction)) * 0x9E3779B97F4A7C15u;  // the golden ratio's bits
    hash = (hash ^ edge.from) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
  }
};

class Tree {
 public:
  // The node of a stack, its outermost frame first; kRoot if not even that one has room.
  uint32_t node_of(const Spot* first, const Spot* last) {
    size_t depth = 0;
    uint32_t node = kRoot;
    // Mostly a stack begins as the one before it did.
    for (; first != last && depth < path_.size() && path_[depth].spot == *first; ++first) node = path_[depth++].node;
    path_.resize(depth);
    for (; first != last; ++first) {
      const uint32_t child = child_of(node, *first);
      if (child == kRoot) break;
      node = child;
      path_.push_back({node, *first});
    }
    return node;
  }

  // Owned references go to whoever calls.
  std::vector<Edge> clear() {
    std::vector<Edge> nodes;
    nodes.swap(nodes_);
    children_.clear();
    path_.clear();
    return nodes;
  }

  const std::vector<Edge>& nodes() const { return nodes_; }

 private:
  struct Step {
    uint32_t node;
    Spot spot;
  };

  uint32_t child_of(uint32_t node, Spot spot) {
    const Edge edge = {node, spot};
    const auto found = children_.find(edge);
    if (found != children_.end()) return found->second;
    if (nodes_.size() == kMostNodes) return kRoot;
    const auto child = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back(edge);
    try {
      children_.emplace(edge, child);
    } catch (...) {
      nodes_.pop_back();
      throw;
    }
    Py_INCREF(spot.code);  // so that no other code ever has its address
    return child;
  }

  std::vector<Edge> nodes_;  // the parent of each, and what it is
  std::unordered_map<Edge, uint32_t, EdgeHash> children_;
  std::vector<Step> path_;  // of the last stack
};

// Never destroyed: numbers are asked for until the process is gone.
Tree& tree() {
  static auto* const instance = new Tree;
  return *instance;
}
uint64_t g_first_number = 1;  // of node 0

bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

int instruction_of(PyFrameObject* frame) {
#if PY_VERSION_HEX >= 0x030B0000
  return PyFrame_GetLasti(frame);
#elif PY_VERSION_HEX >= 0x030A0000
  return frame->f_lasti * 2;  // counted in instructions of two bytes in 3.10 alone
#else
  return frame->f_lasti;
#endif
}

// Python 3.11 makes objects of frames only when they are looked at, and may collect garbage for each: then the
// program's own code would run in the middle of an allocation.
class NoGarbageCollection {
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
 public:
  NoGarbageCollection() : was_on_(PyGC_Disable()) {}
  ~NoGarbageCollection() {
    if (was_on_) PyGC_Enable();
  }

 private:
  const bool was_on_;
#else
 public:
  NoGarbageCollection() {}
#endif
};

// Holds Python's lock.
uint64_t number_of_stack(PyThreadState* thread) {
  const py::error_scope error_in_flight;  // a tensor may be freed by an exception on its way
  const NoGarbageCollection none;
  Spot spots[kMostFrames];  // from the end, so that the outermost comes first
  Spot* first = spots + kMostFrames;
  PyFrameObject* frame = PyThreadState_GetFrame(thread);
  while (frame != nullptr && first != spots) {
    *--first = {PyFrame_GetCode(frame), instruction_of(frame)};
    PyFrameObject* const caller = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = caller;
  }
  Py_XDECREF(frame);
  uint32_t node = kRoot;
  try {
    node = tree().node_of(first, spots + kMostFrames);
  } catch (const std::bad_alloc&) {  // no memory for a new stack: it has no number
  }
  for (; first != spots + kMostFrames; ++first) Py_DECREF(first->code);
  return node == kRoot ? kNoStack : g_first_number + node;
}

uint64_t stack_of_this_thread(bool may_wait) {
  if (!g_on.load(std::memory_order_relaxed) || Py_IsInitialized() == 0 || is_finalizing()) return kNoStack;
  PyThreadState* const thread = PyGILState_GetThisThreadState();
  if (thread == nullptr) return kNoStack;
  const bool is_held = PyGILState_Check() != 0;
  if (!is_held && !may_wait) return kNoStack;
  // What is looked at here may itself allocate and free.
  static thread_local bool looking = false;
  if (looking) return kNoStack;
  looking = true;
  const PyGILState_STATE lock = is_held ? PyGILState_LOCKED : PyGILState_Ensure();
  const uint64_t number = number_of_stack(thread);
  if (!is_held) PyGILState_Release(lock);
  looking = false;
  return number;
}

}  // namespace

uint64_t current_stack() { return stack_of_this_thread(true); }
uint64_t current_stack_without_waiting() { return stack_of_this_thread(false); }

void switch_stacks_on() {
  // In a forked child Python's lock and the tree may have been caught in the middle of something.
  static const int registered = pthread_atfork(nullptr, nullptr, switch_stacks_off);
  if (registered != 0) throw std::bad_alloc();
  g_on.store(true);
}

void switch_stacks_off() { g_on.store(false); }

void forget_stacks() {
  const std::vector<Edge> nodes = tree().clear();
  g_first_number += nodes.size();
  for (const Edge& node : nodes) Py_DECREF(node.to.code);
}

py::object frames_of(uint64_t stack) {
  const std::vector<Edge>& nodes = tree().nodes();
  if (stack < g_first_number || stack - g_first_number >= nodes.size()) return py::none();
  py::list frames;
  for (auto node = static_cast<uint32_t>(stack - g_first_number); node != kRoot; node = nodes[node].from) {
    const auto [code, instruction] = nodes[node].to;
    const auto object = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(code));
    const char* const name = py::hasattr(object, "co_qualname") ? "co_qualname" : "co_name";  // new in 3.11
    frames.append(py::make_tuple(object.attr("co_filename"), PyCode_Addr2Line(code, instruction), object.attr(name)));
  }
  return frames;
}

size_t frames_in_tree() { return tree().nodes().size(); }

}  // namespace mps::python
