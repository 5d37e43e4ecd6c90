#include "server/accounts/service.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/errors.h"
#include "google/rpc/error_details.pb.h"
#include "server/accounts/routing.h"
#include "server/accounts/writing/rules.h"

namespace saldo::accounts {
namespace {

using Api = v1::AccountService;

void Fill(const Written& written, v1::WriteEventsResponse& response) {
  response.set_batch_id(written.batch_id);
  response.set_first_ordinal(written.first_ordinal);
  response.mutable_events()->Reserve(static_cast<int>(written.postings.size()));
  for (const WrittenPosting& posting : written.postings) {
    v1::WrittenEvent* event = response.add_events();
    event->set_subaccount_id(posting.subaccount_id);
    if (posting.balance_after.has_value()) {
      posting.balance_after->AppendTo(event->mutable_balance_after(), posting.scale);
    }
  }
}

}  // namespace

AccountService::AccountService(shards::ShardSet& shards,
                               absl::Span<const std::unique_ptr<ShardLedger>> ledgers,
                               rpc::Dispatcher& dispatcher, metrics::Registry& registry)
    : shards_(shards),
      ledgers_(ledgers),
      registry_(registry),
      write_(dispatcher, Api::service_full_name(), "WriteEvents"),
      write_stream_(dispatcher, Api::service_full_name(), "WriteEventsStream"),
      get_balance_(dispatcher, Api::service_full_name(), "GetBalance"),
      batch_get_balances_(dispatcher, Api::service_full_name(), "BatchGetBalances"),
      get_turnover_(dispatcher, Api::service_full_name(), "GetTurnover"),
      list_turnovers_(dispatcher, Api::service_full_name(), "ListTurnovers"),
      list_events_(dispatcher, Api::service_full_name(), "ListEvents") {}

absl::StatusOr<AccountService::Target> AccountService::TargetOf(
    const v1::AccountKey& account) const {
  // Which shard an account is on does not differ between the types of one shard and another's.
  Target target{.shard = shards::ShardSet::kHome, .types = nullptr};
  for (const auto& ledger : ledgers_) {
    std::shared_ptr<const AccountTypes> types = ledger->types();
    if (types == nullptr) continue;
    // A shard that was away when the types were reloaded does not know the new ones.
    const bool known = types->Find(account.type()) != nullptr;
    if (!known && target.types != nullptr) continue;
    target = {.shard = ledger->shard(), .types = std::move(types)};
    if (known) break;
  }
  if (ledgers_.size() > 1 && target.types != nullptr) {
    const std::optional<size_t> shard = ShardOf(shards_.map(), *target.types, account);
    // The types that cannot place the account say why.
    if (!shard.has_value()) return target;
    target = {.shard = *shard, .types = ledgers_[*shard]->types()};
  }
  SALDO_RETURN_IF_ERROR(shards_.Check(target.shard));
  return target;
}

absl::StatusOr<AccountService::CheckedWrite> AccountService::CheckWrite(
    const v1::WriteEventsRequest& request) const {
  SALDO_ASSIGN_OR_RETURN(const Target target,
                         TargetOf(request.events_size() > 0 ? request.events(0).account()
                                                            : v1::AccountKey::default_instance()));
  CheckedWrite checked{.shard = target.shard, .request = {}};
  SALDO_ASSIGN_OR_RETURN(checked.request, Check(request, target.types, absl::Now()));
  SALDO_RETURN_IF_ERROR(CheckOneShard(shards_.map(), checked.request));
  for (const RequestExtension* extension : extensions_)
    SALDO_RETURN_IF_ERROR(extension->Extend(request, checked.shard, &checked.request));
  return checked;
}

absl::Status AccountService::ReadBalances(rpc::Call& call,
                                          const v1::BatchGetBalancesRequest& request,
                                          v1::BatchGetBalancesResponse& response) {
  const CallContext context = call.context();
  const auto read = [&](const Target& target, const v1::BatchGetBalancesRequest& asked,
                        v1::BatchGetBalancesResponse& answer) {
    return ledgers_[target.shard]->reader().BatchGetBalances(context, *target.types, asked, answer);
  };
  SALDO_ASSIGN_OR_RETURN(const Target target, TargetOf(request.accounts_size() > 0
                                                           ? request.accounts(0)
                                                           : v1::AccountKey::default_instance()));
  std::vector<BalancesPart> parts;
  if (shards_.size() > 1) parts = PartByShard(shards_.map(), *target.types, request);
  if (parts.empty()) return shards_.Named(target.shard, read(target, request, response));

  std::vector<size_t> which;
  which.reserve(parts.size());
  for (const BalancesPart& part : parts) which.push_back(part.shard);
  std::vector<v1::BatchGetBalancesResponse> answers(shards_.size());
  SALDO_RETURN_IF_ERROR(shards_.ForEach(which, [&](size_t shard) {
    const auto part = std::find_if(parts.begin(), parts.end(),
                                   [&](const BalancesPart& one) { return one.shard == shard; });
    return read({.shard = shard, .types = ledgers_[shard]->types()}, part->request, answers[shard]);
  }));
  for (int i = 0; i < request.accounts_size(); ++i) response.add_accounts();
  for (const BalancesPart& part : parts) {
    for (size_t i = 0; i < part.places.size(); ++i) {
      response.mutable_accounts(part.places[i])
          ->Swap(answers[part.shard].mutable_accounts(static_cast<int>(i)));
    }
  }
  return absl::OkStatus();
}

void AccountService::Count(const absl::Status& status) {
  if (status.ok()) return;
  google::rpc::ErrorInfo info;
  const std::string reason =
      rpc::GetDetail(status, &info) ? info.reason() : absl::StatusCodeToString(status.code());
  registry_
      .AddCounter("saldo_ledger_rejections_total",
                  "Requests that were not written, by the reason of their ErrorInfo or their code.",
                  {{"reason", reason}})
      .Increment();
}

void AccountService::Write(std::shared_ptr<rpc::AsyncCall> call,
                           const v1::WriteEventsRequest& request,
                           v1::WriteEventsResponse& response) {
  absl::StatusOr<CheckedWrite> checked = CheckWrite(request);
  if (!checked.ok()) {
    Count(checked.status());
    return call->Finish(checked.status());
  }
  const CallContext context = call->context();
  const trace::SpanContext trace = call->trace_context();
  const size_t shard = checked->shard;
  ledgers_[shard]->writer().Submit(
      std::move(checked->request), context, trace,
      [this, shard, call = std::move(call), &response](absl::StatusOr<Written> written) {
        if (written.ok()) Fill(*written, response);
        const absl::Status status = shards_.Named(shard, written.status());
        Count(status);
        call->Finish(status);
      });
}

void AccountService::WriteOfStream(std::shared_ptr<rpc::StreamItem> item,
                                   const v1::WriteEventsRequest& request,
                                   v1::WriteEventsStreamResponse& response) {
  response.set_request_id(request.request_id());
  const std::string trace_id = item->trace_context().trace_id_hex();
  // A request that fails is an answer; the stream goes on.
  const auto fail = [this, &response, trace_id](const absl::Status& status) {
    Count(status);
    *response.mutable_error() = rpc::ToStatusMessage(status, trace_id);
  };
  absl::StatusOr<CheckedWrite> checked = CheckWrite(request);
  if (!checked.ok()) {
    fail(checked.status());
    return item->Finish(absl::OkStatus());
  }
  const CallContext context = item->context();
  const trace::SpanContext trace = item->trace_context();
  const size_t shard = checked->shard;
  ledgers_[shard]->writer().Submit(
      std::move(checked->request), context, trace,
      [this, shard, item = std::move(item), &response, fail](absl::StatusOr<Written> written) {
        if (written.ok()) {
          Fill(*written, *response.mutable_written());
        } else {
          fail(shards_.Named(shard, written.status()));
        }
        item->Finish(absl::OkStatus());
      });
}

}  // namespace saldo::accounts
