#include <vector>

#include "conclave/backend/backend.h"
#include "conclave/base/parallel_rows.h"

namespace conclave {

// On the host, for backends that do no better.
void Backend::Sample(const Tensor& logits, std::span<const LogitsRequest> requests,
                     std::span<LogitsResult> results) {
  std::vector<float> rows(static_cast<size_t>(logits.elements()));
  Download(logits, ActivationType::kF32,
           {reinterpret_cast<uint8_t*>(rows.data()), rows.size() * sizeof(float)});
  Synchronise();
  SampleRows(pool_, requests, rows, results);
}

}  // namespace conclave
