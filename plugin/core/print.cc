#include "plugin/core/print.h"

namespace mps {

std::string to_string(const Graph& graph) {
  std::string text;
  for (uint32_t i = 0; i < graph.node_count(); ++i) {
    const Node& node = graph.node(i);
    text += "%" + std::to_string(i) + " = " + info(node.kind).name;
    for (int64_t operand : graph.operands(node)) text += " %" + std::to_string(operand);
    text += std::string(" : ") + name(node.dtype) + to_string(graph.shape(node));
    if (node.attribute_count != 0) {
      std::string attributes = to_string(graph.attributes(node));
      attributes.front() = '{';
      attributes.back() = '}';
      text += " " + attributes;
    }
    text += "\n";
  }
  text += "return";
  for (uint32_t result : graph.results()) text += " %" + std::to_string(result);
  return text + "\n";
}

}  // namespace mps
