#include "server/accounts/writing/rules.h"

#include <limits>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/observability/text.h"
#include "common/rpc/errors.h"
#include "common/rpc/field_checks.h"
#include "nlohmann/json.hpp"
#include "server/accounts/types/attributes.h"
#include "server/accounts/writing/event_message.h"
#include "server/accounts/writing/fingerprint.h"

namespace saldo::accounts {
namespace {

using rpc::BadRequestBuilder;

constexpr std::string_view kErrorDomain = "saldo";
// Of a name that a caller made up, in an error.
constexpr size_t kShownBytesMax = 64;

// The fields of one event. Names of fields are only made for faults: most events have none.
class EventCheck {
 public:
  EventCheck(int index, BadRequestBuilder& bad) : index_(index), bad_(bad) {}

  void Amount(const std::string& text, const AccountType& type, Decimal* amount) {
    const absl::StatusOr<Decimal> parsed = Decimal::Parse(text);
    if (!parsed.ok()) {
      Fault("amount", parsed.status().message());
    } else if (!parsed->IsPositive()) {
      Fault("amount", "must be above 0");
    } else if (*parsed >= kAmountEnd) {
      Fault("amount", "must be below 10^15");
    } else if (parsed->FractionDigits() > type.scale) {
      Fault("amount", absl::StrCat("must have at most ", type.scale,
                                   " digits after the point, as its type has"));
    } else {
      *amount = *parsed;
    }
  }

  void OccurredAt(const google::protobuf::Timestamp& given, absl::Time now, absl::Time* time) {
    // Seconds beyond these are no dates of the Timestamp message, and could overflow below.
    constexpr int64_t kSecondsMax = 253'402'300'799;  // 9999-12-31T23:59:59Z
    const bool valid = given.seconds() >= 0 && given.seconds() <= kSecondsMax &&
                       given.nanos() >= 0 && given.nanos() < 1'000'000'000;
    if (valid) {
      *time = absl::FromUnixMicros(given.seconds() * 1'000'000 + given.nanos() / 1000);
      if (*time >= kOccurredMin && *time <= now + kFutureMax) return;
    }
    Fault("occurred_at", absl::StrCat("must lie between 2000-01-01T00:00:00Z and a day from now, ",
                                      absl::FormatTime(now + kFutureMax, absl::UTCTimeZone())));
  }

  void Info(const std::string& info) {
    if (info.empty()) return;
    const size_t first = info.find_first_not_of(" \t\r\n");
    if (info.size() > kInfoBytesMax) {
      Fault("info",
            absl::StrCat("has ", info.size(), " bytes; at most ", kInfoBytesMax, " are kept"));
    } else if (first == std::string::npos || info[first] != '{' ||
               info.find('\0') != std::string::npos || !nlohmann::json::accept(info)) {
      // The parser takes a NUL for the end.
      Fault("info", "must be a JSON object");
    }
  }

  void Side(v1::Side side) {
    if (side != v1::SIDE_DEBIT && side != v1::SIDE_CREDIT) {
      Fault("side", "must be SIDE_DEBIT or SIDE_CREDIT");
    }
  }

  void Fault(std::string_view field, absl::string_view what) {
    bad_.Add(Field(field), std::string_view(what.data(), what.size()));
  }
  std::string Field(std::string_view field) const {
    return absl::StrCat("events[", index_, "].", AsAbsl(field));
  }

 private:
  const int index_;
  BadRequestBuilder& bad_;
};

std::string UnknownType(const std::string& name, const AccountTypes& types) {
  std::string known;
  for (const AccountType& type : types.all()) {
    if (type.built_in) continue;
    absl::StrAppend(&known, known.empty() ? "" : ", ", type.name);
  }
  return absl::StrCat("there is no account type '", AsAbsl(text::CutUtf8(name, kShownBytesMax)),
                      "'; there are ", known);
}

Posting CheckEvent(int index, const v1::NewEvent& event, const AccountTypes& types, absl::Time now,
                   BadRequestBuilder& bad) {
  EventCheck check(index, bad);
  Posting posting;
  posting.type = types.Find(event.account().type());
  check.Side(event.side());
  posting.is_credit = event.side() == v1::SIDE_CREDIT;
  posting.occurred_at = now;
  if (event.has_occurred_at()) check.OccurredAt(event.occurred_at(), now, &posting.occurred_at);
  check.Info(event.info());
  posting.info = event.info();
  if (posting.type == nullptr) {
    check.Fault("account.type", UnknownType(event.account().type(), types));
    return posting;
  }
  if (posting.type->built_in) {
    check.Fault("account.type", "is of the program itself, and written through its own service");
    return posting;
  }
  check.Amount(event.amount(), *posting.type, &posting.amount);
  posting.key =
      keys::EncodeValues(check.Field("account.key"), posting.type->key, event.account().key(), bad);
  posting.attributes = keys::EncodeValues(check.Field("attributes"), posting.type->auxiliary,
                                          event.attributes(), bad);
  return posting;
}

absl::Status NotBalanced(const std::string& asset, const std::string& debit,
                         const std::string& credit) {
  return rpc::WithErrorInfo(
      absl::FailedPreconditionError(absl::StrCat("the request is not balanced in ", asset,
                                                 ": debits are ", debit, ", credits are ", credit)),
      "NOT_BALANCED", kErrorDomain, {{"asset", asset}, {"debit", debit}, {"credit", credit}});
}

absl::Status CheckBalanced(const std::vector<Posting>& postings) {
  struct Sums {
    Decimal debit, credit;
  };
  std::map<std::string, Sums> sums;
  for (const Posting& posting : postings) {
    Sums& sum = sums[AssetOf(*posting.type, posting.key)];
    Decimal& side = posting.is_credit ? sum.credit : sum.debit;
    if (!Decimal::Add(side, posting.amount, &side))
      return absl::OutOfRangeError("the sum of the amounts is too large");
  }
  for (const auto& [asset, sum] : sums) {
    if (sum.debit != sum.credit)
      return NotBalanced(asset, sum.debit.ToString(), sum.credit.ToString());
  }
  return absl::OkStatus();
}

}  // namespace

const absl::Time kOccurredMin = absl::FromUnixSeconds(946'684'800);

absl::StatusOr<WriteRequest> Check(const v1::WriteEventsRequest& request,
                                   std::shared_ptr<const AccountTypes> types, absl::Time now) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  if (request.events_size() < 1 || request.events_size() > kEventsMax) {
    bad.Add("events",
            absl::StrCat("must be 1 to ", kEventsMax, "; there are ", request.events_size()));
    return bad.Build();
  }
  now = absl::FromUnixMicros(absl::ToUnixMicros(now));
  WriteRequest result;
  result.id = request.request_id();
  result.balanced = request.balanced();
  result.dry_run = request.dry_run();
  result.postings.reserve(static_cast<size_t>(request.events_size()));
  for (int i = 0; i < request.events_size(); ++i) {
    result.postings.push_back(CheckEvent(i, request.events(i), *types, now, bad));
  }
  SALDO_RETURN_IF_ERROR(bad.Build());
  if (result.balanced) SALDO_RETURN_IF_ERROR(CheckBalanced(result.postings));
  result.fingerprint = FingerprintOf(request, result);
  for (int i = 0; i < request.events_size(); ++i) {
    Posting& posting = result.postings[static_cast<size_t>(i)];
    posting.message = MessageWithoutIds(request.events(i), posting, result.id);
  }
  result.types = std::move(types);
  return result;
}

}  // namespace saldo::accounts
