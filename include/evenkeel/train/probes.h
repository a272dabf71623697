// What can be measured of a network while it trains (docs/probes.md).
#pragma once

#include <evenkeel/train/activation_recorder.h>
#include <evenkeel/train/along_gradient.h>
#include <evenkeel/train/gradient_norms.h>
#include <evenkeel/train/percentiles.h>
#include <evenkeel/train/statistics_stream.h>
