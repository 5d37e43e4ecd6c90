#include "common/base/decimal.h"

#include <algorithm>
#include <array>
#include <ostream>

#include "absl/strings/str_cat.h"

namespace saldo {
namespace {

__extension__ typedef unsigned __int128 Magnitude;

constexpr int kDigits = Decimal::kIntegerDigits + Decimal::kScale;
constexpr int kHalf = kDigits / 2;
static_assert(2 * kHalf == kDigits && kHalf <= 19, "each half of the digits fits 64 bits");

constexpr std::array<uint64_t, 20> kPowersOfTen = [] {
  std::array<uint64_t, 20> powers{1};
  for (size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

bool IsDigit(char c) { return '0' <= c && c <= '9'; }

void WriteDigits(uint64_t value, int count, char* out) {
  for (int i = count - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

absl::Status Malformed() {
  return absl::InvalidArgumentError(
      "not a decimal number: write digits, with an optional '-' before them and an optional '.' "
      "between them, as in -12.50");
}

}  // namespace

absl::StatusOr<Decimal> Decimal::Parse(std::string_view text) {
  if (text.size() > kTextBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a decimal number takes at most ", kTextBytesMax, " characters"));
  }
  const char* at = text.data();
  const char* const end = at + text.size();
  const bool negative = at != end && *at == '-';
  if (negative) ++at;

  const char* const digits = at;
  while (at != end && IsDigit(*at)) ++at;
  const char* const point = at;
  if (point == digits) return Malformed();
  if (at != end) {
    if (*at++ != '.' || at == end) return Malformed();
    while (at != end && IsDigit(*at)) ++at;
    if (at != end) return Malformed();
  }
  const auto fraction_digits = point == end ? 0 : end - point - 1;
  if (fraction_digits > kScale) {
    return absl::InvalidArgumentError(
        absl::StrCat("a decimal number has at most ", kScale, " digits after the point"));
  }

  const char* const significant = std::find_if(digits, point, [](char c) { return c != '0'; });
  if (point - significant > kIntegerDigits) {
    return absl::OutOfRangeError(
        absl::StrCat("a decimal number has at most ", kIntegerDigits, " digits before the point"));
  }
  Units units = 0;
  for (const char* digit = significant; digit != end; ++digit) {
    if (digit != point) units = units * 10 + (*digit - '0');
  }
  units *= static_cast<Units>(kPowersOfTen[static_cast<size_t>(kScale - fraction_digits)]);
  return Decimal(negative ? -units : units);
}

int Decimal::FractionDigits() const {
  auto fraction = static_cast<int64_t>(units_ % kOne);
  if (fraction == 0) return 0;
  int digits = kScale;
  for (; fraction % 10 == 0; fraction /= 10) --digits;
  return digits;
}

std::string Decimal::ToString(int scale) const {
  std::string text;
  AppendTo(&text, scale);
  return text;
}

void Decimal::AppendTo(std::string* text, int scale) const {
  assert(0 <= scale && scale <= kScale);
  const auto magnitude = static_cast<Magnitude>(units_ < 0 ? -units_ : units_);
  char digits[kDigits];
  WriteDigits(static_cast<uint64_t>(magnitude / kPowersOfTen[kHalf]), kHalf, digits);
  WriteDigits(static_cast<uint64_t>(magnitude % kPowersOfTen[kHalf]), kHalf, digits + kHalf);

  const char* const point = digits + kIntegerDigits;
  const char* begin = digits;
  while (begin + 1 < point && *begin == '0') ++begin;
  const char* end = digits + kDigits;
  while (end > point + scale && end[-1] == '0') --end;

  if (units_ < 0) text->push_back('-');
  text->append(begin, point);
  if (end == point) return;
  text->push_back('.');
  text->append(point, end);
}

std::ostream& operator<<(std::ostream& out, Decimal value) { return out << value.ToString(); }

}  // namespace saldo
