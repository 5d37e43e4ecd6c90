// Transfers between wallets of two shards: each step, and what happens when it is the last one.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <string>

#include "absl/synchronization/notification.h"
#include "common/runtime/thread.h"
#include "tests/server/wallets/wallet_server.h"
#include "tests/support/capture_log.h"
#include "tests/support/test_env.h"

namespace saldo::wallets {
namespace {

constexpr size_t kSouth = 0;
constexpr size_t kNorth = 1;

struct World {
  static WalletServerOptions Quiet() {
    WalletServerOptions options;
    options.wallets.transfers.enabled = false;
    options.wallets.holds.enabled = false;
    return options;
  }
  Databases databases{2};
  WalletServer server{databases, Quiet()};
  std::string payer = server.CreateOn(kSouth, "payer");
  std::string payee = server.CreateOn(kNorth, "payee");

  World() {
    if (!server.TopUp("top up", payer, "100").ok()) throw std::runtime_error("top up");
  }

  // The first step alone, as a server leaves it that dies after it.
  TransferRow Debit(const std::string& request_id, const std::string& amount) {
    const TransferOrder order{request_id, payer, payee, *Decimal::Parse(amount), "text"};
    absl::Notification done;
    server.wallets.core().Write(
        kSouth, caller(),
        [&](const MovementContext& context) { return Send(context, order, "RUB"); },
        [&](const absl::StatusOr<accounts::Written>& written) {
          if (written.ok()) done.Notify();
        });
    if (!done.WaitForNotificationWithTimeout(kPatience)) throw std::runtime_error("debit");
    return {TransferIdOf(payer, request_id), payer, payee, order.amount, "RUB", request_id, "text"};
  }
  // Why it was refused; empty when it was credited.
  std::string Decide(const TransferRow& transfer) {
    absl::Notification done;
    std::string result;
    server.wallets.transfers().Decide(transfer, caller(), [&](absl::StatusOr<std::string> decided) {
      result = decided.ok() ? *decided : decided.status().ToString();
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  absl::Status End(const TransferRow& transfer, const std::string& reason) {
    absl::Notification done;
    absl::Status result;
    server.wallets.transfers().End(transfer, reason, caller(), [&](absl::Status ended) {
      result = std::move(ended);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  TransferDriver::Outcome Drive(const TransferRow& transfer) {
    absl::Notification done;
    TransferDriver::Outcome result;
    server.wallets.transfers().Drive(transfer, caller(), [&](TransferDriver::Outcome outcome) {
      result = std::move(outcome);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  // The job of the payer's shard.
  bool Sweep() {
    TransferSweeper sweeper({.grace = absl::ZeroDuration()}, server.wallets.core(),
                            server.wallets.transfers(), kSouth);
    return sweeper.RunOnce().ok();
  }
  v1::TransferState StateOf(const TransferRow& transfer) {
    return server.GetTransfer(transfer.transfer_id)->state();
  }
  // Forgets all requests, as time does.
  void ForgetRequests() {
    for (size_t i : {kSouth, kNorth}) databases.Query(i, "DELETE FROM write_requests");
  }
  static Caller caller() { return {CallContext::WithTimeout(kPatience), {}}; }
};

TEST_CASE("a transfer between shards is settled by the call") {
  World w;
  for (int repeat = 0; repeat < 2; ++repeat) {
    v1::TransferResponse response;
    REQUIRE(w.server.Transfer("m", w.payer, w.payee, "30", &response).ok());
    CHECK(response.state() == v1::TRANSFER_STATE_SETTLED);
    CHECK(response.balance() == "70.00");
    CHECK(w.server.GetTransfer(response.transfer_id())->state() == v1::TRANSFER_STATE_SETTLED);
    CHECK(w.server.Balance(w.payer) == "70.00");
    CHECK(w.server.Balance(w.payee) == "30.00");
  }
  CHECK(Reason(w.server.Transfer("m", w.payer, w.payee, "31")) == "REQUEST_ID_REUSED");
  CHECK(Reason(w.server.Transfer("m2", w.payer, w.payee, "71")) == "INSUFFICIENT_FUNDS");
  const auto in = w.server.Transactions(w.payee);
  REQUIRE(in.transactions_size() == 1);
  CHECK(in.transactions(0).counterparty_wallet_id() == w.payer);
  CHECK(in.transactions(0).description() == "for m");
  CHECK(w.databases.Sum("SELECT coalesce(sum(amount), 0) FROM imbalances") == Decimal());
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("whatever step is the last, the job goes on from there, once") {
  World w;
  const TransferRow debited = w.Debit("a", "10");
  const TransferRow credited = w.Debit("b", "20");
  REQUIRE(w.Decide(credited) == "");
  for (const TransferRow* one : {&debited, &credited})
    CHECK(w.StateOf(*one) == v1::TRANSFER_STATE_DEBITED);
  CHECK(w.server.Balance(w.payer) == "70.00");
  CHECK(w.server.Balance(w.payee) == "20.00");
  CHECK(Imbalance(w.databases) == "");
  // A wallet does not close while its money is under way.
  REQUIRE(w.server.Withdraw("w", w.payer, "70").ok());
  CHECK(Reason(w.server.Close("x", w.payer)) == "WALLET_HAS_TRANSFERS");
  const bool forgotten = GENERATE(false, true);
  CAPTURE(forgotten);
  if (forgotten) w.ForgetRequests();
  for (int again = 0; again < 2; ++again) {
    REQUIRE(w.Sweep());
    for (const TransferRow* one : {&debited, &credited}) {
      CHECK(w.StateOf(*one) == v1::TRANSFER_STATE_SETTLED);
      CHECK(w.Drive(*one).state == v1::TRANSFER_STATE_SETTLED);
    }
    CHECK(w.server.Balance(w.payee) == "30.00");
    w.ForgetRequests();
  }
  CHECK(w.server.Balance(w.payer) == "0.00");
  CHECK(w.server.Close("x", w.payer).ok());
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("money that cannot be credited comes back, and the refusal is final") {
  World w;
  const TransferRow early = w.Debit("a", "10");
  REQUIRE(w.server.Close("x", w.payee).ok());
  v1::TransferResponse response;
  REQUIRE(w.server.Transfer("m", w.payer, w.payee, "5", &response).ok());
  CHECK(response.state() == v1::TRANSFER_STATE_REFUNDED);
  CHECK(response.refund_reason() == "WALLET_CLOSED");
  CHECK(w.server.Balance(w.payer) == "90.00");
  CHECK(w.Decide(early) == "WALLET_CLOSED");
  CHECK(w.StateOf(early) == v1::TRANSFER_STATE_DEBITED);
  CHECK(Imbalance(w.databases) == "");
  // Even if the wallet took money again, what was refused stays so.
  w.databases.Query(kNorth,
                    "UPDATE wallets SET closed_at = NULL; "
                    "UPDATE account_balances SET closed = false");
  const bool forgotten = GENERATE(false, true);
  CAPTURE(forgotten);
  if (forgotten) w.ForgetRequests();
  REQUIRE(w.Sweep());
  CHECK(w.StateOf(early) == v1::TRANSFER_STATE_REFUNDED);
  CHECK(w.Drive(early).refund_reason == "WALLET_CLOSED");
  CHECK(w.server.Balance(w.payer) == "100.00");
  CHECK(w.server.Balance(w.payee) == "0.00");
  const auto listed = w.server.Transactions(w.payer);
  CHECK(listed.transactions(0).kind() == v1::WALLET_EVENT_KIND_TRANSFER_REFUND);
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("an id that the payee's shard knows of another transfer moves nothing more") {
  World w;
  REQUIRE(w.server.Transfer("credited", w.payer, w.payee, "10").ok());
  REQUIRE(w.server.Transfer("requested", w.payer, w.payee, "10").ok());
  // The payer's shard comes back from a backup that has neither, and its caller pays anew.
  w.databases.Query(kSouth, "DELETE FROM wallet_transfers_out; DELETE FROM write_requests");
  w.databases.Query(kNorth, "DELETE FROM write_requests WHERE request_id LIKE '%\\_credited'");
  testing::CaptureLog log;
  for (const char* id : {"credited", "requested"}) {
    v1::TransferResponse response;
    REQUIRE(w.server.Transfer(id, w.payer, w.payee, "11", &response).ok());
    CHECK(response.state() == v1::TRANSFER_STATE_DEBITED);
  }
  REQUIRE(w.Sweep());
  // Once for all of these, and apart from those that merely wait.
  constexpr const char* kWaits = "a transfer is left in transit";
  constexpr const char* kUndecidable = "a transfer stays in transit until people decide it";
  const std::string logged = log.Text();
  CHECK(testing::CountOf(logged, kWaits) == 0);
  CHECK(testing::CountOf(logged, kUndecidable) == 1);
  CHECK_THAT(logged, Catch::Contains("knows another transfer under the id"));
  const TransferRow waiting = w.Debit("waiting", "1");
  w.databases.Query(kNorth, "ALTER TABLE wallet_transfers_in RENAME TO gone");
  testing::CaptureLog later;
  CHECK(w.Drive(waiting).state == v1::TRANSFER_STATE_DEBITED);
  CHECK(testing::CountOf(later.Text(), kWaits) == 1);
  w.databases.Query(kNorth, "ALTER TABLE gone RENAME TO wallet_transfers_in");
  CHECK(w.Drive(waiting).state == v1::TRANSFER_STATE_SETTLED);
  CHECK(w.server.Balance(w.payer) == "57.00");
  CHECK(w.server.Balance(w.payee) == "21.00");
  CHECK(w.databases.Query(kSouth,
                          "SELECT sum(amount) FROM wallet_transfers_out "
                          "WHERE state = 'debited'") == "22");
}

TEST_CASE("a transfer is counted once for each state that it reaches") {
  World w;
  const std::string near = w.server.CreateOn(kSouth, "near");
  const auto hold = w.server.Hold("h", w.payer, "10");
  const TransferRow left = w.Debit("left", "1");
  for (int repeat = 0; repeat < 3; ++repeat) {
    REQUIRE(w.server.Transfer("near", w.payer, near, "1").ok());
    REQUIRE(w.server.Transfer("far", w.payer, w.payee, "1").ok());
    REQUIRE(w.server.Capture("k", hold->hold_id(), "1", near).ok());
    REQUIRE(w.Sweep());
    CHECK(w.Drive(left).state == v1::TRANSFER_STATE_SETTLED);
  }
  REQUIRE(w.server.Withdraw("w", w.payee, "2").ok());
  REQUIRE(w.server.Close("x", w.payee).ok());
  for (int repeat = 0; repeat < 2; ++repeat)
    REQUIRE(w.server.Transfer("back", w.payer, w.payee, "1").ok());
  const std::string metrics = w.server.registry.Text();
  for (const char* line :
       {"{outcome=\"settled\"} 4\n", "{outcome=\"debited\"} 3\n", "{outcome=\"refunded\"} 1\n"})
    CHECK_THAT(metrics, Catch::Contains(std::string("saldo_wallet_transfers_total") + line));
}

TEST_CASE("a payee that is not there gets nothing") {
  World w;
  TransferRow transfer = w.Debit("a", "10");
  w.databases.Query(kSouth, "UPDATE wallet_transfers_out SET to_wallet_id = 'w_' || md5('x')");
  for (int i = 0;; ++i) {
    const std::string nobody = WalletIdOf("", "nobody" + std::to_string(i));
    if (w.server.shards.map().Of(nobody) != kNorth) continue;
    w.databases.Query(kSouth, "UPDATE wallet_transfers_out SET to_wallet_id = '" + nobody + "'");
    break;
  }
  REQUIRE(w.Sweep());
  const auto seen = w.server.GetTransfer(transfer.transfer_id);
  CHECK(seen->state() == v1::TRANSFER_STATE_REFUNDED);
  CHECK(seen->refund_reason() == "WALLET_NOT_FOUND");
  CHECK(w.server.Balance(w.payer) == "100.00");
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("a hold is captured to a wallet of another shard") {
  World w;
  const auto hold = w.server.Hold("h", w.payer, "10");
  REQUIRE(hold.ok());
  for (int repeat = 0; repeat < 2; ++repeat) {
    v1::CaptureHoldResponse response;
    REQUIRE(w.server.Capture("k", hold->hold_id(), "6", w.payee, &response).ok());
    CHECK(response.transfer_state() == v1::TRANSFER_STATE_SETTLED);
    CHECK(w.server.GetTransfer(response.transfer_id())->amount() == "6.00");
  }
  CHECK(w.server.Balance(w.payer) == "94.00");
  CHECK(w.server.Balance(w.payee) == "6.00");
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("wallets of all shards are in one list") {
  World w;
  const std::string more = w.server.CreateOn(kNorth, "more");
  v1::ListWalletsRequest request;
  request.set_page_size(2);
  std::vector<std::string> seen;
  do {
    v1::ListWalletsResponse page;
    REQUIRE(w.server.Call(&Stub::ListWallets, request, &page).ok());
    for (const auto& one : page.wallets()) seen.push_back(one.wallet_id());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  std::vector<std::string> all = {w.payer, w.payee, more};
  std::sort(all.begin(), all.end());
  CHECK(seen == all);
}

TEST_CASE("a payee that closes while it is paid gets the money or the payer has it back") {
  World w;
  WalletServerOptions eager;
  eager.wallets.transfers.interval = absl::Milliseconds(10);
  eager.wallets.transfers.grace = absl::ZeroDuration();
  WalletServer other(w.databases, eager);
  for (int round = 0; round < 12; ++round) {
    const std::string name = "closing" + std::to_string(round);
    const std::string payee = w.server.CreateOn(kNorth, name);
    std::vector<std::string> reasons(4);
    std::vector<runtime::Thread> callers;
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back("caller", [&, caller] {
        const WalletServer& server = caller % 2 == 0 ? w.server : other;
        const std::string id = "of " + name + "." + std::to_string(caller);
        const absl::Status status =
            caller < 2 ? server.Transfer(id, w.payer, payee, "1") : server.Close(id, payee);
        reasons[static_cast<size_t>(caller)] = Reason(status);
      });
    }
    for (runtime::Thread& caller : callers) caller.Join();
    for (const std::string& reason : reasons) {
      INFO(reasons[0] << ", " << reasons[1] << ", " << reasons[2] << ", " << reasons[3]);
      CHECK((reason == "OK" || reason == "WALLET_NOT_EMPTY" || reason == "WALLET_CLOSED"));
    }
  }
  CHECK(testing::Eventually(kPatience, [&] {
    return w.databases.Query(kSouth,
                             "SELECT count(*) FROM wallet_transfers_out "
                             "WHERE state = 'debited'") == "0";
  }));
  // Each was credited or refused, and that once.
  CHECK(w.databases.Query(kSouth,
                          "SELECT count(*) FROM wallet_transfers_out "
                          "WHERE state = 'settled'") ==
        w.databases.Query(kNorth,
                          "SELECT count(*) FROM wallet_transfers_in "
                          "WHERE refused_reason IS NULL"));
  CHECK(w.databases.Query(kNorth, "SELECT count(*) FROM wallet_transfers_in") == "24");
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("callers and jobs of two servers drive the same transfers") {
  World w;
  WalletServerOptions eager;
  eager.wallets.transfers.interval = absl::Milliseconds(20);
  eager.wallets.transfers.grace = absl::ZeroDuration();
  WalletServer other(w.databases, eager);
  REQUIRE(w.server.TopUp("t", w.payee, "100").ok());
  constexpr int kCallers = 8;
  constexpr int kCalls = 25;
  std::atomic<int> failed{0};
  std::vector<runtime::Thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back("caller", [&, caller] {
      for (int i = 0; i < kCalls; ++i) {
        const bool forth = (caller + i) % 2 == 0;
        const absl::Status status =
            (i % 3 == 0 ? other : w.server)
                .Transfer("m" + std::to_string(caller) + "." + std::to_string(i),
                          forth ? w.payer : w.payee, forth ? w.payee : w.payer, "3");
        if (!status.ok() && Reason(status) != "INSUFFICIENT_FUNDS") ++failed;
      }
    });
  }
  for (runtime::Thread& caller : callers) caller.Join();
  CHECK(failed == 0);
  CHECK(testing::Eventually(kPatience, [&] {
    return w.databases.Sum("SELECT count(*) FROM wallet_transfers_out WHERE state = 'debited'")
        .IsZero();
  }));
  CHECK(w.databases.Sum("SELECT sum(balance) FROM account_balances AS b JOIN accounts USING "
                        "(account_id) JOIN account_types AS t USING (type_id) "
                        "WHERE t.name = 'saldo_wallet'") == *Decimal::Parse("200"));
  CHECK(Imbalance(w.databases) == "");
}

}  // namespace
}  // namespace saldo::wallets
