#include "common/config/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace saldo::config::internal {
namespace {

constexpr size_t kListItemLengthMax = 1024;

struct ByteUnit {
  absl::string_view name;
  int64_t bytes;
};
constexpr ByteUnit kByteUnits[] = {{"TiB", kTiB}, {"GiB", kGiB}, {"MiB", kMiB}, {"KiB", kKiB}};

absl::Status Error(const std::string& message) { return absl::InvalidArgumentError(message); }

// An optional minus and decimal digits only: absl::SimpleAtoi alone would also take "+5" and " 5 ".
std::optional<int64_t> ParseInt(absl::string_view text) {
  absl::string_view digits = text;
  absl::ConsumePrefix(&digits, "-");
  int64_t number = 0;
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text, &number)) {
    return std::nullopt;
  }
  return number;
}

std::optional<int64_t> ParseBytes(absl::string_view text) {
  int64_t unit = 1;
  for (const ByteUnit& known : kByteUnits) {
    if (absl::ConsumeSuffix(&text, known.name)) {
      unit = known.bytes;
      break;
    }
  }
  if (unit == 1) absl::ConsumeSuffix(&text, "B");
  const std::optional<int64_t> number = ParseInt(text);
  int64_t bytes = 0;
  if (!number.has_value() || __builtin_mul_overflow(*number, unit, &bytes)) return std::nullopt;
  return bytes;
}

bool IsBareNumber(absl::string_view text) {
  double ignored;
  return !text.empty() && absl::ascii_isdigit(text.back()) && absl::SimpleAtod(text, &ignored);
}

std::string FormatFloat(double number) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number).ptr;
  return std::string(buffer, end);
}

class IntValue : public Value {
 public:
  IntValue(IntField field, IntRange range) : field_(std::move(field)), range_(range) {}

  absl::Status Set(const Scalar& scalar) override {
    if (scalar.quoted) return Error(absl::StrCat("expected ", Expected(), ", without quotes"));
    return Store(ParseInt(scalar.text));
  }
  absl::Status Check() const override {
    return InRange(field_.get()) ? absl::OkStatus() : Error(absl::StrCat("expected ", Expected()));
  }
  std::string Expected() const override {
    return absl::StrCat("a whole number from ", range_.min, " to ", range_.max);
  }
  std::string ToYaml() const override { return absl::StrCat(field_.get()); }
  std::string DescriptionFault() const override {
    if (range_.min > range_.max) return "the range is empty";
    return field_.fits ? "" : "the range does not fit the type of the field";
  }

 protected:
  bool InRange(int64_t number) const { return range_.min <= number && number <= range_.max; }
  absl::Status Store(std::optional<int64_t> number) {
    if (!number.has_value() || !InRange(*number))
      return Error(absl::StrCat("expected ", Expected()));
    field_.set(*number);
    return absl::OkStatus();
  }

  const IntField field_;
  const IntRange range_;
};

class BytesValue : public IntValue {
 public:
  using IntValue::IntValue;

  absl::Status Set(const Scalar& scalar) override {
    const std::optional<int64_t> bytes = ParseBytes(scalar.text);
    if (!bytes.has_value()) {
      return Error(
          absl::StrCat("expected ", Expected(), ", as a whole number of B, KiB, MiB, GiB or TiB"));
    }
    return Store(bytes);
  }
  std::string Expected() const override {
    return absl::StrCat("a size from ", FormatBytes(range_.min), " to ", FormatBytes(range_.max));
  }
  std::string ToYaml() const override { return FormatBytes(field_.get()); }
};

class DurationValue : public Value {
 public:
  DurationValue(absl::Duration* field, DurationRange range) : field_(field), range_(range) {}

  absl::Status Set(const Scalar& scalar) override {
    if (IsBareNumber(scalar.text)) {
      return Error(absl::StrFormat("which has no unit (write %sms, %ss or the like), expected %s",
                                   scalar.text, scalar.text, Expected()));
    }
    absl::Duration duration;
    if (!absl::ParseDuration(scalar.text, &duration)) {
      return Error(absl::StrCat("expected ", Expected(), ", such as 250ms, 30s or 1h30m"));
    }
    if (!InRange(duration)) return Error(absl::StrCat("expected ", Expected()));
    *field_ = duration;
    return absl::OkStatus();
  }
  absl::Status Check() const override {
    return InRange(*field_) ? absl::OkStatus() : Error(absl::StrCat("expected ", Expected()));
  }
  std::string Expected() const override {
    return absl::StrCat("a duration from ", ToText(range_.min), " to ", ToText(range_.max));
  }
  std::string ToYaml() const override { return ToText(*field_); }
  std::string DescriptionFault() const override {
    return range_.min > range_.max ? "the range is empty" : "";
  }

 private:
  static std::string ToText(absl::Duration duration) {
    return duration == absl::ZeroDuration() ? "0s" : absl::FormatDuration(duration);
  }
  bool InRange(absl::Duration duration) const {
    return range_.min <= duration && duration <= range_.max;
  }

  absl::Duration* const field_;
  const DurationRange range_;
};

class BoolValue : public Value {
 public:
  explicit BoolValue(bool* field) : field_(field) {}

  absl::Status Set(const Scalar& scalar) override {
    if (scalar.quoted) return Error(absl::StrCat("expected ", Expected(), ", without quotes"));
    if (scalar.text != "true" && scalar.text != "false")
      return Error(absl::StrCat("expected ", Expected()));
    *field_ = scalar.text == "true";
    return absl::OkStatus();
  }
  absl::Status Check() const override { return absl::OkStatus(); }
  std::string Expected() const override { return "true or false"; }
  std::string ToYaml() const override { return *field_ ? "true" : "false"; }
  bool is_bool() const override { return true; }

 private:
  bool* const field_;
};

class FloatValue : public Value {
 public:
  FloatValue(double* field, FloatRange range) : field_(field), range_(range) {}

  absl::Status Set(const Scalar& scalar) override {
    if (scalar.quoted) return Error(absl::StrCat("expected ", Expected(), ", without quotes"));
    double number = 0;
    const bool spaced = std::any_of(scalar.text.begin(), scalar.text.end(), absl::ascii_isspace);
    if (spaced || !absl::SimpleAtod(scalar.text, &number) || !InRange(number))
      return Error(absl::StrCat("expected ", Expected()));
    *field_ = number;
    return absl::OkStatus();
  }
  absl::Status Check() const override {
    return InRange(*field_) ? absl::OkStatus() : Error(absl::StrCat("expected ", Expected()));
  }
  std::string Expected() const override {
    return absl::StrCat("a number from ", FormatFloat(range_.min), " to ", FormatFloat(range_.max));
  }
  std::string ToYaml() const override { return FormatFloat(*field_); }
  std::string DescriptionFault() const override {
    return range_.min <= range_.max ? "" : "the range is empty";
  }

 private:
  // False for NaN and, unless the range is that wide, for infinities.
  bool InRange(double number) const {
    return std::isfinite(number) && range_.min <= number && number <= range_.max;
  }

  double* const field_;
  const FloatRange range_;
};

class StringValue : public Value {
 public:
  StringValue(std::string* field, LengthRange range, bool secret)
      : field_(field), range_(range), secret_(secret) {}

  absl::Status Set(const Scalar& scalar) override {
    if (absl::Status status = CheckText(scalar.text); !status.ok()) return status;
    *field_ = scalar.text;
    return absl::OkStatus();
  }
  absl::Status Check() const override { return CheckText(*field_); }
  std::string Expected() const override {
    return absl::StrCat(secret_ ? "a secret text of " : "a text of ",
                        FormatCount(range_.min, range_.max, "byte"));
  }
  std::string ToYaml() const override {
    if (secret_ && !field_->empty()) return std::string(kRedacted);
    return QuoteYaml(*field_);
  }
  std::string DescriptionFault() const override {
    return range_.min <= range_.max ? "" : "the range is empty";
  }
  bool is_secret() const override { return secret_; }

 private:
  absl::Status CheckText(const std::string& text) const {
    if (text.size() < range_.min || text.size() > range_.max)
      return Error(absl::StrCat("expected ", Expected()));
    if (absl::StrContains(text, '\0'))
      return Error(absl::StrCat("expected ", Expected(), ", without a zero byte"));
    return absl::OkStatus();
  }

  std::string* const field_;
  const LengthRange range_;
  const bool secret_;
};

class StringListValue : public Value {
 public:
  StringListValue(std::vector<std::string>* field, CountRange range)
      : field_(field), range_(range) {}

  absl::Status Set(const Scalar&) override { return Error(absl::StrCat("expected ", Expected())); }
  absl::Status SetList(absl::Span<const Scalar> items) override {
    std::vector<std::string> texts;
    for (const Scalar& item : items) texts.push_back(item.text);
    return Store(std::move(texts));
  }
  absl::Status SetText(const std::string& text) override {
    if (text.empty()) return Store({});
    return Store(absl::StrSplit(text, ','));
  }
  absl::Status Check() const override { return CheckItems(*field_); }
  std::string Expected() const override {
    return absl::StrCat("a list of ", FormatCount(range_.min, range_.max, "text"));
  }
  std::string ToYaml() const override {
    const auto quote = [](std::string* out, const std::string& item) {
      out->append(QuoteYaml(item));
    };
    return absl::StrCat("[", absl::StrJoin(*field_, ", ", quote), "]");
  }
  std::string DescriptionFault() const override {
    return range_.min <= range_.max ? "" : "the range is empty";
  }

 private:
  absl::Status Store(std::vector<std::string> items) {
    if (absl::Status status = CheckItems(items); !status.ok()) return status;
    *field_ = std::move(items);
    return absl::OkStatus();
  }
  absl::Status CheckItems(const std::vector<std::string>& items) const {
    if (items.size() < range_.min || items.size() > range_.max)
      return Error(absl::StrCat("expected ", Expected()));
    for (const std::string& item : items) {
      if (item.empty() || item.size() > kListItemLengthMax || absl::StrContains(item, '\0')) {
        return Error(absl::StrFormat("expected %s, each of 1 to %d bytes and without a zero byte",
                                     Expected(), kListItemLengthMax));
      }
    }
    return absl::OkStatus();
  }

  std::vector<std::string>* const field_;
  const CountRange range_;
};

class EnumValue : public Value {
 public:
  explicit EnumValue(EnumField field) : field_(std::move(field)) {}

  absl::Status Set(const Scalar& scalar) override {
    const auto found = std::find(field_.names.begin(), field_.names.end(), scalar.text);
    if (found == field_.names.end()) return Error(absl::StrCat("expected ", Expected()));
    field_.set(static_cast<size_t>(found - field_.names.begin()));
    return absl::OkStatus();
  }
  absl::Status Check() const override {
    return field_.get() < field_.names.size() ? absl::OkStatus()
                                              : Error(absl::StrCat("expected ", Expected()));
  }
  std::string Expected() const override {
    return absl::StrCat("one of ", absl::StrJoin(field_.names, ", "));
  }
  // Quoted, as a name may be a word that YAML reads otherwise, such as "null".
  std::string ToYaml() const override {
    const size_t index = field_.get();
    return QuoteYaml(index < field_.names.size() ? field_.names[index] : "?");
  }
  std::string DescriptionFault() const override {
    return field_.names.empty() ? "there is no choice" : "";
  }

 private:
  const EnumField field_;
};

}  // namespace

absl::Status Value::SetList(absl::Span<const Scalar>) {
  return Error(absl::StrCat("expected ", Expected()));
}

std::unique_ptr<Value> MakeInt(IntField field, IntRange range) {
  return std::make_unique<IntValue>(std::move(field), range);
}
std::unique_ptr<Value> MakeBytes(IntField field, ByteRange range) {
  return std::make_unique<BytesValue>(std::move(field),
                                      IntRange{.min = range.min, .max = range.max});
}
std::unique_ptr<Value> MakeDuration(absl::Duration* field, DurationRange range) {
  return std::make_unique<DurationValue>(field, range);
}
std::unique_ptr<Value> MakeBool(bool* field) { return std::make_unique<BoolValue>(field); }
std::unique_ptr<Value> MakeFloat(double* field, FloatRange range) {
  return std::make_unique<FloatValue>(field, range);
}
std::unique_ptr<Value> MakeString(std::string* field, LengthRange range, bool secret) {
  return std::make_unique<StringValue>(field, range, secret);
}
std::unique_ptr<Value> MakeStringList(std::vector<std::string>* field, CountRange range) {
  return std::make_unique<StringListValue>(field, range);
}
std::unique_ptr<Value> MakeEnum(EnumField field) {
  return std::make_unique<EnumValue>(std::move(field));
}

std::string QuoteYaml(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&out, "\\x%02x", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string FormatBytes(int64_t bytes) {
  for (const ByteUnit& unit : kByteUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) return absl::StrCat(bytes / unit.bytes, unit.name);
  }
  return absl::StrCat(bytes, "B");
}

std::string FormatCount(size_t min, size_t max, absl::string_view unit) {
  const absl::string_view plural = max == 1 ? "" : "s";
  if (min == max) return absl::StrCat(max, " ", unit, plural);
  return absl::StrCat(min, " to ", max, " ", unit, plural);
}

}  // namespace saldo::config::internal
