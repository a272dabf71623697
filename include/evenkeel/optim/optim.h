// Everything of the room optim.
#pragma once

#include <evenkeel/optim/adamw.h>
#include <evenkeel/optim/clip.h>
#include <evenkeel/optim/groups.h>
#include <evenkeel/optim/optimizer.h>
#include <evenkeel/optim/schedule.h>
#include <evenkeel/optim/sgd.h>
#include <evenkeel/optim/table.h>
