// The addon's exports: Native in native.ts.

#include <napi.h>

#include "binding/environment.h"
#include "binding/filters/grammar_handle.h"
#include "binding/filters/token_filter_handle.h"
#include "binding/filters/vocabulary_handle.h"
#include "binding/handles/device_functions.h"
#include "binding/handles/expert_bank_handle.h"
#include "binding/handles/rank_shard_handle.h"
#include "binding/handles/runtime_handle.h"
#include "binding/handles/stage_handle.h"
#include "binding/handles/weight_store_handle.h"

namespace conclave::binding {
namespace {

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData<Environment>(new Environment(env));
  RuntimeHandle::Define(env);
  WeightStoreHandle::Define(env);
  ExpertBankHandle::Define(env);
  RankShardHandle::Define(env);
  StageHandle::Define(env);
  VocabularyHandle::Define(env);
  GrammarHandle::Define(env);
  TokenFilterHandle::Define(env);
  exports.Set("hardware", Napi::Function::New<Hardware>(env, "hardware"));
  exports.Set("gpus", Napi::Function::New<Gpus>(env, "gpus"));
  exports.Set("gpuFreeBytes", Napi::Function::New<GpuFreeBytes>(env, "gpuFreeBytes"));
  exports.Set("measureLimits", Napi::Function::New<MeasureLimits>(env, "measureLimits"));
  exports.Set("createRuntime", Napi::Function::New<CreateRuntime>(env, "createRuntime"));
  exports.Set("openWeights", Napi::Function::New<OpenWeights>(env, "openWeights"));
  exports.Set("cacheBytes", Napi::Function::New<CacheBytes>(env, "cacheBytes"));
  exports.Set("createExpertBank", Napi::Function::New<CreateExpertBank>(env, "createExpertBank"));
  exports.Set("createRankShard", Napi::Function::New<CreateRankShard>(env, "createRankShard"));
  exports.Set("createStage", Napi::Function::New<CreateStage>(env, "createStage"));
  exports.Set("createVocabulary", Napi::Function::New<CreateVocabulary>(env, "createVocabulary"));
  exports.Set("createGrammar", Napi::Function::New<CreateGrammar>(env, "createGrammar"));
  exports.Set("createTokenFilter",
              Napi::Function::New<CreateTokenFilter>(env, "createTokenFilter"));
  return exports;
}

}  // namespace
}  // namespace conclave::binding

using conclave::binding::Initialize;
NODE_API_MODULE(conclave, Initialize)
