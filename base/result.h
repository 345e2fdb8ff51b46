// Result<T>: a value or an Error; must be looked at. The only error channel of the project.
// Reading the value of a failed Result aborts. Nothing outside this file names Boost.Outcome.
#pragma once

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/terminate.hpp>
#include <boost/outcome/success_failure.hpp>
#include <boost/outcome/try.hpp>

#include "base/error.h"

namespace cairn {

template <class T = void>
using Result = boost::outcome_v2::basic_result<T, Error, boost::outcome_v2::policy::terminate>;

// What a function with Result<void> returns when all went well.
inline auto ok() { return boost::outcome_v2::success(); }

}  // namespace cairn

// CAIRN_TRY(expr);  or  CAIRN_TRY(auto value, expr);  returns the error to the caller.
#define CAIRN_TRY(...) BOOST_OUTCOME_TRY(__VA_ARGS__)
// The same inside a coroutine.
#define CAIRN_CO_TRY(...) BOOST_OUTCOME_CO_TRY(__VA_ARGS__)
