// The types of values: how each is read from text, checked and written. Internal to this folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/config/binder.h"

namespace saldo::config::internal {

// What --print-config writes in place of a secret.
inline constexpr absl::string_view kRedacted = "<redacted>";

struct Scalar {
  std::string text;
  bool quoted = false;  // written in quotes in the YAML file
};

// A value bound to a field. The setters leave the field alone when they fail; their message then
// says what is expected and never holds what was given.
class Value {
 public:
  virtual ~Value() = default;

  virtual absl::Status Set(const Scalar& scalar) = 0;
  virtual absl::Status SetList(absl::Span<const Scalar> items);
  // From a variable or a flag.
  virtual absl::Status SetText(const std::string& text) { return Set({.text = text}); }

  // Whether the field's present value is allowed.
  virtual absl::Status Check() const = 0;
  // Such as "a whole number from 0 to 65535".
  virtual std::string Expected() const = 0;
  // A YAML value that Set or SetList takes back to the same value; redacted when secret.
  virtual std::string ToYaml() const = 0;
  // A mistake in the description itself, or "".
  virtual std::string DescriptionFault() const { return ""; }

  virtual bool is_bool() const { return false; }
  virtual bool is_secret() const { return false; }
};

std::unique_ptr<Value> MakeInt(IntField field, IntRange range);
std::unique_ptr<Value> MakeBytes(IntField field, ByteRange range);
std::unique_ptr<Value> MakeDuration(absl::Duration* field, DurationRange range);
std::unique_ptr<Value> MakeBool(bool* field);
std::unique_ptr<Value> MakeFloat(double* field, FloatRange range);
std::unique_ptr<Value> MakeString(std::string* field, LengthRange range, bool secret);
std::unique_ptr<Value> MakeStringList(std::vector<std::string>* field, CountRange range);
std::unique_ptr<Value> MakeEnum(EnumField field);

// In double quotes, escaped as YAML wants it.
std::string QuoteYaml(absl::string_view text);

// Such as "4MiB": the largest unit that divides it.
std::string FormatBytes(int64_t bytes);

// "from 1 to 5 items", "1 item", "up to 5 items".
std::string FormatCount(size_t min, size_t max, absl::string_view unit);

}  // namespace saldo::config::internal
