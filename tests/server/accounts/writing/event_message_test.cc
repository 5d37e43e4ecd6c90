#include "server/accounts/writing/event_message.h"

#include <catch2/catch.hpp>

#include "saldo/v1/account_event.pb.h"
#include "tests/server/accounts/account_types.h"

namespace saldo::accounts {
namespace {

TEST_CASE("the message of an event has all of it, whoever added which part") {
  const AccountType wallet = WalletType();
  v1::NewEvent event;
  event.mutable_account()->set_type("wallet");
  (*event.mutable_account()->mutable_key())["client_id"] = "7";
  (*event.mutable_account()->mutable_key())["currency"] = "RUB";
  event.set_side(v1::SIDE_CREDIT);
  Posting posting;
  posting.type = &wallet;
  posting.key = "7\x1fRUB";
  posting.is_credit = true;
  posting.amount = D("1.5");
  posting.occurred_at = absl::FromUnixMicros(1'700'000'000'123'456);
  posting.info = "{\"a\":1}";
  std::string bytes = MessageWithoutIds(event, posting, "r-1");
  AppendIds({.batch_id = 12, .ordinal = 3},
            {.subaccount_id = 9, .balance_after = D("20"), .scale = 2}, &bytes);
  v1::AccountEvent message;
  REQUIRE(message.ParseFromString(bytes));
  CHECK(message.batch_id() == 12);
  CHECK(message.ordinal() == 3);
  CHECK(message.subaccount_id() == 9);
  CHECK(message.account().type() == "wallet");
  CHECK(message.account().key().at("client_id") == "7");
  CHECK(message.side() == v1::SIDE_CREDIT);
  CHECK(message.amount() == "1.50");
  CHECK(message.balance_after() == "20.00");
  CHECK(message.occurred_at().seconds() == 1'700'000'000);
  CHECK(message.occurred_at().nanos() == 123'456'000);
  CHECK(message.info() == "{\"a\":1}");
  CHECK(message.request_id() == "r-1");
  CHECK(MessageKey(posting) == "wallet/7/RUB");
}

}  // namespace
}  // namespace saldo::accounts
