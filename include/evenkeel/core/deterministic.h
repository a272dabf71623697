// Same bits for any number of threads.
#pragma once

namespace evenkeel {

/// When on, every operator cuts its work into slices by the shape alone, runs each
/// with one thread, and combines them in a fixed order: results have the same bits for any number
/// of threads. Off by default: then they have the same bits from run to run with the same number of
/// threads. A property of the process.
///
/// The slices cost nothing measurable where there are at least as many as threads, so they are used
/// in both modes; the mode decides what a convolution does that has fewer (a batch of one, say):
/// oneDNN spreads each sample over all threads, or, when on, one thread does it.
void set_deterministic(bool on);
bool deterministic();

}  // namespace evenkeel
