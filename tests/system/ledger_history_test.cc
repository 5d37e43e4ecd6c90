#include "tests/system/ledger_history.h"

#include <catch2/catch.hpp>
#include <functional>

#include "absl/strings/str_cat.h"

namespace saldo::testing {
namespace {

struct World {
  LedgerHistory history;
  LedgerContent content;
  std::vector<PublishedEvent> published;
};

// Three requests, each in a batch of its own, put 2 x 1 into one wallet; whether the third was
// written is not known, nor of one that was not. Another was rejected.
World GoodWorld() {
  World world;
  world.content.limits = {{"wallet", {.min = Decimal(), .max = Decimal::FromInteger(10)}}};
  int64_t balance = 0;
  for (int batch = 1; batch <= 3; ++batch) {
    const std::string id = absl::StrCat("r", batch);
    SentRequest& sent = world.history.requests[id];
    sent.request.set_request_id(id);
    sent.fate = batch < 3 ? Fate::kWritten : Fate::kUnknown;
    sent.answer.set_batch_id(batch);
    sent.answer.set_first_ordinal(1);
    for (int ordinal = 1; ordinal <= 2; ++ordinal) {
      v1::NewEvent* asked = sent.request.add_events();
      asked->mutable_account()->set_type("wallet");
      (*asked->mutable_account()->mutable_key())["client_id"] = "1";
      asked->set_side(v1::SIDE_CREDIT);
      asked->set_amount("1");
      asked->set_info(absl::StrCat(id, "-", ordinal));
      v1::AccountEvent event;
      *event.mutable_account() = asked->account();
      event.set_batch_id(batch);
      event.set_ordinal(ordinal);
      event.set_subaccount_id(7);
      event.set_side(asked->side());
      event.set_amount("1.00");
      event.set_info(asked->info());
      event.set_request_id(id);
      event.set_balance_after(absl::StrCat(++balance, ".00"));
      v1::WrittenEvent* written = sent.answer.add_events();
      written->set_subaccount_id(7);
      written->set_balance_after(event.balance_after());
      world.content.events.push_back(event);
      world.content.seq_of_batch[batch] = batch + 100;
      world.published.push_back({"wallet/1", absl::StrCat("0-", batch, "-", ordinal), event});
    }
  }
  world.history.requests["no"] = world.history.requests["r1"];
  world.history.requests["no"].fate = Fate::kRejected;
  world.history.requests["lost"] = world.history.requests["r1"];
  world.history.requests["lost"].fate = Fate::kUnknown;
  return world;
}

}  // namespace

TEST_CASE("the judge of the ledger finds each kind of fault") {
  struct Row {
    const char* what;
    size_t faults;
    std::function<void(World&)> change;
  };
  const Row rows[] = {
      {"all is well", 0, [](World&) {}},
      {"what is published again is fine", 0,
       [](World& w) {
         const std::vector<PublishedEvent> again = w.published;
         w.published.insert(w.published.end(), again.begin(), again.end());
       }},
      {"an answer that is wrong in itself", 1, [](World& w) { w.history.surprises = {"oh"}; }},
      {"acknowledged, not there", 1,
       [](World& w) { w.history.requests["lost"].fate = Fate::kWritten; }},
      {"rejected, but there", 1, [](World& w) { w.history.requests["r2"].fate = Fate::kRejected; }},
      {"not asked for", 2, [](World& w) { w.history.requests.erase("r3"); }},
      {"half of a request, its other half published", 2,
       [](World& w) { w.content.events.pop_back(); }},
      {"half of a request of unknown fate", 1,
       [](World& w) {
         w.content.events.pop_back();
         w.published.pop_back();
       }},
      {"stored under two batches", 3,
       [](World& w) {
         w.content.events.push_back(w.content.events.back());
         w.content.events.back().set_batch_id(4);
         w.content.events.back().set_balance_after("7.00");
       }},
      {"one id twice", 3,
       [](World& w) {
         w.content.events.push_back(w.content.events.back());
         w.content.events.back().set_balance_after("7.00");
       }},
      {"another amount than asked for", 1,
       [](World& w) { w.history.requests["r1"].request.mutable_events(0)->set_amount("2"); }},
      {"another time than asked for", 1,
       [](World& w) {
         w.history.requests["r1"].request.mutable_events(0)->mutable_occurred_at()->set_seconds(5);
       }},
      {"another balance than answered", 1,
       [](World& w) {
         w.history.requests["r1"].answer.mutable_events(0)->set_balance_after("4.00");
       }},
      {"another batch than answered", 1,
       [](World& w) { w.history.requests["r1"].answer.set_batch_id(2); }},
      {"a balance that does not follow", 1,
       [](World& w) {
         w.content.events[5].set_balance_after("9.00");
         w.published[5].event.set_balance_after("9.00");
       }},
      {"above the limit, after two requests", 2,
       [](World& w) { w.content.limits["wallet"].max = Decimal::FromInteger(3); }},
      {"above the limit within a request only", 0,
       [](World& w) { w.content.limits["wallet"].max = Decimal::FromInteger(6); }},
      {"below the limit", 3,
       [](World& w) { w.content.limits["wallet"].min = Decimal::FromInteger(20); }},
      {"a balance without need", 6, [](World& w) { w.content.limits.clear(); }},
      {"not published", 1, [](World& w) { w.published.erase(w.published.begin() + 2); }},
      {"published, not stored", 1,
       [](World& w) {
         w.published.push_back(w.published[0]);
         w.published.back().event.set_batch_id(9);
       }},
      {"published with other content", 1,
       [](World& w) { w.published[0].event.set_amount("2.00"); }},
      {"published again with other content", 1,
       [](World& w) {
         w.published.push_back(w.published[0]);
         w.published.back().event.set_amount("2.00");
       }},
      {"published in another order", 1,
       [](World& w) { std::swap(w.published[1], w.published[2]); }},
      {"published under another key", 1, [](World& w) { w.published[3].key = "wallet/2"; }},
      {"published under another id", 1, [](World& w) { w.published[3].id = "0-9-1"; }},
      {"seq against the order of batches", 2,
       [](World& w) { std::swap(w.content.seq_of_batch[1], w.content.seq_of_batch[2]); }},
      {"no seq", 4, [](World& w) { w.content.seq_of_batch.erase(3); }},
  };
  for (const Row& row : rows) {
    World world = GoodWorld();
    row.change(world);
    const std::vector<std::string> faults =
        FindFaults(world.history, world.content, world.published);
    INFO(row.what);
    for (const std::string& fault : faults) UNSCOPED_INFO(fault);
    CHECK(faults.size() == row.faults);
  }
}

}  // namespace saldo::testing
