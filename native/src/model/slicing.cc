#include "conclave/model/slicing.h"

#include "conclave/base/message.h"

namespace conclave {

Range SliceRange(int64_t width, int64_t begin, int64_t end, int64_t parts) {
  const int64_t group = width % 32 == 0 && width / 32 >= parts ? 32 : 1;
  const int64_t groups = width / group;
  return {groups * begin / parts * group, groups * end / parts * group};
}

Range Share::Heads(int count) const {
  return {int64_t{count} * begin / parts, int64_t{count} * end / parts};
}

Range Share::Width(int64_t width) const { return SliceRange(width, begin, end, parts); }

void ValidateRankSlice(const ModelSpec& spec, const RankSlice& slice) {
  const auto layers = static_cast<int>(spec.layers.size());
  if (slice.first_layer < 0 || slice.end_layer > layers || slice.first_layer >= slice.end_layer) {
    Fail(ErrorCode::kInvalidArgument, "firstLayer, endLayer: expected a range within the ", layers,
         " layers, got [", slice.first_layer, ", ", slice.end_layer, ")");
  }
  for (const int border : {slice.first_layer, slice.end_layer}) {
    if (border == layers || !spec.layers[border].with_previous) continue;
    Fail(ErrorCode::kInvalidArgument, "firstLayer, endLayer: layer ", border,
         " reads what earlier layers left, so that it is where layer ", border - 1, " is");
  }
  const Share& share = slice.share;
  if (share.parts < 1 || share.begin < 0 || share.begin >= share.end || share.end > share.parts) {
    Fail(ErrorCode::kInvalidArgument, "share: expected 0 <= begin < end <= parts, got ",
         share.begin, ", ", share.end, ", ", share.parts);
  }
  for (int layer = slice.first_layer; layer < slice.end_layer; ++layer) {
    if (HoldsEverything(slice)) continue;
    const auto need_heads = [&](int heads, const char* kind) {
      if (share.Heads(heads).size() > 0) return;
      Fail(ErrorCode::kInvalidArgument, "share: [", share.begin, ", ", share.end, ") of ",
           share.parts, " parts has none of the ", heads, kind, " of layer ", layer);
    };
    if (const auto* sum = spec.layers[layer].Find<RunningSumSpec>())
      need_heads(sum->heads, " heads");
    if (const auto* convolution = spec.layers[layer].Find<ShortConvolutionSpec>())
      need_heads(static_cast<int>(convolution->width()), " columns");
    if (spec.layers[layer].Find<SelectiveScanSpec>() != nullptr) {
      Fail(ErrorCode::kUnsupported, "layer ", layer, ": a slice of a selective scan's columns ",
           "cannot compute its steps; use tensor parallel size 1 for attention");
    }
    if (const auto* compressed = spec.layers[layer].Find<CompressedAttentionSpec>())
      need_heads(compressed->groups, " groups of heads");
    if (const auto* mla = spec.layers[layer].Find<MlaSpec>()) {
      need_heads(mla->heads, " heads");
      if (mla->shares_selection) {
        Fail(ErrorCode::kUnsupported, "layer ", layer,
             ": a slice of the heads has no selection of ",
             "positions from another layer; use tensor parallel size 1 for attention");
      }
    }
    if (const auto* linear = spec.layers[layer].Find<LinearAttentionSpec>()) {
      need_heads(linear->heads.key_heads, " key heads");
      if (linear->value_heads_per_key() % linear->norm_heads != 0) {
        Fail(ErrorCode::kUnsupported, "layer ", layer,
             ": a slice of the heads cannot compute a norm over ", linear->norm_heads, " heads; ",
             "use tensor parallel size 1 for attention");
      }
    }
    const GqaSpec* gqa = spec.layers[layer].Find<GqaSpec>();
    if (gqa == nullptr) continue;
    need_heads(gqa->heads.kv_heads, " key/value heads");
    if (gqa->indexer && gqa->indexer->selectors() != gqa->heads.kv_heads) {
      Fail(ErrorCode::kUnsupported, "layer ", layer, ": a slice of the heads cannot select ",
           "positions with ", gqa->indexer->selectors(), " index heads for ", gqa->heads.kv_heads,
           " key/value heads; use tensor parallel size 1 for attention");
    }
    if (gqa->qk_norm == QkNorm::kFullWidth && (gqa->q_norm || gqa->k_norm)) {
      Fail(ErrorCode::kUnsupported, "layer ", layer,
           ": a slice of the heads cannot compute query and key norms over all heads; ",
           "use tensor parallel size 1 for attention");
    }
  }
}

bool HoldsEverything(const RankSlice& slice) {
  return slice.share.begin == 0 && slice.share.end == slice.share.parts;
}

}  // namespace conclave
