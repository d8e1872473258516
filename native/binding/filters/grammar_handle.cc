#include "binding/filters/grammar_handle.h"

#include <cstring>

#include "binding/filters/vocabulary_handle.h"

namespace conclave::binding {
namespace {

std::vector<int32_t> ReadInt32Bytes(const Fields& fields, const char* key) {
  const std::vector<uint8_t> bytes = fields.Bytes(key);
  if (bytes.size() % sizeof(int32_t) != 0) {
    throw Error(ErrorCode::kInvalidArgument, fields.PathOf(key) +
                                                 ": expected 4 bytes for each entry, got " +
                                                 std::to_string(bytes.size()) + " bytes");
  }
  std::vector<int32_t> values(bytes.size() / sizeof(int32_t));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace

std::vector<GrammarHandle::PropertyDescriptor> GrammarHandle::Methods() {
  return {InstanceMethod<&GrammarHandle::Close>("close")};
}

void GrammarHandle::Close(const Napi::CallbackInfo&) { TakeState(); }

Napi::Value CreateGrammar(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const std::shared_ptr<const Vocabulary> vocabulary =
        VocabularyHandle::From(info[0], "vocabulary").open();
    const Fields fields(info[1], "grammar");
    GrammarTables tables{ReadInt32Bytes(fields, "rules"), ReadInt32Bytes(fields, "edgeOffsets"),
                         ReadInt32Bytes(fields, "edges"), fields.Bytes("final"),
                         ReadInt32Bytes(fields, "plainRuns")};
    return GrammarHandle::Make(env, std::make_shared<Grammar>(vocabulary, std::move(tables)));
  });
}

}  // namespace conclave::binding
