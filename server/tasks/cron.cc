#include "server/tasks/cron.h"

#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace saldo::tasks {
namespace {

constexpr size_t kTextMax = 200;
constexpr int kDaysSearched = 146'097 + 366;  // the calendar's period, and a leap year

constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kWeekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct Field {
  std::string_view name;
  int min;
  int max;
  absl::Span<const std::string_view> names;  // of the values from `min` on
};

constexpr Field kMinute{"minute", 0, 59, {}};
constexpr Field kHour{"hour", 0, 23, {}};
constexpr Field kDay{"day of month", 1, 31, {}};
constexpr Field kMonth{"month", 1, 12, kMonths};
constexpr Field kWeekday{"day of week", 0, 7, kWeekdays};

absl::Status Fault(const Field& field, absl::string_view part, std::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat(AsAbsl(field.name), " '", part, "': ", AsAbsl(reason)));
}

std::optional<int> Value(const Field& field, absl::string_view text) {
  for (size_t i = 0; i < field.names.size(); ++i) {
    if (absl::AsciiStrToLower(text) == field.names[i]) return field.min + static_cast<int>(i);
  }
  int value = 0;
  const bool digits = !text.empty() && absl::ascii_isdigit(static_cast<unsigned char>(text[0]));
  if (!digits || !absl::SimpleAtoi(text, &value)) return std::nullopt;
  if (value < field.min || value > field.max) return std::nullopt;
  return value;
}

absl::StatusOr<uint64_t> ParsePart(const Field& field, absl::string_view part) {
  const std::vector<absl::string_view> step_split = absl::StrSplit(part, absl::MaxSplits('/', 1));
  const std::vector<absl::string_view> ends =
      absl::StrSplit(step_split[0], absl::MaxSplits('-', 1));
  int low = field.min, high = field.max, step = 1;
  const bool single = step_split[0] != "*" && ends.size() == 1;
  if (step_split[0] != "*") {
    const std::optional<int> first = Value(field, ends[0]), last = Value(field, ends.back());
    if (!first.has_value() || !last.has_value()) {
      return Fault(
          field, part,
          absl::StrCat("must be of ", field.min, " to ", field.max,
                       field.names.empty() ? ""
                                           : absl::StrCat(" or ", AsAbsl(field.names.front()),
                                                          " to ", AsAbsl(field.names.back()))));
    }
    low = *first;
    high = *last;
    if (low > high) return Fault(field, part, "the range's end is before its start");
  }
  if (step_split.size() == 2) {
    if (single) return Fault(field, part, "a step follows '*' or a range");
    const bool digits =
        !step_split[1].empty() && absl::ascii_isdigit(static_cast<unsigned char>(step_split[1][0]));
    if (!digits || !absl::SimpleAtoi(step_split[1], &step) || step < 1 || step > field.max)
      return Fault(field, part, absl::StrCat("the step must be of 1 to ", field.max));
  }
  uint64_t bits = 0;
  for (int value = low; value <= high; value += step) bits |= uint64_t{1} << value;
  return bits;
}

absl::StatusOr<uint64_t> ParseField(const Field& field, absl::string_view text) {
  uint64_t bits = 0;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    SALDO_ASSIGN_OR_RETURN(const uint64_t more, ParsePart(field, part));
    bits |= more;
  }
  return bits;
}

bool Has(uint64_t bits, int value) { return (bits >> value & 1) != 0; }

// The lowest value of `bits` that is at least `from`; -1 when there is none.
int LowestFrom(uint64_t bits, int from) {
  const uint64_t rest = from > 63 ? 0 : bits >> from << from;
  return rest == 0 ? -1 : __builtin_ctzll(rest);
}

}  // namespace

absl::StatusOr<Cron> Cron::Parse(std::string_view text) {
  if (text.size() > kTextMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a cron expression has at most ", kTextMax, " characters"));
  }
  const std::vector<absl::string_view> fields =
      absl::StrSplit(AsAbsl(text), absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != 5) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", AsAbsl(text), "' has ", fields.size(),
        " fields; a cron expression has 5: minute, hour, day of month, month, day of week"));
  }
  Cron cron;
  cron.text_ = std::string(text);
  SALDO_ASSIGN_OR_RETURN(cron.minutes_, ParseField(kMinute, fields[0]));
  SALDO_ASSIGN_OR_RETURN(cron.hours_, ParseField(kHour, fields[1]));
  SALDO_ASSIGN_OR_RETURN(cron.days_, ParseField(kDay, fields[2]));
  SALDO_ASSIGN_OR_RETURN(cron.months_, ParseField(kMonth, fields[3]));
  SALDO_ASSIGN_OR_RETURN(cron.weekdays_, ParseField(kWeekday, fields[4]));
  if (Has(cron.weekdays_, 7)) cron.weekdays_ |= 1;
  cron.either_day_ = fields[2][0] != '*' && fields[4][0] != '*';
  if (cron.Find(absl::UnixEpoch()) == absl::InfiniteFuture())
    return absl::InvalidArgumentError(absl::StrCat("'", AsAbsl(text), "' fits no date"));
  return cron;
}

bool Cron::FitsDay(absl::CivilDay day) const {
  if (!Has(months_, day.month())) return false;
  // absl counts from Monday, cron from Sunday.
  const int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;
  const bool by_day = Has(days_, day.day()), by_weekday = Has(weekdays_, weekday);
  return either_day_ ? by_day || by_weekday : by_day && by_weekday;
}

absl::Time Cron::Find(absl::Time after) const {
  const absl::TimeZone utc = absl::UTCTimeZone();
  const absl::CivilMinute from = absl::ToCivilMinute(after, utc) + 1;
  absl::CivilDay day(from);
  int hour = from.hour(), minute = from.minute();
  for (int i = 0; i < kDaysSearched; ++i, ++day, hour = 0, minute = 0) {
    if (!FitsDay(day)) continue;
    for (int at = LowestFrom(hours_, hour); at >= 0; at = LowestFrom(hours_, at + 1)) {
      const int found = LowestFrom(minutes_, at == hour ? minute : 0);
      if (found < 0) continue;
      return absl::FromCivil(absl::CivilMinute(day.year(), day.month(), day.day(), at, found), utc);
    }
  }
  return absl::InfiniteFuture();
}

absl::Time Cron::Next(absl::Time after) const { return Find(after); }

}  // namespace saldo::tasks
