#include "server/accounts/service.h"

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "common/rpc/errors.h"
#include "google/rpc/error_details.pb.h"
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

AccountService::AccountService(Types types, Writer& writer, BalanceReader& reader,
                               rpc::Dispatcher& dispatcher, metrics::Registry& registry)
    : types_(std::move(types)),
      writer_(writer),
      reader_(reader),
      registry_(registry),
      write_(dispatcher, Api::service_full_name(), "WriteEvents"),
      write_stream_(dispatcher, Api::service_full_name(), "WriteEventsStream"),
      get_balance_(dispatcher, Api::service_full_name(), "GetBalance"),
      batch_get_balances_(dispatcher, Api::service_full_name(), "BatchGetBalances"),
      get_turnover_(dispatcher, Api::service_full_name(), "GetTurnover"),
      list_turnovers_(dispatcher, Api::service_full_name(), "ListTurnovers"),
      list_events_(dispatcher, Api::service_full_name(), "ListEvents") {}

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
  absl::StatusOr<WriteRequest> checked = Check(request, types_(), absl::Now());
  if (!checked.ok()) {
    Count(checked.status());
    return call->Finish(checked.status());
  }
  const CallContext context = call->context();
  const trace::SpanContext trace = call->trace_context();
  writer_.Submit(*std::move(checked), context, trace,
                 [this, call = std::move(call), &response](absl::StatusOr<Written> written) {
                   if (written.ok()) Fill(*written, response);
                   Count(written.status());
                   call->Finish(written.status());
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
  absl::StatusOr<WriteRequest> checked = Check(request, types_(), absl::Now());
  if (!checked.ok()) {
    fail(checked.status());
    return item->Finish(absl::OkStatus());
  }
  const CallContext context = item->context();
  const trace::SpanContext trace = item->trace_context();
  writer_.Submit(*std::move(checked), context, trace,
                 [item = std::move(item), &response, fail](absl::StatusOr<Written> written) {
                   if (written.ok()) {
                     Fill(*written, *response.mutable_written());
                   } else {
                     fail(written.status());
                   }
                   item->Finish(absl::OkStatus());
                 });
}

}  // namespace saldo::accounts
