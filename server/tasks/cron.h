// Cron expressions: five fields, in UTC. Pure.
//
//   minute 0-59, hour 0-23, day of month 1-31, month 1-12 or jan-dec, day of week 0-7 or sun-sat (0
//   and 7 are Sunday)
//
// A field is "*", a number, a range "a-b", one of those two with a step "*/n" or "a-b/n", or a list
// of such parts with commas. As crontab(5) has it, where neither the day of month nor the day of
// week starts with "*", a day matches that fits either of them; otherwise it must fit both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace saldo::tasks {

class Cron {
 public:
  // INVALID_ARGUMENT names the field at fault, or says that no date ever fits ("0 0 30 2 *").
  static absl::StatusOr<Cron> Parse(std::string_view text);

  // The first moment after `after` that fits, always on a whole minute.
  absl::Time Next(absl::Time after) const;

  // As it was parsed.
  const std::string& text() const { return text_; }

 private:
  Cron() = default;
  bool FitsDay(absl::CivilDay day) const;
  // InfiniteFuture when none fits within 400 years, after which the calendar repeats.
  absl::Time Find(absl::Time after) const;

  std::string text_;
  // Bit n: the value n fits.
  uint64_t minutes_ = 0;
  uint64_t hours_ = 0;
  uint64_t days_ = 0;
  uint64_t months_ = 0;
  uint64_t weekdays_ = 0;  // 0 is Sunday
  bool either_day_ = false;
};

}  // namespace saldo::tasks
