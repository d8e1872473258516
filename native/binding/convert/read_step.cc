#include "binding/convert/read_step.h"

#include "binding/convert/read.h"
#include "binding/convert/read_token_mask.h"
#include "conclave/base/error.h"

namespace conclave::binding {
namespace {

constexpr int64_t kMaxInt32 = (int64_t{1} << 31) - 1;

Sampling ReadSampling(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  Sampling sampling;
  sampling.temperature = fields.Float("temperature");
  sampling.top_k = static_cast<int>(fields.Integer("topK", 0, kMaxInt32));
  sampling.top_p = fields.Float("topP");
  sampling.min_p = fields.Float("minP");
  sampling.repetition_penalty = fields.Float("repetitionPenalty");
  sampling.presence_penalty = fields.Float("presencePenalty");
  sampling.frequency_penalty = fields.Float("frequencyPenalty");
  sampling.seed = fields.Uint64("seed");
  sampling.bias_tokens = fields.Int32s("biasTokens");
  sampling.bias_values = fields.Floats("biasValues");
  return sampling;
}

// Throws unless a column of the wanted rows has one entry for each.
void CheckLength(const Fields& fields, const char* key, size_t got, size_t expected) {
  if (got != expected) {
    throw Error(ErrorCode::kInvalidArgument,
                fields.PathOf(key) + ": expected " + std::to_string(expected) +
                    " entries, one per wanted row, got " + std::to_string(got));
  }
}

std::vector<LogitsRow> ReadLogitsRows(const Fields& fields) {
  const std::vector<int32_t> rows = fields.Int32s("rows");
  const auto column = [&](const char* key) {
    std::vector<int32_t> values = fields.Int32s(key);
    CheckLength(fields, key, values.size(), rows.size());
    return values;
  };
  const std::vector<int32_t> targets = column("targets");
  const std::vector<int32_t> logprobs = column("logprobs");
  const std::vector<int32_t> positions = column("positions");
  const std::vector<int32_t> sequence_indices = column("sequenceIndices");
  std::vector<LogitsRow> wanted(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    wanted[i].row = rows[i];
    wanted[i].target = targets[i];
    wanted[i].logprobs = logprobs[i];
    wanted[i].position = positions[i];
    wanted[i].sequence_index = sequence_indices[i];
  }
  // read(row, value, path) for every entry that `needs` one; null is none.
  const auto each = [&](const char* key, const auto& needs, const auto& read) {
    const std::vector<Napi::Value> values = fields.Array(key);
    CheckLength(fields, key, values.size(), rows.size());
    for (size_t i = 0; i < values.size(); ++i) {
      if (!needs(wanted[i]) || values[i].IsNull()) continue;
      read(wanted[i], values[i], fields.PathOf(key) + "[" + std::to_string(i) + "]");
    }
  };
  each(
      "sampling", [](const LogitsRow&) { return true; },
      [](LogitsRow& row, Napi::Value value, const std::string& path) {
        row.sampling = ReadSampling(value, path);
      });
  each(
      "filters", [](const LogitsRow&) { return true; },
      [](LogitsRow& row, Napi::Value value, const std::string& path) {
        row.mask = ReadTokenMask(value, path);
      });
  // A history may be as long as the context: it is copied only for a penalty or a filter that
  // depends on it.
  each(
      "promptTokens",
      [](const LogitsRow& row) { return row.sampling && row.sampling->PenalisesPrompt(); },
      [](LogitsRow& row, Napi::Value value, const std::string& path) {
        row.prompt_tokens = ReadInt32Array(value, path);
      });
  each(
      "outputTokens",
      [](const LogitsRow& row) {
        return row.mask != nullptr || (row.sampling && row.sampling->PenalisesOutput());
      },
      [](LogitsRow& row, Napi::Value value, const std::string& path) {
        row.output_tokens = ReadInt32Array(value, path);
      });
  return wanted;
}

PartialType ReadPartialType(Napi::Value value, const std::string& path) {
  return ReadChoice<PartialType>(
      value, path,
      {{"i24", PartialType::kI24}, {"i32", PartialType::kI32}, {"f64", PartialType::kF64}});
}

}  // namespace

ActivationType ReadActivationType(Napi::Value value, const std::string& path) {
  return ReadChoice<ActivationType>(
      value, path, {{"f32", ActivationType::kF32}, {"bf16", ActivationType::kBF16}});
}

ExpertSlot ReadExpertSlot(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  return {fields.Int32("layer"), fields.Int32("expert"), fields.Int32("slice"),
          fields.Int32("slices")};
}

std::vector<ExpertSlot> ReadExpertSlots(Napi::Value value, const std::string& path) {
  std::vector<ExpertSlot> slots;
  for (const Napi::Value& slot : ReadArray(value, path)) {
    slots.push_back(ReadExpertSlot(slot, path + "[" + std::to_string(slots.size()) + "]"));
  }
  return slots;
}

ExpertRows ReadExpertRows(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  ExpertRows rows;
  rows.layer = fields.Int32("layer");
  rows.row_count = fields.Integer("rowCount", 0, kMaxInt32);
  rows.type = ReadActivationType(fields.Get("type"), fields.PathOf("type"));
  rows.rows = fields.Bytes("rows");
  rows.grid = fields.Int32s("grid");
  rows.top_k = fields.Integer("topK", 0, kMaxInt32);
  rows.topk_ids = fields.Int32s("topkIds");
  rows.topk_weights = fields.Floats("topkWeights");
  return rows;
}

ExpertRoute ReadExpertRoute(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  return {fields.Int32("slices"), fields.Int32s("offsets"), fields.Int32s("targets"),
          fields.Floats("shares")};
}

RankSlice ReadRankSlice(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  const Fields share = fields.Object("share");
  return {fields.Int32("firstLayer"),
          fields.Int32("endLayer"),
          {share.Int32("begin"), share.Int32("end"), share.Int32("parts")}};
}

CacheOptions ReadCacheOptions(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  return {fields.Integer("kvBlocks", 1, kMaxInt32), fields.Int32("blockSize"),
          fields.Integer("stateSlots", 0, kMaxInt32)};
}

StageOptions ReadStageOptions(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  StageOptions options;
  options.slice = ReadRankSlice(value, path);
  options.cache = ReadCacheOptions(value, path);
  options.rank_targets = fields.Map("rankTargets", [](Napi::Value target, const std::string& at) {
    return static_cast<int32_t>(ReadInteger(target, at, 1, kMaxInt32));
  });
  options.dispatch_type =
      ReadActivationType(fields.Get("dispatchType"), fields.PathOf("dispatchType"));
  return options;
}

SequenceRowsData ReadSequenceRows(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  return {fields.Int32s("positions"), fields.Int32s("sequenceOffsets"),
          fields.Int32s("blockTables"), fields.Int32s("blockOffsets"), fields.Int32s("stateSlots")};
}

StepBatch ReadStepBatch(Napi::Value value, const std::string& path, bool tokens, bool last) {
  const Fields fields(value, path);
  StepBatch batch;
  batch.where = ReadSequenceRows(value, path);
  if (tokens) batch.token_ids = fields.Int32s("tokenIds");
  if (fields.Has("hidden")) batch.hidden = fields.Bytes("hidden");
  if (last) batch.logits = ReadLogitsRows(fields.Object("logits"));
  return batch;
}

std::vector<PartialSum> ReadPartialSums(Napi::Value value, const std::string& path) {
  std::vector<PartialSum> partials;
  for (const Napi::Value& element : ReadArray(value, path)) {
    const Fields fields(element, path + "[" + std::to_string(partials.size()) + "]");
    partials.push_back({fields.Int32s("rowIndices"),
                        ReadPartialType(fields.Get("type"), fields.PathOf("type")),
                        fields.Bytes("partial")});
  }
  return partials;
}

}  // namespace conclave::binding
