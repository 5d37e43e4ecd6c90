// Requests to the ledger of TestApp, which has the account types of the built-in example.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/rpc/errors.h"
#include "saldo/v1/account_service.pb.h"

namespace saldo::server {

inline v1::NewEvent Event(const std::string& type, const std::map<std::string, std::string>& key,
                          const std::map<std::string, std::string>& attributes,
                          const std::string& amount) {
  v1::NewEvent event;
  event.mutable_account()->set_type(type);
  event.mutable_account()->mutable_key()->insert(key.begin(), key.end());
  event.mutable_attributes()->insert(attributes.begin(), attributes.end());
  const bool debit = amount[0] == '-';
  event.set_side(debit ? v1::SIDE_DEBIT : v1::SIDE_CREDIT);
  event.set_amount(debit ? amount.substr(1) : amount);
  return event;
}

// Below zero it must not go.
inline v1::NewEvent Wallet(int client, const std::string& amount,
                           const std::string& currency = "RUB") {
  return Event("client_wallet", {{"client_id", std::to_string(client)}, {"currency", currency}},
               {{"source", "card"}}, amount);
}

// Without limits.
inline v1::NewEvent Commission(int client, const std::string& amount) {
  return Event("taxi_commission", {{"client_id", std::to_string(client)}, {"currency", "RUB"}},
               {{"product", "taxi"}, {"region", "msk"}}, amount);
}

inline v1::WriteEventsRequest Request(const std::string& id,
                                      const std::vector<v1::NewEvent>& events) {
  v1::WriteEventsRequest request;
  request.set_request_id(id);
  for (const v1::NewEvent& event : events) *request.add_events() = event;
  return request;
}

using Details = std::map<std::string, std::string>;

// Of its ErrorInfo, with the reason under "reason"; empty without one.
inline Details InfoOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  if (!rpc::GetDetail(status, &info)) return {};
  Details details(info.metadata().begin(), info.metadata().end());
  details["reason"] = info.reason();
  return details;
}

// Of its BadRequest: field -> what is wrong.
inline Details FieldsOf(const absl::Status& status) {
  google::rpc::BadRequest bad;
  Details fields;
  if (rpc::GetDetail(status, &bad)) {
    for (const auto& violation : bad.field_violations())
      fields[violation.field()] = violation.description();
  }
  return fields;
}

}  // namespace saldo::server
