// What an experiment declares, and the table of all of them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lab/material.h"
#include <evenkeel/core/error.h>

namespace evenkeel::lab {

class Session;

enum class Budget : std::uint8_t {
  quick,  ///< about half a minute of two processors, built-in data
  full,   ///< as long as the claim deserves: minutes to hours
  trial   ///< seconds: whether everything runs; verdicts mean nothing
};

/// The two arms that the claim is about. Exchanged, they must turn the verdict round; both played
/// by the control, they must leave it undecided. A claim that could not fail this is not measured.
struct Contrast {
  std::string treatment;
  std::string control;
};

/// Thrown by an experiment that finds only while it plans, before it measures, that the data do not
/// serve it: the lab takes the next data, or skips it. The message is a reason like that of
/// why_not.
class UnsuitableData : public Error {
 public:
  using Error::Error;
};

struct Experiment {
  std::string name;    ///< "convergence"
  std::string title;   ///< "Faster convergence"
  std::string claim;   ///< a sentence, as people say it
  std::string source;  ///< paper and section, with a link
  std::string question;
  std::string supports;               ///< what would speak for the claim
  std::string contradicts;            ///< and what against it
  std::vector<std::string> practice;  ///< what follows for whoever trains
  Needs needs = Needs::features;
  Contrast contrast;
  double quick_seconds = 30, full_seconds = 3600;  ///< on two processors; for the time that is left
  /// Its charts, tables, checks and verdict come of times or bytes, which differ from run to run.
  bool timed = false;
  /// Measures, draws and checks. Throws what it meets; the lab goes on with the next one.
  /// UnsuitableData where it must be skipped.
  void (*run)(Session& session) = nullptr;
};

/// In the order of the report. Each is one file of lab/experiments and one row here.
std::span<const Experiment> experiments();
/// Throws UsageError for an unknown name, with the nearest.
const Experiment& find_experiment(const std::string& name);

}  // namespace evenkeel::lab
