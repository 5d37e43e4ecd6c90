#include "common/postgres/numeric.h"

#include <array>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/postgres/wire.h"

namespace saldo::postgres::wire {
namespace {

__extension__ typedef unsigned __int128 Magnitude;

// int16 each: the number of groups, the weight of the first, the sign, the digits to show after the
// point; then the groups, each worth 10000^(weight - index). Outer groups of zeros are left out.
constexpr size_t kHeaderBytes = 8;
constexpr uint16_t kSignPositive = 0x0000, kSignNegative = 0x4000, kSignNaN = 0xC000,
                   kSignInfinity = 0xD000, kSignMinusInfinity = 0xF000;

// A Decimal has ten groups: five before the point, of weights 4 to 0, and five after it. Its 18
// digits there leave the last two of the last group zero.
constexpr int kFirstWeight = 4, kLastWeight = -5;
constexpr size_t kGroups = 10;
constexpr unsigned kLastGroupUnit = 100;
static_assert(Decimal::kIntegerDigits == 4 * (kFirstWeight + 1));
static_assert(Decimal::kScale == 4 * -kLastWeight - 2);

// What a group is worth in units of Decimal, by its index; the last one is worth less than a unit.
constexpr std::array<Decimal::Units, kGroups - 1> kGroupUnits = [] {
  std::array<Decimal::Units, kGroups - 1> units{};
  Decimal::Units unit = 10'000 / kLastGroupUnit;
  for (size_t i = units.size(); i-- > 0; unit *= 10'000) units[i] = unit;
  return units;
}();

uint16_t Load16(const char* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap16(v);
}

void Append16(uint16_t v, std::string* bytes) {
  v = __builtin_bswap16(v);
  bytes->append(reinterpret_cast<const char*>(&v), sizeof v);
}

// Writes the `count` lowest groups of `value`.
void Split(uint64_t value, size_t count, uint16_t* groups) {
  for (size_t i = count; i-- > 0; value /= 10'000)
    groups[i] = static_cast<uint16_t>(value % 10'000);
}

absl::Status Malformed() { return absl::InternalError("not a numeric in its binary format"); }

absl::Status TooLarge() {
  return absl::OutOfRangeError(
      absl::StrCat("a number of more than ", Decimal::kIntegerDigits, " digits before the point"));
}

absl::Status TooFine() {
  return absl::OutOfRangeError(
      absl::StrCat("a number of more than ", Decimal::kScale, " digits after the point"));
}

}  // namespace

void AppendNumeric(Decimal value, std::string* bytes) {
  const Decimal::Units units = value.units();
  const auto magnitude = static_cast<Magnitude>(units < 0 ? -units : units);
  // The groups but the last are the magnitude without its last two digits, 36 of them.
  constexpr uint64_t kFourGroups = 10'000'000'000'000'000;
  const Magnitude upper = magnitude / kLastGroupUnit;
  uint16_t groups[kGroups];
  groups[9] = static_cast<uint16_t>(magnitude % kLastGroupUnit * kLastGroupUnit);
  Split(static_cast<uint64_t>(upper % kFourGroups), 4, groups + 5);
  const Magnitude above = upper / kFourGroups;
  Split(static_cast<uint64_t>(above % kFourGroups), 4, groups + 1);
  groups[0] = static_cast<uint16_t>(above / kFourGroups);

  size_t first = 0, last = kGroups;
  while (first < last && groups[first] == 0) ++first;
  while (last > first && groups[last - 1] == 0) --last;
  const int weight = first == last ? 0 : kFirstWeight - static_cast<int>(first);
  Append16(static_cast<uint16_t>(last - first), bytes);
  Append16(static_cast<uint16_t>(weight), bytes);
  Append16(value.IsNegative() ? kSignNegative : kSignPositive, bytes);
  Append16(static_cast<uint16_t>(value.FractionDigits()), bytes);
  for (size_t i = first; i < last; ++i) Append16(groups[i], bytes);
}

absl::StatusOr<Decimal> ReadNumeric(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return Malformed();
  const size_t count = Load16(bytes.data());
  const int weight = static_cast<int16_t>(Load16(bytes.data() + 2));
  const uint16_t sign = Load16(bytes.data() + 4);
  if (sign == kSignNaN) return absl::OutOfRangeError("NaN");
  if (sign == kSignInfinity || sign == kSignMinusInfinity)
    return absl::OutOfRangeError("an infinity");
  if (sign != kSignPositive && sign != kSignNegative) return Malformed();
  if (bytes.size() != kHeaderBytes + 2 * count) return Malformed();

  Decimal::Units units = 0;
  for (size_t i = 0; i < count; ++i) {
    const unsigned group = Load16(bytes.data() + kHeaderBytes + 2 * i);
    if (group > 9'999) return Malformed();
    if (group == 0) continue;
    const int at = weight - static_cast<int>(i);
    if (at > kFirstWeight) return TooLarge();
    if (at < kLastWeight || (at == kLastWeight && group % kLastGroupUnit != 0)) return TooFine();
    units += at == kLastWeight ? static_cast<Decimal::Units>(group / kLastGroupUnit)
                               : kGroupUnits[static_cast<size_t>(kFirstWeight - at)] * group;
  }
  return Decimal::FromUnits(sign == kSignNegative ? -units : units);
}

}  // namespace saldo::postgres::wire
