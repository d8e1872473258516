#pragma once

#include "binding/convert/read.h"
#include "conclave/model/spec.h"

namespace conclave::binding {

std::optional<IndexerSpec> ReadIndexer(const Fields& parent);
// UNSPECIFIED is what the operator has otherwise.
GateFunction ReadGateFunction(const Fields& fields, GateFunction otherwise);
LinearAttentionSpec ReadLinearAttention(const Fields& fields);
ShortConvolutionSpec ReadShortConvolution(const Fields& fields);
SelectiveScanSpec ReadSelectiveScan(const Fields& fields);
CompressedAttentionSpec ReadCompressedAttention(const Fields& fields);

}  // namespace conclave::binding
