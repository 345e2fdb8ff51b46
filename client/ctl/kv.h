// The commands put, get, del, compaction and txn.
// One thread. The parts that read requests are shared with the operations inside a txn.
#pragma once

#include <iosfwd>

#include "client/ctl/command.h"
#include "client/types.h"

namespace cairn::client::ctl {

extern const std::span<const OptionSpec> kPutOptions;
extern const std::span<const OptionSpec> kGetOptions;
extern const std::span<const OptionSpec> kDelOptions;
extern const std::span<const OptionSpec> kCompactionOptions;
extern const std::span<const OptionSpec> kTxnOptions;

Outcome run_put(const Context& context);
Outcome run_get(const Context& context);
Outcome run_del(const Context& context);
Outcome run_compaction(const Context& context);
Outcome run_txn(const Context& context);

// What a command line asks for; `outcome` says why it cannot be.
template <class Request>
struct Asked {
    Request request;
    Outcome outcome;
};

// kExitIo: it cannot be read.
Outcome open_file(const std::string& name, std::ifstream& file);
// `input`: where a value comes from that is neither an argument nor a file; null inside a txn.
Asked<PutOp> put_of(const Invocation& line, std::istream* input);
Asked<GetOp> get_of(const Invocation& line);
Asked<DeleteOp> del_of(const Invocation& line);

}  // namespace cairn::client::ctl
