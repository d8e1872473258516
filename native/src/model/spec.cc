#include "conclave/model/spec.h"

namespace conclave {

int64_t TensorRef::elements() const {
  int64_t count = 1;
  for (const int64_t length : shape) count *= length;
  return count;
}

uint64_t TensorRef::bytes() const { return static_cast<uint64_t>(elements()) * ElementBytes(type); }

FfnSpec ExpertTable::Expert(int id) const {
  FfnSpec own = expert;
  LinearSpec* const linears[] = {&own.gate, &own.up, &own.down};
  const auto place = [id](TensorRef& tensor, const TensorPlaces& column) {
    const auto e = static_cast<size_t>(id);
    tensor.file = column.files[e];
    tensor.offset = column.offsets[e];
    tensor.type = column.types[e];
    const size_t mark = tensor.name.find("{}");
    if (mark != std::string::npos) tensor.name.replace(mark, 2, std::to_string(id));
  };
  for (size_t i = 0; i < places.size(); ++i) {
    place(linears[i]->weight.data, places[i]);
    if (linears[i]->bias) place(*linears[i]->bias, biases[i]);
  }
  return own;
}

}  // namespace conclave
