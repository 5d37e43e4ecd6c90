#include "server/tasks/cron.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/test_env.h"

namespace saldo::tasks {
namespace {

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  const std::string full = text.size() == 16 ? text + ":00" : text;
  if (!absl::ParseTime("%Y-%m-%d %H:%M:%E*S", full, &time, &error)) FAIL(text << ": " << error);
  return time;
}

std::string Show(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M", time, absl::UTCTimeZone());
}

}  // namespace

TEST_CASE("the next moment of a cron expression") {
  struct Line {
    const char* cron;
    const char* after;
    const char* next;
  };
  // 2026-11-20 is a Friday.
  static constexpr Line kLines[] = {
      {"* * * * *", "2026-11-20 10:15", "2026-11-20 10:16"},
      {"* * * * *", "2026-11-20 10:15:00.001", "2026-11-20 10:16"},
      {"* * * * *", "2026-11-20 10:14:59.999", "2026-11-20 10:15"},
      {"* * * * *", "2026-12-31 23:59", "2027-01-01 00:00"},
      {"15 * * * *", "2026-11-20 10:15", "2026-11-20 11:15"},
      {"15 * * * *", "2026-11-20 10:14", "2026-11-20 10:15"},
      {"5 0 * * *", "2026-11-20 10:15", "2026-11-21 00:05"},
      {"5 0 * * *", "2026-11-20 00:04:30", "2026-11-20 00:05"},
      {"*/15 * * * *", "2026-11-20 10:15", "2026-11-20 10:30"},
      {"*/15 * * * *", "2026-11-20 10:45", "2026-11-20 11:00"},
      {"*/40 * * * *", "2026-11-20 10:40", "2026-11-20 11:00"},  // steps begin anew each hour
      {"10-20/5 * * * *", "2026-11-20 10:15", "2026-11-20 10:20"},
      {"10-20/5 * * * *", "2026-11-20 10:20", "2026-11-20 11:10"},
      {"10-22/5 * * * *", "2026-11-20 10:20", "2026-11-20 11:10"},
      {"1,31,2-3 * * * *", "2026-11-20 10:02", "2026-11-20 10:03"},
      {"1,31,2-3 * * * *", "2026-11-20 10:03", "2026-11-20 10:31"},
      {"1,31,2-3 * * * *", "2026-11-20 10:31", "2026-11-20 11:01"},
      {"0 9-17 * * *", "2026-11-20 17:00", "2026-11-21 09:00"},
      {"30 9-17 * * *", "2026-11-20 08:00", "2026-11-20 09:30"},
      {"59 23 31 12 *", "2026-11-20 10:15", "2026-12-31 23:59"},
      {"59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59"},
      {"0 0 31 * *", "2026-11-20 10:15", "2026-12-31 00:00"},  // November has 30 days
      {"0 0 29 2 *", "2026-11-20 10:15", "2028-02-29 00:00"},
      {"0 0 29 2 *", "2096-02-29 00:00", "2104-02-29 00:00"},    // 2100 is no leap year
      {"0 0 29 2 */7", "2026-11-20 10:15", "2032-02-29 00:00"},  // on a Sunday
      {"0 0 * 2 *", "2026-11-20 10:15", "2027-02-01 00:00"},
      {"0 0 * feb *", "2026-11-20 10:15", "2027-02-01 00:00"},
      {"0 0 * JAN,mar-Apr *", "2027-01-31 10:15", "2027-03-01 00:00"},
      // Days of the week.
      {"0 0 * * 0", "2026-11-20 10:15", "2026-11-22 00:00"},
      {"0 0 * * 7", "2026-11-20 10:15", "2026-11-22 00:00"},
      {"0 0 * * sun", "2026-11-20 10:15", "2026-11-22 00:00"},
      {"0 0 * * sat", "2026-11-20 10:15", "2026-11-21 00:00"},
      {"0 0 * * mon-fri", "2026-11-20 10:15", "2026-11-23 00:00"},
      {"0 0 * * 5-7", "2026-11-22 00:00", "2026-11-27 00:00"},
      {"0 12 * * Fri", "2026-11-20 10:15", "2026-11-20 12:00"},
      // Both kinds of days given: either fits.
      {"0 0 13 * 5", "2026-11-20 10:15", "2026-11-27 00:00"},
      {"0 0 13 * 5", "2026-12-12 10:15", "2026-12-13 00:00"},
      {"0 0 1,15 * 1", "2026-11-20 10:15", "2026-11-23 00:00"},
      {"0 0 1,15 * 1", "2026-11-30 10:15", "2026-12-01 00:00"},
      // One of them begins with a star: both must fit.
      {"0 0 */2 * 5", "2026-11-20 10:15", "2026-11-27 00:00"},
      {"0 0 */2 * 1", "2026-11-20 10:15", "2026-11-23 00:00"},
      {"0 0 */2 * 1", "2026-11-23 00:00", "2026-12-07 00:00"},  // not the 30th
      {"0 0 13 * */5", "2026-11-20 10:15", "2026-12-13 00:00"},
      // Blanks part the fields.
      {"  0\t0  * *   sun ", "2026-11-20 10:15", "2026-11-22 00:00"},
      // Before the epoch.
      {"0 0 1 1 *", "1955-06-01 10:15", "1956-01-01 00:00"},
  };
  for (const Line& line : kLines) {
    CAPTURE(line.cron, line.after);
    const absl::StatusOr<Cron> cron = Cron::Parse(line.cron);
    INFO(cron.status().ToString());
    REQUIRE(cron.ok());
    CHECK(Show(cron->Next(At(line.after))) == line.next);
    CHECK(cron->text() == line.cron);
  }
}

TEST_CASE("what is no cron expression is refused, with the field") {
  struct Line {
    const char* cron;
    const char* reason;
  };
  static constexpr Line kLines[] = {
      {"", "has 0 fields"},
      {"* * * *", "has 4 fields"},
      {"* * * * * *", "has 6 fields"},
      {"60 * * * *", "minute '60'"},
      {"-1 * * * *", "minute '-1'"},
      {"+1 * * * *", "minute '+1'"},
      {"1- * * * *", "minute '1-'"},
      {"1-2-3 * * * *", "minute '1-2-3'"},
      {"a * * * *", "minute 'a'"},
      {", * * * *", "minute ''"},
      {"1, * * * *", "minute ''"},
      {"** * * * *", "minute '**'"},
      {"*/0 * * * *", "the step must be of 1 to 59"},
      {"*/60 * * * *", "the step must be of 1 to 59"},
      {"*/-1 * * * *", "the step must be"},
      {"*/ * * * *", "the step must be"},
      {"*/2/2 * * * *", "the step must be"},
      {"5/10 * * * *", "a step follows '*' or a range"},
      {"30-10 * * * *", "the range's end is before its start"},
      {"99999999999999999999 * * * *", "minute '99999999999999999999'"},
      {"* 24 * * *", "hour '24'"},
      {"* * 0 * *", "day of month '0': must be of 1 to 31"},
      {"* * 32 * *", "day of month '32'"},
      {"* * * 0 *", "month '0': must be of 1 to 12 or jan to dec"},
      {"* * * 13 *", "month '13'"},
      {"* * * january *", "month 'january'"},
      {"* * * * 8", "day of week '8': must be of 0 to 7 or sun to sat"},
      {"* * * sun *", "month 'sun'"},
      {"@hourly", "has 1 fields"},
      {"0 0 30 2 *", "fits no date"},
      {"0 0 31 4,6,9,11 *", "fits no date"},
  };
  for (const Line& line : kLines) {
    CAPTURE(line.cron);
    const absl::StatusOr<Cron> cron = Cron::Parse(line.cron);
    CHECK(cron.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK_THAT(std::string(cron.status().message()), Catch::Contains(line.reason));
  }
  CHECK_FALSE(Cron::Parse(std::string(1'000, ' ') + "* * * * *").ok());
}

// Against a search minute by minute of an expression that is simple enough to be read from its
// numbers.
TEST_CASE("the next moment is the first that fits") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  std::mt19937_64 random(testing::Seed());
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int i = 0; i < 200; ++i) {
    const int step = pick(1, 59), hour = pick(0, 23), day = pick(1, 31), weekday = pick(0, 6);
    const bool either = pick(0, 1) == 1;
    const std::string text =
        absl::StrCat("*/", step, " ", hour, " ", either ? absl::StrCat(day) : "*", " * ", weekday);
    CAPTURE(text);
    const absl::StatusOr<Cron> cron = Cron::Parse(text);
    REQUIRE(cron.ok());
    const absl::Time after = absl::FromUnixSeconds(pick(0, 2'000'000'000));
    absl::Time naive = absl::FromUnixSeconds(absl::ToUnixSeconds(after) / 60 * 60);
    for (bool fits = false; !fits;) {
      naive += absl::Minutes(1);
      const absl::CivilMinute at = absl::ToCivilMinute(naive, absl::UTCTimeZone());
      const int of_week = (static_cast<int>(absl::GetWeekday(absl::CivilDay(at))) + 1) % 7;
      fits = at.minute() % step == 0 && at.hour() == hour &&
             (of_week == weekday || (either && at.day() == day));
    }
    CHECK(Show(cron->Next(after)) == Show(naive));
  }
}

}  // namespace saldo::tasks
