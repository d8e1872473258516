#include "conclave/engine/operators/recurrent/convolution.h"

#include <vector>

namespace conclave {

Convolution::Convolution(TensorLoader& loader, const ConvolutionSpec& spec, Range columns)
    : bias(loader.Vector(spec.bias, columns)) {
  const std::vector<float> stored = loader.Floats(spec.taps, columns);
  const auto count = static_cast<size_t>(spec.count());
  const size_t width = stored.size() / count;
  std::vector<float> turned(stored.size());
  for (size_t column = 0; column < width; ++column)
    for (size_t tap = 0; tap < count; ++tap)
      turned[tap * width + column] = stored[column * count + tap];
  taps = loader.backend().Store(std::move(turned));
}

}  // namespace conclave
