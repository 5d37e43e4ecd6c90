// Early return for functions that return absl::Status or absl::StatusOr.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define SALDO_RETURN_IF_ERROR(expression)                                                     \
  do {                                                                                        \
    if (absl::Status saldo_status_ = (expression); !saldo_status_.ok()) return saldo_status_; \
  } while (false)

#define SALDO_STATUS_CONCAT_INNER_(a, b) a##b
#define SALDO_STATUS_CONCAT_(a, b) SALDO_STATUS_CONCAT_INNER_(a, b)

#define SALDO_ASSIGN_OR_RETURN(target, expression) \
  SALDO_ASSIGN_OR_RETURN_INNER_(SALDO_STATUS_CONCAT_(saldo_value_, __LINE__), target, expression)

#define SALDO_ASSIGN_OR_RETURN_INNER_(value, target, expression) \
  auto value = (expression);                                     \
  if (!value.ok()) return std::move(value).status();             \
  target = *std::move(value)
