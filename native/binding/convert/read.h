#pragma once

// Reads JavaScript values into C++ ones. Every error names the field, what was expected and what
// came.

#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace conclave::binding {

// A value in words, for errors: `string "abc"`, `Float32Array(3)`.
std::string Describe(Napi::Value value);

[[noreturn]] void Refuse(const std::string& path, const std::string& expected, Napi::Value got);

int64_t ReadInteger(Napi::Value value, const std::string& path, int64_t least, int64_t most);
// From a bigint.
uint64_t ReadUint64(Napi::Value value, const std::string& path);
double ReadNumber(Napi::Value value, const std::string& path);
bool ReadBoolean(Napi::Value value, const std::string& path);
std::string ReadString(Napi::Value value, const std::string& path);
std::string ReadOneOf(Napi::Value value, const std::string& path,
                      const std::vector<std::string>& choices);
std::vector<int32_t> ReadInt32Array(Napi::Value value, const std::string& path);
std::vector<uint32_t> ReadUint32Array(Napi::Value value, const std::string& path);
std::vector<float> ReadFloat32Array(Napi::Value value, const std::string& path);
std::vector<uint8_t> ReadUint8Array(Napi::Value value, const std::string& path);
std::vector<Napi::Value> ReadArray(Napi::Value value, const std::string& path);
// An empty function for null.
Napi::Function ReadFunctionOrNull(Napi::Value value, const std::string& path);

template <typename Enum>
Enum ReadChoice(Napi::Value value, const std::string& path,
                std::initializer_list<std::pair<const char*, Enum>> choices) {
  const std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
  std::string expected;
  for (const auto& [name, choice] : choices) {
    if (text == name) return choice;
    expected += (expected.empty() ? "" : " or ") + std::string(name);
  }
  Refuse(path, expected, value);
}

// The fields of an object.
class Fields {
 public:
  Fields(Napi::Value value, std::string path);

  const std::string& path() const { return path_; }
  std::string PathOf(const char* key) const { return path_ + "." + key; }
  Napi::Value Get(const char* key) const { return object_.Get(key); }
  // Neither null nor undefined.
  bool Has(const char* key) const;

  Fields Object(const char* key) const { return Fields(Get(key), PathOf(key)); }
  int64_t Integer(const char* key, int64_t least, int64_t most) const {
    return ReadInteger(Get(key), PathOf(key), least, most);
  }
  uint64_t Uint64(const char* key) const { return ReadUint64(Get(key), PathOf(key)); }
  int Int32(const char* key) const { return static_cast<int>(Integer(key, INT32_MIN, INT32_MAX)); }
  bool Boolean(const char* key) const { return ReadBoolean(Get(key), PathOf(key)); }
  double Number(const char* key) const { return ReadNumber(Get(key), PathOf(key)); }
  float Float(const char* key) const { return static_cast<float>(Number(key)); }
  std::string String(const char* key) const { return ReadString(Get(key), PathOf(key)); }
  std::vector<int32_t> Int32s(const char* key) const {
    return ReadInt32Array(Get(key), PathOf(key));
  }
  std::vector<float> Floats(const char* key) const {
    return ReadFloat32Array(Get(key), PathOf(key));
  }
  std::vector<uint8_t> Bytes(const char* key) const {
    return ReadUint8Array(Get(key), PathOf(key));
  }
  std::vector<Napi::Value> Array(const char* key) const { return ReadArray(Get(key), PathOf(key)); }
  template <typename Enum>
  Enum Choice(const char* key, std::initializer_list<std::pair<const char*, Enum>> choices) const {
    return ReadChoice(Get(key), PathOf(key), choices);
  }
  // A string that must be one of `choices`.
  std::string OneOf(const char* key, const std::vector<std::string>& choices) const {
    return ReadOneOf(Get(key), PathOf(key), choices);
  }
  // make(value, path) for every element of an array.
  template <typename Make>
  auto Map(const char* key, const Make& make) const {
    const std::vector<Napi::Value> values = Array(key);
    std::vector<decltype(make(Napi::Value(), std::string()))> made;
    made.reserve(values.size());
    for (size_t i = 0; i < values.size(); ++i)
      made.push_back(make(values[i], PathOf(key) + "[" + std::to_string(i) + "]"));
    return made;
  }

 private:
  Napi::Object object_;
  std::string path_;
};

}  // namespace conclave::binding
