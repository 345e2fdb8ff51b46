// A transaction written as it reads: client.txn().when(cmp::mod("k") == 3).then(op::put("k", "v"))
// .otherwise(op::get("k")).commit(). A thin cover over TxnRequest, which says all it can say.
// Plain values, used by one thread at a time; must not outlive its client.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "client/result.h"
#include "client/types.h"

namespace cairn::client {

class Client;

// The left sides of compares; ==, !=, < and > with the operand make the Compare.
namespace cmp {

class Number {
  public:
    Number(std::string_view key, CompareTarget target);
    // True only when it is for every key from this one to `range_end`, exclusive.
    [[nodiscard]] Number until(std::string_view range_end) const;

    Compare operator==(std::int64_t number) const;
    Compare operator!=(std::int64_t number) const;
    Compare operator<(std::int64_t number) const;
    Compare operator>(std::int64_t number) const;

  private:
    [[nodiscard]] Compare with(CompareResult result, std::int64_t number) const;

    Compare compare_;
};

class Value {
  public:
    explicit Value(std::string_view key);
    [[nodiscard]] Value until(std::string_view range_end) const;

    Compare operator==(std::string_view value) const;
    Compare operator!=(std::string_view value) const;
    Compare operator<(std::string_view value) const;
    Compare operator>(std::string_view value) const;

  private:
    [[nodiscard]] Compare with(CompareResult result, std::string_view value) const;

    Compare compare_;
};

Number version(std::string_view key);
Number create(std::string_view key);  // the create revision
Number mod(std::string_view key);     // the mod revision
Number lease(std::string_view key);
Value value(std::string_view key);  // of a key that is not there: never true
Compare exists(std::string_view key);
Compare missing(std::string_view key);

}  // namespace cmp

namespace op {

GetOp get(std::string_view key, GetOptions options = {});
PutOp put(std::string_view key, std::string_view value, PutOptions options = {});
DeleteOp del(std::string_view key, DeleteOptions options = {});
TxnOp txn(TxnRequest nested);

}  // namespace op

// Each of when, then and otherwise adds to what was there before.
class TxnBuilder {
  public:
    explicit TxnBuilder(Client& client) : client_(&client) {}

    // All must hold.
    template <std::same_as<Compare>... Compares>
    TxnBuilder& when(Compares... compares) {
        (txn_.compares.push_back(std::move(compares)), ...);
        return *this;
    }

    template <std::convertible_to<Op>... Ops>
    TxnBuilder& then(Ops... ops) {
        (txn_.success.emplace_back(std::move(ops)), ...);
        return *this;
    }

    template <std::convertible_to<Op>... Ops>
    TxnBuilder& otherwise(Ops... ops) {
        (txn_.failure.emplace_back(std::move(ops)), ...);
        return *this;
    }

    // What was built so far; also to nest it, with op::txn.
    [[nodiscard]] const TxnRequest& request() const { return txn_; }

    // As Client::txn; may be done again.
    Result<TxnResponse> commit() const;
    // As Client::async_txn; include client/async.h.
    template <class Token>
    auto async_commit(Token&& token) const;

  private:
    Client* client_;
    TxnRequest txn_;
};

}  // namespace cairn::client
