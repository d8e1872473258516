#include "cuda/device-check/models/json.h"

#include <cstdlib>

#include "conclave/base/message.h"

namespace conclave::device_check {
namespace {

constexpr int kDeepest = 64;

class Parser {
 public:
  // `text` ends with a 0.
  explicit Parser(const std::string& text) : text_(text) {}

  Json Document() {
    Json value = Value(0);
    if (Next() != '\0') Refuse("the end");
    return value;
  }

 private:
  [[noreturn]] void Refuse(const char* expected) const {
    Fail(ErrorCode::kInvalidArgument, "JSON: expected ", expected, " at byte ", at_);
  }

  // The next character that is no space; 0 at the end.
  char Next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool Take(char c) {
    if (Next() != c) return false;
    ++at_;
    return true;
  }
  void Require(char c, const char* name) {
    if (!Take(c)) Refuse(name);
  }
  bool TakeWord(std::string_view word) {
    if (text_.compare(at_, word.size(), word) != 0) return false;
    at_ += word.size();
    return true;
  }

  Json Value(int depth) {
    if (depth > kDeepest) Refuse("fewer levels");
    Json value;
    switch (Next()) {
      case '{':
        value.kind = Json::Kind::kObject;
        Members(value, depth);
        return value;
      case '[':
        value.kind = Json::Kind::kArray;
        Elements(value, depth);
        return value;
      case '"':
        value.kind = Json::Kind::kString;
        value.text = String();
        return value;
      default:
        break;
    }
    if (TakeWord("null")) return value;
    value.kind = Json::Kind::kBoolean;
    value.boolean = TakeWord("true");
    if (value.boolean || TakeWord("false")) return value;
    value.kind = Json::Kind::kNumber;
    char* end = nullptr;
    value.number = std::strtod(text_.c_str() + at_, &end);  // 1e999 is infinite.
    if (end == text_.c_str() + at_) Refuse("a value");
    at_ = static_cast<size_t>(end - text_.c_str());
    return value;
  }

  void Members(Json& object, int depth) {
    ++at_;
    if (Take('}')) return;
    do {
      if (Next() != '"') Refuse("a name");
      std::string name = String();
      Require(':', "a colon");
      object.members.emplace_back(std::move(name), Value(depth + 1));
    } while (Take(','));
    Require('}', "a comma or a brace");
  }

  void Elements(Json& array, int depth) {
    ++at_;
    if (Take(']')) return;
    do {
      array.elements.push_back(Value(depth + 1));
    } while (Take(','));
    Require(']', "a comma or a bracket");
  }

  std::string String() {
    std::string text;
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\' && ++at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
          text_[at_] != '/') {
        Refuse("no escape but of a quote or a slash");
      }
      if (at_ < text_.size()) text += text_[at_];
    }
    Require('"', "a quote");
    return text;
  }

  const std::string& text_;
  size_t at_ = 0;
};

}  // namespace

const Json* Json::Find(std::string_view name) const {
  for (const auto& [key, value] : members) {
    if (key == name) return &value;
  }
  return nullptr;
}

const Json& Json::Get(std::string_view name, Kind expected) const {
  const Json* const value = Find(name);
  if (value == nullptr || value->kind != expected)
    Fail(ErrorCode::kInvalidArgument, "JSON: \"", name, "\" is missing, or of another kind");
  return *value;
}

Json ParseJson(const std::string& text) { return Parser(text).Document(); }

}  // namespace conclave::device_check
