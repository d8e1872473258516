#include "conclave/model/spec.h"

namespace conclave {

int64_t TensorRef::elements() const {
  int64_t count = 1;
  for (const int64_t length : shape) count *= length;
  return count;
}

uint64_t TensorRef::bytes() const { return static_cast<uint64_t>(elements()) * ElementBytes(type); }

uint64_t MatrixSpec::bytes() const {
  const auto elements = static_cast<uint64_t>(rows() * cols());
  if (!codes) return elements * ElementBytes(data.type);
  uint64_t all = data.bytes();
  for (const auto* part : {&codes->scales, &codes->zeros, &codes->group_index})
    all += *part ? (*part)->bytes() : 0;
  return all / static_cast<uint64_t>(codes->rows) * static_cast<uint64_t>(rows());
}

bool OperatorSpec::mixes() const {
  return !std::holds_alternative<DenseSpec>(kind) && !std::holds_alternative<MoeSpec>(kind) &&
         !std::holds_alternative<TokenInputSpec>(kind);
}

BlockSize SizeOf(BlockType type) {
  constexpr BlockSize kSizes[] = {{32, 18},  {32, 20},   {32, 22},   {32, 24},   {32, 34},
                                  {256, 84}, {256, 110}, {256, 144}, {256, 176}, {256, 210},
                                  {32, 18},  {256, 136}, {32, 17}};
  return kSizes[static_cast<size_t>(type)];
}

std::vector<TensorRef*> TensorsOf(FfnSpec& ffn) {
  std::vector<TensorRef*> tensors;
  const auto add = [&](std::optional<TensorRef>& tensor) {
    if (tensor) tensors.push_back(&*tensor);
  };
  for (LinearSpec* linear : {ffn.gate ? &*ffn.gate : nullptr, &ffn.up, &ffn.down}) {
    if (linear == nullptr) continue;
    tensors.push_back(&linear->weight.data);
    if (linear->weight.codes) {
      MatrixCodes& codes = *linear->weight.codes;
      for (auto* part : {&codes.scales, &codes.zeros, &codes.group_index, &codes.global_scale})
        add(*part);
    }
    add(linear->bias);
  }
  return tensors;
}

FfnSpec ExpertTable::Expert(int id) const {
  FfnSpec own = expert;
  const auto e = static_cast<size_t>(id);
  size_t column = 0;
  for (TensorRef* tensor : TensorsOf(own)) {
    const TensorPlaces& at = places[column++];
    tensor->file = at.files[e];
    tensor->offset = at.offsets[e];
    tensor->type = at.types[e];
    const size_t mark = tensor->name.find("{}");
    if (mark != std::string::npos) tensor->name.replace(mark, 2, std::to_string(id));
  }
  return own;
}

}  // namespace conclave
