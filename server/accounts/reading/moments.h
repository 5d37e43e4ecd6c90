// The moments and days that requests name. Pure; what a day's start is, PostgreSQL knows.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "common/rpc/errors.h"
#include "saldo/v1/account_service.pb.h"

namespace saldo::accounts {

// Questions are about moments from 1900-01-01 until 2200-01-01, UTC, and about days within.
absl::Time EarliestMoment();
absl::Time LatestMoment();

// "2026-03-01", or nothing, with the reason in `bad`.
std::optional<absl::CivilDay> CheckDay(std::string_view field, std::string_view text,
                                       rpc::BadRequestBuilder& bad);

// A moment, or the day at whose start it is.
struct AskedMoment {
  absl::Time time;  // in microseconds; finer parts are cut
  std::optional<absl::CivilDay> day;
};
// Adds to `bad` what is wrong; the result is then meaningless.
AskedMoment CheckMoment(std::string_view field, const v1::Moment& moment,
                        rpc::BadRequestBuilder& bad);

// The moment, for people and for the details of errors: RFC 3339 in UTC.
std::string ShowMoment(absl::Time time);

// The first day of the period, and of the one after it.
bool IsPeriodStart(v1::Period period, absl::CivilDay day);
// How many periods lie between two starts of periods.
int64_t PeriodsBetween(v1::Period period, absl::CivilDay from, absl::CivilDay to);

}  // namespace saldo::accounts
