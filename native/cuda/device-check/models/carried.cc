#include "cuda/device-check/models/carried.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "binding/convert/read_spec.h"
#include "conclave/base/message.h"
#include "cuda/device-check/models/json.h"

namespace conclave::device_check {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) Fail(ErrorCode::kIo, path, ": cannot be read");
  return std::move(text).str();
}

// A file of safetensors with elements of 4 bytes.
class Tensors {
 public:
  explicit Tensors(const std::string& path) : bytes_(ReadFile(path)) {
    uint64_t length = 0;
    if (bytes_.size() > sizeof length) std::memcpy(&length, bytes_.data(), sizeof length);
    if (length > bytes_.size() - sizeof length) Fail(ErrorCode::kIo, path, " is cut short");
    header_ = ParseJson(bytes_.substr(sizeof length, length));
    data_ = sizeof length + length;
  }

  template <typename Element>
  std::vector<Element> Get(const std::string& name) const {
    const auto& offsets =
        header_.Get(name, Json::Kind::kObject).Get("data_offsets", Json::Kind::kArray).elements;
    const auto begin = static_cast<size_t>(offsets.at(0).number);
    const auto end = static_cast<size_t>(offsets.at(1).number);
    if (begin > end || end > bytes_.size() - data_)
      Fail(ErrorCode::kIo, "tensor ", name, " is cut short");
    std::vector<Element> values((end - begin) / sizeof(Element));
    std::memcpy(values.data(), bytes_.data() + data_ + begin, values.size() * sizeof(Element));
    return values;
  }

 private:
  std::string bytes_;
  Json header_;
  size_t data_;
};

std::vector<GoldenText> ReadTexts(const std::string& path) {
  constexpr int kTexts = 3;
  const Tensors tensors(path);
  std::vector<GoldenText> texts;
  for (int i = 0; i < kTexts; ++i) {
    const std::string suffix = Message("_", i);
    GoldenText text{.tokens = tensors.Get<int32_t>("prompt" + suffix),
                    .prompt_tokens = 0,
                    .logprobs = tensors.Get<float>("logprobs" + suffix),
                    .spreads = tensors.Get<float>("spreads" + suffix)};
    text.prompt_tokens = text.tokens.size();
    const std::vector<int32_t> rest = tensors.Get<int32_t>("continuation" + suffix);
    text.tokens.insert(text.tokens.end(), rest.begin(), rest.end());
    if (text.logprobs.size() != text.tokens.size() - 1 ||
        text.spreads.size() != text.logprobs.size()) {
      Fail(ErrorCode::kInvalidArgument, path, ": expected a result of every token but the first");
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

ModelSpec ReadSpec(const Json& json) {
  return binding::ReadModelSpec(Napi::Value(&json.Get("spec", Json::Kind::kObject)), "spec");
}

WeightsFormat FormatOf(const std::string& name) {
  for (const NamedFormat& known : kWeightsFormats) {
    if (name == known.name) return known.format;
  }
  Fail(ErrorCode::kInvalidArgument, "weights: expected a format, got ", name);
}

std::optional<double> Optional(const Json& json, const char* name) {
  const Json* const value = json.Find(name);
  return value != nullptr ? std::optional(value->number) : std::nullopt;
}

GoldenModel ReadGolden(const Json& json, const std::filesystem::path& base) {
  return {.name = json.Text("name"),
          .folder = (base / json.Text("checkpoint")).string(),
          .spec = ReadSpec(json),
          .weights = FormatOf(json.Text("weights")),
          .most_error = Optional(json, "mostError"),
          .most_noise = Optional(json, "mostNoise"),
          .texts = ReadTexts((base / json.Text("results")).string())};
}

}  // namespace

CarriedModels ReadCarriedModels(const std::string& path) {
  const Json document = ParseJson(ReadFile(path));
  const std::filesystem::path base = std::filesystem::path(path).parent_path();
  CarriedModels models;
  for (const Json& golden : document.Get("goldens", Json::Kind::kArray).elements)
    models.goldens.push_back(ReadGolden(golden, base));
  models.large = ReadSpec(document.Get("large", Json::Kind::kObject));
  return models;
}

}  // namespace conclave::device_check
