// Everything of the room train.
#pragma once

#include <evenkeel/train/evaluate.h>
#include <evenkeel/train/probes.h>
#include <evenkeel/train/reporter.h>
#include <evenkeel/train/settings.h>
#include <evenkeel/train/sweep.h>
#include <evenkeel/train/trainer.h>
