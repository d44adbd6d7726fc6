# ssltop: one Makefile, no generators. `make help` lists what it can do.

MAKEFLAGS += --no-builtin-rules
VERSION    := 0.1.0
# Everything that building, running and testing need, by purpose. `make deps` installs what is missing.
DEPS_BUILD := gcc pkg-config libdnnl-dev libopenblas-dev liblapacke-dev libzstd-dev zlib1g-dev \
              libncurses-dev libjansson-dev libinih-dev
DEPS_RUN   := dataset-fashion-mnist
DEPS_CHECK := libcriterion-dev libvterm-dev zstd jq mandoc
DEPS_LINT  := clang-format clang-tidy cppcheck
DEPS_BENCH := python3-torch python3-numpy

PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
OPT     ?= -O2 -g
B       ?= build
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
WERROR  ?=

PKGS    := libzstd zlib ncursesw jansson inih openblas
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter \
           -Wpointer-arith -Wvla -Wformat=2
CFLAGS  += -std=gnu17 $(OPT) $(WARN) $(WERROR) -fno-math-errno -ffp-contract=off
CPPFLAGS += -I. -D_GNU_SOURCE -DSSLTOP_VERSION='"$(VERSION)"' -DSSLTOP_PREFIX='"$(PREFIX)"'
OMP     ?= -fopenmp
LIBS     = $(shell pkg-config --libs $(PKGS)) -llapacke -ldnnl -lm -lpthread -ldl

# A floor is a folder; main.c is the only file the tests do not link.
FLOORS := metrics data gpu gpu/cpu train tui
SRC    := $(sort $(foreach d,$(FLOORS),$(wildcard $(d)/*.c)))
OBJ    := $(SRC:%.c=$(B)/%.o)
TSRC   := $(sort $(wildcard tests/*.c))
TOBJ   := $(TSRC:%.c=$(B)/%.o)

# The element-wise kernels are compiled once an instruction set and chosen when the program starts.
ISAS       := v2 v3 v4
ISA_v2     := -march=x86-64-v2
ISA_v3     := -march=x86-64-v3
ISA_v4     := -march=x86-64-v4 -mprefer-vector-width=512
KERNELS    := gpu/cpu/kernels
OBJ        := $(filter-out $(B)/$(KERNELS).o,$(OBJ)) $(ISAS:%=$(B)/$(KERNELS)_%.o)

all: ssltop ## build ./ssltop

ssltop: $(OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $(OBJ) $(LIBS)

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(OMP) -MMD -MP -c -o $@ $<

$(B)/$(KERNELS)_%.o: $(KERNELS).c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $< ($*)"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-psabi -O3 $(ISA_$*) -ffp-contract=fast $(OMP) -DISA=$* -MMD -MP -c -o $@ $<

# Pixel loops vectorise; without traps a comparison may become a select. NaN checks are untouched by this.
$(B)/gpu/cpu/pixels.o: CFLAGS += -O3 -fno-trapping-math

-include $(wildcard $(OBJ:.o=.d) $(TOBJ:.o=.d))

$(B)/check: $(filter-out $(B)/tui/main.o,$(OBJ)) $(TOBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS) -lcriterion -lvterm -lutil

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: all help
