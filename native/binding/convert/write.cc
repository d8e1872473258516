#include "binding/convert/write.h"

#include <cstring>
#include <memory>

namespace conclave::binding {
namespace {

template <typename Element>
Napi::Value WriteTyped(Napi::Env env, const std::vector<Element>& values) {
  auto array = Napi::TypedArrayOf<Element>::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(Element));
  return array;
}

const char* Name(ActivationType type) { return type == ActivationType::kF32 ? "f32" : "bf16"; }

const char* Name(PartialType type) {
  return type == PartialType::kI24 ? "i24" : type == PartialType::kI32 ? "i32" : "f64";
}

Napi::Object WriteExpertRows(Napi::Env env, ExpertRows&& rows) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("layer", rows.layer);
  object.Set("rowCount", static_cast<double>(rows.row_count));
  object.Set("type", Name(rows.type));
  object.Set("rows", WriteBytes(env, std::move(rows.rows)));
  object.Set("grid", WriteTyped(env, rows.grid));
  object.Set("topK", static_cast<double>(rows.top_k));
  object.Set("topkIds", WriteTyped(env, rows.topk_ids));
  object.Set("topkWeights", WriteTyped(env, rows.topk_weights));
  return object;
}

Napi::Value Write(Napi::Env env, DispatchProgress&& progress) {
  const Napi::Array dispatches = Napi::Array::New(env, progress.dispatches.size());
  for (size_t i = 0; i < progress.dispatches.size(); ++i) {
    Dispatch& dispatch = progress.dispatches[i];
    const Napi::Object object = Napi::Object::New(env);
    object.Set("index", static_cast<double>(i));
    object.Set("target", dispatch.target);
    object.Set("rowIndices", WriteTyped(env, dispatch.row_indices));
    object.Set("dense", dispatch.dense);
    object.Set("experts", WriteExpertRows(env, std::move(dispatch.experts)));
    dispatches.Set(static_cast<uint32_t>(i), object);
  }
  const Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "dispatch");
  object.Set("step", static_cast<double>(progress.step));
  object.Set("layer", progress.layer);
  object.Set("operator", progress.op == LayerOperator::kAttention ? "attention" : "ffn");
  object.Set("dispatches", dispatches);
  return object;
}

Napi::Value Write(Napi::Env env, HiddenProgress&& progress) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "hidden");
  object.Set("hidden", WriteBytes(env, std::move(progress.hidden)));
  return object;
}

Napi::Value Write(Napi::Env env, StepOutput&& output) {
  const Napi::Object results = Napi::Object::New(env);
  results.Set("tokens", WriteTyped(env, output.tokens));
  results.Set("logprobs", WriteTyped(env, output.logprobs));
  results.Set("topOffsets", WriteTyped(env, output.top_offsets));
  results.Set("topTokens", WriteTyped(env, output.top_tokens));
  results.Set("topLogprobs", WriteTyped(env, output.top_logprobs));
  const Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "output");
  object.Set("output", results);
  return object;
}

}  // namespace

Napi::Value WriteBytes(Napi::Env env, std::vector<uint8_t>&& bytes) {
  if (bytes.empty()) return Napi::Buffer<uint8_t>::New(env, 0);
  auto owned = std::make_unique<std::vector<uint8_t>>(std::move(bytes));
  const auto buffer = Napi::Buffer<uint8_t>::NewOrCopy(
      env, owned->data(), owned->size(),
      [](Napi::Env, uint8_t*, std::vector<uint8_t>* memory) { delete memory; }, owned.get());
  owned.release();
  return buffer;
}

Napi::Value WriteTotals(Napi::Env env, EncodedTotals&& totals) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("type", Name(totals.type));
  object.Set("partial", WriteBytes(env, std::move(totals.partial)));
  return object;
}

Napi::Value WriteLoadedSlots(Napi::Env env, const std::vector<LoadedSlot>& slots) {
  const Napi::Array array = Napi::Array::New(env, slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("layer", slots[i].slot.layer);
    object.Set("expert", slots[i].slot.expert);
    object.Set("slice", slots[i].slot.slice);
    object.Set("slices", slots[i].slot.slices);
    object.Set("checksum", slots[i].checksum);
    object.Set("bytes", static_cast<double>(slots[i].bytes));
    array.Set(static_cast<uint32_t>(i), object);
  }
  return array;
}

Napi::Value WriteStepProgress(Napi::Env env, StepProgress&& progress) {
  return std::visit([env](auto&& alternative) { return Write(env, std::move(alternative)); },
                    std::move(progress));
}

Napi::Value WriteExpertRowCounts(Napi::Env env, const std::vector<std::vector<uint32_t>>& counts) {
  const Napi::Array array = Napi::Array::New(env, counts.size());
  for (size_t i = 0; i < counts.size(); ++i)
    array.Set(static_cast<uint32_t>(i), WriteTyped(env, counts[i]));
  return array;
}

}  // namespace conclave::binding
