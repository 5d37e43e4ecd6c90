// Exact decimal numbers for money: fixed-point, on a 128-bit integer, with one scale for all, so
// that numbers of different account types add up without a rule.
#pragma once

#include <cassert>
#include <compare>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace saldo {

// A value type of 16 bytes, zero by default. The range is that of SQL's numeric(38, 18): 20 digits
// before the point and 18 after it, of either sign.
class Decimal {
 public:
  // The number times 10^kScale.
  __extension__ typedef __int128 Units;

  static constexpr int kScale = 18;
  static constexpr int kIntegerDigits = 20;
  static constexpr size_t kTextBytesMax = 64;

  constexpr Decimal() = default;
  static constexpr Decimal Max() { return Decimal(PowerOfTen(kIntegerDigits + kScale) - 1); }
  static constexpr Decimal Min() { return -Max(); }
  static constexpr Decimal FromInteger(int64_t value) { return Decimal(value * kOne); }
  // `units` must lie between those of Min and Max.
  static constexpr Decimal FromUnits(Units units) {
    assert(InRange(units));
    return Decimal(units);
  }

  // Reads "-12.50": digits, with an optional '-' before them and an optional '.' between them, and
  // nothing else. Leading zeros are allowed. INVALID_ARGUMENT when the text is not of this form, is
  // longer than kTextBytesMax or has more than kScale digits after the point; OUT_OF_RANGE when the
  // number is beyond Min or Max. The messages are for users and do not repeat the text.
  static absl::StatusOr<Decimal> Parse(std::string_view text);

  constexpr Units units() const { return units_; }
  constexpr bool IsZero() const { return units_ == 0; }
  constexpr bool IsNegative() const { return units_ < 0; }
  constexpr bool IsPositive() const { return units_ > 0; }

  // The least digits after the point that show the number exactly: 1 for 1.50.
  int FractionDigits() const;

  // Exact, never rounded: with `scale` digits after the point (0 to kScale), or as many more as the
  // number needs. Without a scale it is the shortest text. Parse reads it back.
  std::string ToString(int scale = 0) const;
  void AppendTo(std::string* text, int scale = 0) const;

  constexpr Decimal operator-() const { return Decimal(-units_); }
  friend constexpr bool operator==(Decimal a, Decimal b) = default;
  friend constexpr std::strong_ordering operator<=>(Decimal a, Decimal b) = default;

  // False, with `result` as it was, when the exact result is beyond Min or Max.
  [[nodiscard]] static constexpr bool Add(Decimal a, Decimal b, Decimal* result) {
    Units units = 0;
    if (__builtin_add_overflow(a.units_, b.units_, &units) || !InRange(units)) return false;
    result->units_ = units;
    return true;
  }
  [[nodiscard]] static constexpr bool Subtract(Decimal a, Decimal b, Decimal* result) {
    return Add(a, -b, result);
  }

 private:
  explicit constexpr Decimal(Units units) : units_(units) {}

  static constexpr Units PowerOfTen(int exponent) {
    Units power = 1;
    while (exponent-- > 0) power *= 10;
    return power;
  }
  static constexpr bool InRange(Units units) {
    constexpr Units kLimit = PowerOfTen(kIntegerDigits + kScale);
    return -kLimit < units && units < kLimit;
  }
  static constexpr Units kOne = 1'000'000'000'000'000'000;

  Units units_ = 0;
};

std::ostream& operator<<(std::ostream& out, Decimal value);

}  // namespace saldo
