#include "conclave/model/slicing.h"

#include "conclave/base/message.h"

namespace conclave {

Range SliceRange(int64_t width, int64_t begin, int64_t end, int64_t parts) {
  const int64_t group = width % 32 == 0 && width / 32 >= parts ? 32 : 1;
  const int64_t groups = width / group;
  return {groups * begin / parts * group, groups * end / parts * group};
}

void ValidateRankSlice(const ModelSpec& spec, const RankSlice& slice) {
  const auto layers = static_cast<int>(spec.layers.size());
  if (slice.first_layer < 0 || slice.end_layer > layers || slice.first_layer >= slice.end_layer) {
    Fail(ErrorCode::kInvalidArgument, "firstLayer, endLayer: expected a range within the ", layers,
         " layers, got [", slice.first_layer, ", ", slice.end_layer, ")");
  }
  if (slice.ffn_parts < 1 || slice.ffn_begin < 0 || slice.ffn_begin > slice.ffn_end ||
      slice.ffn_end > slice.ffn_parts) {
    Fail(ErrorCode::kInvalidArgument,
         "ffnBegin, ffnEnd, ffnParts: expected 0 <= begin <= end <= parts, got ", slice.ffn_begin,
         ", ", slice.ffn_end, ", ", slice.ffn_parts);
  }
  for (int layer = slice.first_layer; layer < slice.end_layer; ++layer) {
    const AttentionSpec& attention = spec.layers[layer].attention;
    if (slice.first_kv_head < 0 || slice.first_kv_head >= slice.end_kv_head ||
        slice.end_kv_head > attention.kv_heads) {
      Fail(ErrorCode::kInvalidArgument, "firstKvHead, endKvHead: expected a range within the ",
           attention.kv_heads, " key/value heads of layer ", layer, ", got [", slice.first_kv_head,
           ", ", slice.end_kv_head, ")");
    }
    const bool whole = slice.end_kv_head - slice.first_kv_head == attention.kv_heads;
    if (!whole && attention.qk_norm == QkNorm::kFullWidth &&
        (attention.q_norm || attention.k_norm)) {
      Fail(ErrorCode::kUnsupported, "layer ", layer,
           ": a slice of the heads cannot compute query and key norms over all heads; ",
           "use tensor parallel size 1 for attention");
    }
  }
}

bool HoldsEverything(const ModelSpec& spec, const RankSlice& slice) {
  for (int layer = slice.first_layer; layer < slice.end_layer; ++layer) {
    if (slice.end_kv_head - slice.first_kv_head != spec.layers[layer].attention.kv_heads)
      return false;
  }
  return slice.ffn_begin == 0 && slice.ffn_end == slice.ffn_parts;
}

}  // namespace conclave
