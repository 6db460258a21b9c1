#include "tests/apple_double/mpsgraph/program.h"

#include <cstring>

namespace apple_double {
namespace {

constexpr uint64_t kMagic = 0x3230656C62756F64;  // "double02"

class Writer {
 public:
  template <typename T>
  void number(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <typename List>
  void list(const List& list) {
    number<uint64_t>(list.size());
    text_.append(reinterpret_cast<const char*>(list.data()), list.size() * sizeof(*list.data()));
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}
  template <typename T>
  bool number(T* value) {
    if (text_.size() - at_ < sizeof *value) return false;
    std::memcpy(value, text_.data() + at_, sizeof *value);
    at_ += sizeof *value;
    return true;
  }
  template <typename List>
  bool list(List* list) {
    using T = std::remove_cv_t<std::remove_reference_t<decltype(*list->begin())>>;
    uint64_t count = 0;
    if (!number(&count) || count > (text_.size() - at_) / sizeof(T)) return false;
    for (uint64_t i = 0; i < count; ++i) {
      T value{};
      number(&value);
      list->push_back(value);
    }
    return true;
  }
  bool done() const { return at_ == text_.size(); }

 private:
  const std::string& text_;
  size_t at_ = 0;
};

}  // namespace

std::string Program::write() const {
  Writer out;
  out.number(kMagic);
  out.number<uint64_t>(nodes.size());
  for (const Node& node : nodes) {
    out.list(node.kernel);
    out.list(node.method);
    out.number(node.dtype);
    out.list(node.shape);
    out.list(node.operands);
    out.list(node.numbers);
    out.list(node.bytes);
    out.number(node.pointwise);
    out.number(node.is_complex);
  }
  return out.take();
}

bool Program::read(const std::string& bytes) {
  Reader in(bytes);
  uint64_t magic = 0, count = 0;
  if (!in.number(&magic) || magic != kMagic || !in.number(&count)) return false;
  nodes.clear();
  for (uint64_t i = 0; i < count; ++i) {
    Node node;
    if (!in.list(&node.kernel) || !in.list(&node.method) || !in.number(&node.dtype) || !in.list(&node.shape) ||
        !in.list(&node.operands) || !in.list(&node.numbers) || !in.list(&node.bytes) || !in.number(&node.pointwise) ||
        !in.number(&node.is_complex)) {
      return false;
    }
    nodes.push_back(std::move(node));
  }
  return in.done();
}

std::string describe(DType dtype, Dims shape) { return mps::name(dtype) + mps::to_string(shape); }

std::vector<bool> needed(const Program& program, const std::vector<uint32_t>& targets) {
  std::vector<bool> needed(program.nodes.size(), false);
  for (uint32_t target : targets) needed[target] = true;
  for (size_t i = program.nodes.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (uint32_t operand : program.nodes[i].operands) needed[operand] = true;
  }
  return needed;
}

}  // namespace apple_double
