#include "tests/bench/kv_bench_workload.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/assert.h"
#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::bench {
namespace {

using client::CallRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;
using wire::MethodId;

constexpr const char* kPastLastKey = "bench0";  // '0' is '/' + 1

std::string key_of(std::size_t number) { return fmt::format("bench/{:010}", number); }

template <class Message>
CallRequest call_of(MethodId method, const Message& message) {
    return {.method = method, .message = Bytes::copy_of(message.SerializeAsString())};
}

template <class Message>
bool parse(ByteView answer, Message& message) {
    return message.ParseFromArray(answer.data(), static_cast<int>(answer.size()));
}

// Pieces of one block of random bytes: not compressible, and neighbours share no bytes.
class Values {
  public:
    explicit Values(std::size_t value_bytes) : bytes_(value_bytes) {
        CAIRN_ASSERT(value_bytes < kBlockBytes);
        Prng prng(value_bytes);
        block_.resize(kBlockBytes);
        for (char& byte : block_) {
            byte = static_cast<char>(prng.below(256));
        }
    }
    [[nodiscard]] ByteView of(std::size_t key) const {
        std::uint64_t mixed = key;
        return ByteView(block_).substr(splitmix64(mixed) % (kBlockBytes - bytes_), bytes_);
    }

  private:
    static constexpr std::size_t kBlockBytes = std::size_t{8} << 20U;

    std::string block_;
    std::size_t bytes_;
};

void fill_put(PutRequest& put, std::size_t key, const Values& values) {
    put.set_key(key_of(key));
    const ByteView value = values.of(key);
    put.set_value(value.data(), value.size());
}

class LoadAll final : public Workload {
  public:
    explicit LoadAll(const DataSet& data) : key_count_(data.key_count), values_(data.value_bytes) {}
    CallRequest next(std::size_t /*lane*/, std::uint64_t call) override {
        TxnRequest txn;
        for (std::uint64_t key = ops(call); key < ops(call + 1); ++key) {
            fill_put(*txn.add_success()->mutable_request_put(), key, values_);
        }
        return call_of(MethodId::kKvTxn, txn);
    }
    std::string on_answer(std::size_t /*lane*/, ByteView answer) override {
        TxnResponse txn;
        return parse(answer, txn) && txn.succeeded() ? "" : "the txn did not succeed";
    }
    [[nodiscard]] std::uint64_t ops(std::uint64_t calls) const override {
        return std::min<std::uint64_t>(calls * kPutsInTxn, key_count_);
    }

  private:
    std::size_t key_count_;
    Values values_;
};

class Puts final : public Workload {
  public:
    explicit Puts(const DataSet& data) : key_count_(data.key_count), values_(data.value_bytes) {}
    CallRequest next(std::size_t /*lane*/, std::uint64_t /*call*/) override {
        fill_put(put_, prng_.below(key_count_), values_);
        return call_of(MethodId::kKvPut, put_);
    }
    std::string on_answer(std::size_t /*lane*/, ByteView /*answer*/) override { return {}; }

  private:
    std::size_t key_count_;
    Values values_;
    Prng prng_{1};
    PutRequest put_;
};

// One key or `keys` keys from a random one on.
class Ranges final : public Workload {
  public:
    Ranges(const DataSet& data, std::size_t keys, bool serializable)
        : starts_(data.key_count - std::min(keys, data.key_count) + 1),
          keys_(std::min(keys, data.key_count)),
          answer_bytes_min_(keys_ * data.value_bytes) {
        range_.set_serializable(serializable);
    }
    CallRequest next(std::size_t /*lane*/, std::uint64_t /*call*/) override {
        const std::size_t first = prng_.below(starts_);
        range_.set_key(key_of(first));
        if (keys_ > 1) {
            range_.set_range_end(key_of(first + keys_));
        }
        return call_of(MethodId::kKvRange, range_);
    }
    // Looks no closer, for the client's share of the machine is the server's loss.
    std::string on_answer(std::size_t /*lane*/, ByteView answer) override {
        return answer.size() >= answer_bytes_min_ ? "" : "values are missing";
    }

  private:
    std::size_t starts_;
    std::size_t keys_;
    std::size_t answer_bytes_min_;
    Prng prng_{1};
    RangeRequest range_;
};

class Counts final : public Workload {
  public:
    explicit Counts(const DataSet& data) : key_count_(data.key_count) {
        range_.set_key(key_of(0));
        range_.set_range_end(kPastLastKey);
        range_.set_count_only(true);
    }
    CallRequest next(std::size_t /*lane*/, std::uint64_t /*call*/) override {
        return call_of(MethodId::kKvRange, range_);
    }
    std::string on_answer(std::size_t /*lane*/, ByteView answer) override {
        RangeResponse range;
        if (!parse(answer, range) || static_cast<std::size_t>(range.count()) != key_count_) {
            return fmt::format("counts {} keys of {}", range.count(), key_count_);
        }
        return {};
    }

  private:
    std::size_t key_count_;
    RangeRequest range_;
};

class Swaps final : public Workload {
  public:
    Swaps(const DataSet& data, std::size_t lanes)
        : values_(data.value_bytes), revisions_(data.key_count), keys_(lanes) {}
    CallRequest next(std::size_t lane, std::uint64_t /*call*/) override {
        const std::size_t key = prng_.below(revisions_.size());
        keys_[lane] = key;
        TxnRequest txn;
        etcdserverpb::Compare& compare = *txn.add_compare();
        compare.set_key(key_of(key));
        compare.set_target(etcdserverpb::Compare::MOD);
        compare.set_result(etcdserverpb::Compare::EQUAL);
        compare.set_mod_revision(revisions_[key]);
        fill_put(*txn.add_success()->mutable_request_put(), key, values_);
        txn.add_failure()->mutable_request_range()->set_key(compare.key());
        return call_of(MethodId::kKvTxn, txn);
    }
    std::string on_answer(std::size_t lane, ByteView answer) override {
        TxnResponse txn;
        if (!parse(answer, txn) || txn.responses_size() != 1) {
            return "no answer of a txn with one operation";
        }
        const RangeResponse& range = txn.responses(0).response_range();
        if (!txn.succeeded() && range.kvs_size() != 1) {
            return "the key is not there";
        }
        revisions_[keys_[lane]] =
            txn.succeeded() ? txn.header().revision() : range.kvs(0).mod_revision();
        return {};
    }

  private:
    Values values_;
    Prng prng_{1};
    std::vector<std::int64_t> revisions_;  // by key: what the last answer about it said
    std::vector<std::size_t> keys_;        // by lane: which key it asked about
};

class Lists final : public Workload {
  public:
    Lists(const DataSet& data, std::size_t lanes, std::size_t limit)
        : key_count_(data.key_count), limit_(limit), lanes_(lanes), puts_(data) {}
    CallRequest next(std::size_t lane, std::uint64_t /*call*/) override {
        const Lane& at = lanes_[lane];
        RangeRequest range;
        range.set_key(at.read == 0 ? key_of(0) : at.last_key + '\0');
        range.set_range_end(kPastLastKey);
        range.set_limit(static_cast<std::int64_t>(limit_));
        range.set_revision(at.revision);
        return call_of(MethodId::kKvRange, range);
    }
    std::string on_answer(std::size_t lane, ByteView answer) override {
        Lane& at = lanes_[lane];
        RangeResponse range;
        const std::size_t left = key_count_ - at.read;
        if (!parse(answer, range) || static_cast<std::size_t>(range.count()) != left ||
            static_cast<std::size_t>(range.kvs_size()) != std::min(limit_, left)) {
            return fmt::format("{} keys and a count of {} where {} are left", range.kvs_size(),
                               range.count(), left);
        }
        if (at.read == 0) {
            at.revision = range.header().revision();
        }
        at.read += static_cast<std::size_t>(range.kvs_size());
        at.last_key = range.kvs().rbegin()->key();
        if (range.more() != (at.read < key_count_)) {
            return "`more` is wrong";
        }
        if (!range.more()) {
            at = Lane{};
        }
        return {};
    }
    std::optional<CallRequest> beside() override { return puts_.next(0, 0); }

  private:
    struct Lane {
        std::size_t read = 0;       // keys of this list so far
        std::int64_t revision = 0;  // of the first page
        std::string last_key;
    };

    std::size_t key_count_;
    std::size_t limit_;
    std::vector<Lane> lanes_;
    Puts puts_;
};

}  // namespace

std::uint64_t load_calls(const DataSet& data) {
    return (data.key_count + kPutsInTxn - 1) / kPutsInTxn;
}

std::unique_ptr<Workload> make_load(const DataSet& data) { return std::make_unique<LoadAll>(data); }

std::unique_ptr<Workload> make_puts(const DataSet& data) { return std::make_unique<Puts>(data); }

std::unique_ptr<Workload> make_gets(const DataSet& data, bool serializable) {
    return std::make_unique<Ranges>(data, 1, serializable);
}

std::unique_ptr<Workload> make_ranges(const DataSet& data, std::size_t keys) {
    return std::make_unique<Ranges>(data, keys, false);
}

std::unique_ptr<Workload> make_counts(const DataSet& data) {
    return std::make_unique<Counts>(data);
}

std::unique_ptr<Workload> make_swaps(const DataSet& data, std::size_t lanes) {
    return std::make_unique<Swaps>(data, lanes);
}

std::unique_ptr<Workload> make_lists(const DataSet& data, std::size_t lanes, std::size_t limit) {
    return std::make_unique<Lists>(data, lanes, limit);
}

}  // namespace cairn::bench
