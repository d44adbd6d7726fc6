# ssltop: one Makefile, no generators. `make help` lists what it can do.

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
VERSION    := 0.1.0
# Everything that building, running and testing need, by purpose. `make deps` installs what is missing.
DEPS_BUILD := gcc pkg-config libdnnl-dev libopenblas-dev libzstd-dev zlib1g-dev \
              libncurses-dev libjansson-dev libinih-dev libjpeg-dev libspng-dev libwebp-dev
DEPS_RUN   := dataset-fashion-mnist
# Of these, what a distribution lacks is left out, and said what goes without; lacking any other ends it with its name.
DEPS_MAY   := dataset-fashion-mnist lomiri-wallpapers-16.04 python3-torch python3-torchvision
WITHOUT_dataset-fashion-mnist   := images have to be named (--data idx:DIR)
WITHOUT_lomiri-wallpapers-16.04 := the tests of photographs can't pass
WITHOUT_python3-torch           := what is compared with PyTorch is skipped
WITHOUT_python3-torchvision     := $(WITHOUT_python3-torch)
DEPS_CHECK := python3 python3-torch patch procps libcriterion-dev libvterm-dev zstd jq mandoc groff-base libxml2-utils lomiri-wallpapers-16.04
DEPS_MPI   := libopenmpi-dev openmpi-bin
DEPS_LINT  := clang-format clang-tidy cppcheck
DEPS_FUZZ  := clang libclang-rt-dev libomp-dev
DEPS_BENCH := python3-torch python3-numpy python3-torchvision python3-pil lomiri-wallpapers-16.04

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

PKGS    := libzstd zlib ncursesw jansson inih openblas libjpeg spng libwebp
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter \
           -Wpointer-arith -Wvla -Wformat=2
CFLAGS  += -std=gnu17 $(OPT) $(WARN) $(WERROR) -fno-math-errno -ffp-contract=off
CPPFLAGS += -I. -D_GNU_SOURCE -DSSLTOP_VERSION='"$(VERSION)"'
OMP     ?= -fopenmp
LIBS     = $(shell pkg-config --libs $(PKGS)) -ldnnl -lm -lpthread -ldl

# A floor is a folder and its folders are rooms. gpu/cuda is an object of its own, built where a toolkit is.
FLOORS := metrics data gpu train tui
ROOMS  := $(filter-out gpu/cuda/ train/client/,$(sort $(dir $(wildcard $(FLOORS:%=%/*.c) $(FLOORS:%=%/*/*.c)))))
SRC    := $(sort $(wildcard $(ROOMS:%=%*.c)))
OBJ    := $(SRC:%.c=$(B)/%.o)
# What other people's trainings link: libc alone, in an object of its own, with the schedule that it shares.
CLIENT_SRC := $(wildcard train/client/*.c)
CLIENT_OBJ := $(CLIENT_SRC:%.c=$(B)/client/%.o)
CLIENT_HOUSE := $(addprefix $(B)/client/,train/schedule/schedule.o train/schedule/schedule_text.o metrics/log/mode.o \
                  $(addprefix metrics/base/,rng.o error.o memory.o text.o clock.o))
CLIENT_SO  := libssltop-client.so
PARTS   = $(filter-out $(B)/tui/cli/main.o,$(OBJ)) # all but main: what the tests and benchmarks link
# Tests lie in folders named after the floors, what they share in tests/kit; programs have a main of their own.
PROGRAMS := $(wildcard tests/bench/*.c tests/alone/*.c) tests/train/slow.c tests/train/kills.c tests/fuzz/libfuzzer.c
TSRC   := $(sort $(filter-out $(PROGRAMS),$(wildcard tests/*.c $(FLOORS:%=tests/%/*.c) tests/kit/*.c tests/fuzz/*.c)))
TOBJ   := $(TSRC:%.c=$(B)/%.o)
MOBJ   := $(B)/man/tables.o $(B)/man/fields.o # the manual's tables, from the program's

# The element-wise kernels are compiled once an instruction set and chosen when the program starts.
MACHINE    := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
ISAS       := $(if $(filter aarch64,$(MACHINE)),v8 v8b,v2 v3 v4 v4b v4a)
ISA_v2     := -march=x86-64-v2
ISA_v3     := -march=x86-64-v3
ISA_v4     := -march=x86-64-v4 -mprefer-vector-width=512
ISA_v4b    := $(ISA_v4) -mavx512bf16
ISA_v4a    := $(ISA_v4b) -mamx-tile -mamx-bf16
ISA_v8     := -march=armv8-a
ISA_v8b    := -march=armv8.2-a+bf16
KERNELS    := gpu/cpu/kernels
OBJ        := $(filter-out $(B)/$(KERNELS).o,$(OBJ)) $(ISAS:%=$(B)/$(KERNELS)_%.o)

BIN    ?= ssltop

# --- the CUDA device: built where nvcc is found: in a conda environment, where installers and distributions put it, on
# the PATH. CUDA=/path names the toolkit, CUDA=no leaves it out; CUDNN=/path names a cuDNN that lies neither in the toolkit
# nor where the system keeps its headers. What nvcc does not know, a flag or an architecture, is left out ---
CUDA   ?= $(firstword $(foreach d,$(CONDA_PREFIX) /usr/local/cuda /opt/cuda /usr/lib/cuda,$(if $(wildcard $(d)/bin/nvcc),$(d))) \
            $(patsubst %/bin/nvcc,%,$(realpath $(shell command -v nvcc 2>/dev/null))))
NVCC   := $(if $(filter no,$(CUDA)),,$(firstword $(wildcard $(CUDA)/bin/nvcc $(if $(filter /usr/lib/cuda,$(CUDA)),/usr/bin/nvcc))))
CUDNN  ?=
# Folders with include and lib; those of /usr are searched anyway.
CUDA_DIRS := $(filter-out /usr,$(CUDNN) $(CUDA) $(wildcard $(CUDA)/targets/$(shell uname -m)-linux))
HAVE_CUDNN := $(if $(NVCC),$(firstword $(wildcard $(CUDA_DIRS:%=%/include/cudnn.h) \
              $(if $(CUDNN),,/usr/include/cudnn.h /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)/cudnn.h))))
CUDA_SO := $(if $(HAVE_CUDNN),ssltop-cuda.so)
CUDA_INC := $(patsubst %,-isystem %,$(wildcard $(CUDA_DIRS:%=%/include)))
CUDA_LIB := $(foreach d,$(CUDA_DIRS),$(firstword $(wildcard $(d)/lib64 $(d)/lib)))
CUDA_LD  := $(foreach d,$(CUDA_LIB),-L$(d) -Wl,-rpath,$(d))
# Wheels have libcudnn.so.9 and no libcudnn.so.
cuda_lib = $(firstword $(if $(wildcard $(CUDA_LIB:%=%/lib$(1).so)),-l$(1)) $(patsubst %,-l:%,$(notdir $(wildcard $(CUDA_LIB:%=%/lib$(1).so.*)))) -l$(1))
CUDA_KNOWN := $(if $(CUDA_SO),$(filter 80 86 89 90 100 120,$(patsubst compute_%,%,$(shell $(NVCC) --list-gpu-arch))))
CUDA_ARCH ?= $(foreach a,$(CUDA_KNOWN),-gencode arch=compute_$(a),code=sm_$(a)) \
             $(foreach a,$(sort 90 $(lastword $(CUDA_KNOWN))),-gencode arch=compute_$(a),code=compute_$(a))
CUDA_SMALL := $(if $(CUDA_SO),$(if $(findstring --compress-mode,$(shell $(NVCC) --help)),--compress-mode=size))
CU     := $(sort $(wildcard gpu/cuda/kernels/*.cu))
# What the loaded object needs of the house it carries itself: it asks nothing of the program.
CUDA_SRC := $(sort $(wildcard gpu/cuda/*.c)) $(addprefix gpu/,compile.c plan.c fuse.c net.c loss.c buckets.c vendor.c ranks/talk.c ranks/nccl/nccl.c views/pixels.c) \
            data/augment.c data/resize.c $(addprefix metrics/base/,rng.c error.c file.c path.c text.c memory.c clock.c output.c)
CUDA_OBJ := $(CUDA_SRC:%.c=$(B)/cuda/%.o) $(CU:%.cu=$(B)/cuda/%.cu.o)
-include $(wildcard $(CUDA_OBJ:.o=.d))

# --- several processes: what carries their words, built where an MPI's compiler is found. MPICC=mpicc.mpich
# names another, MPI=no leaves it out ---
MPI    ?= yes
MPICC  ?= mpicc
MPI_SO := $(if $(filter no,$(MPI)),,$(if $(shell command -v $(MPICC) 2>/dev/null),ssltop-mpi.so))
MPI_SRC := gpu/ranks/mpi/mpi.c metrics/base/error.c
MPI_OBJ := $(MPI_SRC:%.c=$(B)/mpi/%.o)
-include $(wildcard $(MPI_OBJ:.o=.d))

all: $(BIN) $(CLIENT_SO) cuda-found $(CUDA_SO) mpi-found $(MPI_SO) ## build ./ssltop, ./ssltop-cuda.so where a CUDA toolkit is found, ./ssltop-mpi.so where MPI is

.PHONY: mpi mpi-found mpi-tested deps-mpi
mpi-found:
	@echo "  MPI   $(if $(MPI_SO),$(MPICC) (ssltop-mpi.so),$(if $(filter no,$(MPI)),left out (MPI=no),no $(MPICC) found: left out (make deps-mpi installs one)))"

$(B)/mpi/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $< (mpi)"
	$(Q)$(MPICC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<

ssltop-mpi.so: $(MPI_OBJ)
	@echo "  LINK  $@"
	$(Q)$(MPICC) -shared -o $@ $(MPI_OBJ) $(LDFLAGS)

cuda-found:
	@echo "  CUDA  $(if $(CUDA_SO),$(CUDA) (ssltop-cuda.so),$(if $(filter no,$(CUDA)),left out (CUDA=no),$(if $(NVCC),$(CUDA) has no cuDNN: left out,no toolkit found: left out)))"

$(B)/cuda/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $< (cuda)"
	$(Q)$(CC) $(CPPFLAGS) $(CUDA_INC) $(CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<

# ptxas says what each kernel takes; a spill is an error. V=1 prints it; warnings are shown in any case.
$(B)/cuda/%.cu.o: %.cu Makefile
	@mkdir -p $(@D)
	@echo "  NVCC  $<"
	$(Q)$(NVCC) -std=c++17 -O3 -I. $(CUDA_ARCH) $(CUDA_SMALL) -Xptxas -v $(if $(WERROR),-Werror all-warnings) \
	  -Xcompiler -fPIC,-fvisibility=hidden,-fno-threadsafe-statics,-fno-exceptions,-fno-rtti,-Wall,-Wextra \
	  -MD -MP -MF $(@:.o=.d) -c -o $@ $< 2> $(@:.o=.log) || { cat $(@:.o=.log); exit 1; }
	@$(if $(filter 1,$(V)),cat,grep -E 'warning') $(@:.o=.log) || true
	@grep -E ' [1-9][0-9]* bytes spill' $(@:.o=.log) && { rm $@; echo "$<: a kernel spills"; exit 1; } || true

# Never -lcuda: the driver's library would have to exist where this is loaded.
ssltop-cuda.so: $(CUDA_OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) -shared -o $@ $(CUDA_OBJ) $(CUDA_LD) -Wl,--as-needed $(foreach l,cudart cublas cusolver cudnn,$(call cuda_lib,$(l))) -lm \
	  -lpthread -Wl,-z,defs
	@if ldd $@ | grep -q 'libcuda\.so'; then rm $@; echo "$@ wants the driver's library"; exit 1; fi

$(B)/client/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $< (client)"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -ffunction-sections -MMD -MP -c -o $@ $<

$(CLIENT_SO): $(CLIENT_OBJ) $(CLIENT_HOUSE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-soname,$(CLIENT_SO).1 -Wl,--gc-sections,-z,defs -o $@.1 $^
	@ln -sf $@.1 $@

$(BIN): $(OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $(OBJ) $(LIBS)

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(OMP) -MMD -MP -c -o $@ $<

$(B)/$(KERNELS)_%.o: $(KERNELS).c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $< ($*)"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-psabi -O3 $(ISA_$*) -ffp-contract=fast $(OMP) -DISA=$* -DISA_FAMILY='"$(subst x86_64,x86-64,$(MACHINE))"' -MMD -MP -c -o $@ $<

# Pixel loops vectorise; without traps a comparison may become a select. NaN checks are untouched by this.
$(B)/gpu/views/pixels.o $(B)/data/resize.o: CFLAGS += -O3 -fno-trapping-math

-include $(wildcard $(OBJ:.o=.d) $(CLIENT_OBJ:.o=.d) $(CLIENT_HOUSE:.o=.d) $(TOBJ:.o=.d) $(MOBJ:.o=.d) $(B)/man/fill.d $(PROGRAMS:%.c=$(B)/%.d))

$(B)/check: $(PARTS) $(CLIENT_OBJ) $(MOBJ) $(TOBJ) | $(B)/fake/libnvidia-ml.so.1 $(B)/fake/device.so $(if $(filter build,$(B)),$(CLIENT_SO))
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS) -lcriterion -lvterm -lutil

# Stands in for the driver's library in the tests of the card's sensors.
$(B)/fake/libnvidia-ml.so.1: tests/fake/nvml.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS) -fPIC -shared -o $@ $<

# Stands in for a device whose vendor's libraries lie where no loader looks, each in another place.
FAKE_DEVICE := $(B)/fake/toolkit/lib64/libfake-blas.so.3 $(B)/fake/packages/nvidia/fake/lib/libfake-link.so.2
$(FAKE_DEVICE) $(B)/fake/device.so: tests/fake/device.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -fPIC -shared -DPART=$(firstword $(subst ., ,$(subst -,_,$(@F)))) $(if $(filter %.so,$@),,-Wl,-soname,$(@F)) \
	  -Wl,--allow-shlib-undefined -o $@ $< $(filter %.so.2 %.so.3,$^)
$(B)/fake/device.so: $(word 1,$(FAKE_DEVICE))
$(word 1,$(FAKE_DEVICE)): $(word 2,$(FAKE_DEVICE))

# --- manual: what a page says about options, metrics, keys and fields is made from their tables ---
$(B)/man/fill: $(PARTS) $(MOBJ) $(B)/man/fill.o
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS)

man: $(B)/man/fill ## bring the tables of the manual up to date
	$(Q)SSLTOP_RECIPES=data/recipes SSLTOP_REFERENCE=data/reference $< man/ssltop.1 man/ssltop-log.5

include tests/cuda/emulator.mk
include tests/fuzz/fuzz.mk

# --- packages: `make deps` installs all; run and check install only what they need ---
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
define install_missing
	@want=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | \
	    grep -q '^install ok installed' || printf '%s ' $$p; done); \
	if [ -n "$$want" ]; then \
	  echo "  DEPS  $$want"; mkdir -p $(B); $(SUDO) apt-get update -qq || exit 1; \
	  for p in $$want; do apt-cache show $$p > /dev/null 2>&1 || case $$p in \
	    $(foreach m,$(DEPS_MAY),($(m)) want=$$(printf '%s ' $$want | sed "s/\b$$p //"); \
	      echo "  DEPS  there is no $(m) here; without it $(WITHOUT_$(m))";;) \
	    (*) echo "there is no package $$p here, and nothing is built without it; try the archive of \`make bundle\`, made elsewhere"; \
	      exit 1;; esac; done || exit 1; \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$want \
	    > $(B)/deps.log 2>&1 || { tail -n 20 $(B)/deps.log; exit 1; }; fi
endef

deps: ## install every Debian package that building, running, testing and linting need
	$(call install_missing,$(DEPS_BUILD) $(DEPS_RUN) $(DEPS_CHECK) $(DEPS_MPI) $(DEPS_LINT))

deps-run:
	$(call install_missing,$(DEPS_BUILD) $(DEPS_RUN))

deps-check:
	$(call install_missing,$(DEPS_BUILD) $(DEPS_RUN) $(DEPS_CHECK) $(DEPS_MPI))

deps-mpi: ## install what training in several processes needs (Open MPI)
	$(call install_missing,$(DEPS_BUILD) $(DEPS_MPI))

deps-lint:
	$(call install_missing,$(DEPS_BUILD) $(DEPS_LINT))

# pkg-config and the libraries exist only after deps: hence a make of its own for what follows.
run: deps-run ## install what is missing, build, and train on Fashion-MNIST in this terminal
	@$(MAKE) --no-print-directory ssltop
	@./ssltop train $(ARGS)

# Tests share the cores with the programs they start: one at a time, and threads that wait do not spin for long.
CHECK_ENV  := GOMP_SPINCOUNT=1000 LC_ALL=C.UTF-8
CHECK_JOBS ?= 1
CHECK_ARGS ?=

check: deps-check ## install what the tests need, build, and run all of them
	@$(MAKE) --no-print-directory WERROR=-Werror ssltop $(B)/check $(B)/gpu-check $(CUDA_SO) $(if $(CUDA_SO),$(PLAYED_SO)) mpi
	@$(CHECK_ENV) $(CHECK_CUDA) SSLTOP=$(CURDIR)/ssltop $(B)/check -j$(CHECK_JOBS) $(CHECK_ARGS)
	@$(MAKE) --no-print-directory check-cuda

# The CUDA device beside the CPU's references on the stand-in for the card, then its own tests under AddressSanitizer.
CHECK_CUDA := $(if $(CUDA_SO),SSLTOP_PLAYED=$(CURDIR)/$(B)/played SSLTOP_CUDA_REAL=$(CURDIR)/ssltop-cuda.so)
PLAYED_RUN := $(CHECK_ENV) XDG_CACHE_HOME=$(CURDIR)/$(B)/cache SSLTOP_TEST_DEVICE=cuda SSLTOP_CUDA=$(CURDIR)/$(B)/played
check-cuda:
ifneq ($(CUDA_SO),)
	@$(PLAYED_RUN)/check/ssltop-cuda.so $(B)/check -j$(CHECK_JOBS) --filter '@(loss/every*|nodes/@(f32|bf16|output_*|evaluation_*|hide_*))'
	@$(PLAYED_RUN)/plain/ssltop-cuda.so $(B)/check -j$(CHECK_JOBS) --filter 'parity/@(gray_*|colour_*|odd_*|byol_*|vicreg_*|barlow_*)'
	@SSLTOP_PLAYED_CARDS=4 SSLTOP_NCCL=$(CURDIR)/$(B)/played/plain/ssltop-cuda.so $(PLAYED_RUN)/plain/ssltop-cuda.so \
	  $(B)/check -j$(CHECK_JOBS) --filter 'shared/@(apart_*|by_four|in_bf16|simsiam_*)'
	@$(CHECK_ENV) $(CHECK_CUDA) SSLTOP_BUG=asan ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" $(B)/check -j$(CHECK_JOBS) \
	  --filter 'cuda/@(steps_*|ranks_*|images_*|algorithms_*|remembers_*|senses_*|profile_*|says_*|every_call_of_a_recorded*)'
else
	@echo "  SKIP  the CUDA device is not tested: $(if $(filter no,$(CUDA)),CUDA=no,no CUDA toolkit with cuDNN is found)"
endif

# Nothing where there is no MPI.
mpi: $(MPI_SO)

# For .ci/run and tests/fresh.sh: whether `make check` has tested several processes, and the CUDA device.
mpi-tested:
	@$(if $(MPI_SO),command -v mpirun > /dev/null,false) || { echo "several processes were not tested: there is no MPI"; false; }
cuda-tested:
	@$(if $(CUDA_SO),true,echo "a CUDA toolkit is there, but the CUDA device was not tested" && false)

# On a machine with a card: the contract tests on it, and again under compute-sanitizer where that is. Without Criterion,
# so that the program runs where nothing is installed.
GPU_TESTS := $(addprefix tests/gpu/test_,nodes.c loss.c parity.c cuda.c) tests/alone/runner.c tests/alone/training.c \
             $(addprefix tests/kit/,crew.c net_fixture.c played.c reference.c reference_loss.c)
GPU_TESTS_OBJ := $(GPU_TESTS:%.c=$(B)/alone/%.o)
-include $(wildcard $(GPU_TESTS_OBJ:.o=.d))
$(B)/alone/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $< (alone)"
	$(Q)$(CC) $(CPPFLAGS) -Itests/alone $(CFLAGS) -Wno-format-zero-length $(OMP) -MMD -MP -c -o $@ $<

$(B)/gpu-check: $(PARTS) $(GPU_TESTS_OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS)

gpu-check: deps-run ## run the contract tests and a training on the GPU of this machine
	@$(if $(CUDA_SO),true,echo "no CUDA toolkit with cuDNN is found (CUDA=/path names one)" && false)
	@$(MAKE) --no-print-directory ssltop $(B)/gpu-check ssltop-cuda.so
	@if [ -x $(CUDA)/bin/compute-sanitizer ] && ./ssltop devices | grep -q '^cuda:0'; then \
	  SSLTOP_TEST_DEVICE=cuda SSLTOP_CUDA=$(CURDIR)/ssltop-cuda.so XDG_CACHE_HOME=$(CURDIR)/$(B)/cache \
	  $(CUDA)/bin/compute-sanitizer --error-exitcode 1 --report-api-errors no --target-processes all \
	  $(B)/gpu-check 'nodes/@(f32|bf16)' loss contract; else echo "  SKIP  compute-sanitizer: it or the card is not there"; fi
	@SSLTOP_CUDA=$(CURDIR)/ssltop-cuda.so tests/gpu/check.sh ./ssltop $(B)/gpu-check

# What a card can at best is measured by a library that is loaded when CUDA's are.
$(B)/tests/bench/ceilings.o: CPPFLAGS += $(CUDA_INC)
$(B)/tests/bench/ceilings.o: CFLAGS += -fPIC
$(B)/ceilings.so: $(B)/tests/bench/ceilings.o
	@echo "  LINK  $@"
	$(Q)$(CC) -shared -o $@ $^ $(CUDA_LD) $(foreach l,cudart cublas,$(call cuda_lib,$(l)))

# tests/bench/bench_gpu.sh says what it can be told.
$(B)/bench-gpu: $(PARTS) $(B)/tests/bench/bench_gpu.o
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS)

gpu-bench: deps-run ## time the training step on the GPU of this machine, beside PyTorch where that is
	@$(if $(CUDA_SO),true,echo "no CUDA toolkit with cuDNN is found (CUDA=/path names one)" && false)
	@$(MAKE) --no-print-directory $(B)/bench-gpu $(B)/ceilings.so ssltop-cuda.so
	@SSLTOP_CUDA=$(CURDIR)/ssltop-cuda.so tests/bench/bench_gpu.sh $(B)/bench-gpu

$(B)/slow: $(PARTS) $(B)/tests/train/slow.o
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS) -lcriterion

$(B)/kills: $(PARTS) $(B)/tests/train/kills.o $(B)/tests/kit/runs.o
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS) -lcriterion

N ?= 1000
kills: deps-check ## kill N steered trainings (1000) at random moments, go on, compare with unbroken ones
	@$(MAKE) --no-print-directory WERROR=-Werror $(B)/kills
	@$(CHECK_ENV) KILLS=$(N) $(B)/kills -j1

check-slow: deps-check ## install what the tests need, and run those that take minutes
	@$(MAKE) --no-print-directory WERROR=-Werror $(B)/slow
	@$(CHECK_ENV) $(B)/slow -j1

# tests/bench/bench.sh says what it can be told; its targets are meant for an otherwise idle machine.
$(addprefix $(B)/,bench bench_layers bench_images bench_log bench_metrics window): $(B)/%: $(PARTS) $(B)/tests/bench/%.o
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS)

deps-bench:
	$(call install_missing,$(DEPS_BUILD) $(DEPS_BENCH) $(DEPS_MPI) zstd jq)

$(B)/bench_screen: $(PARTS) $(B)/tests/bench/bench_screen.o
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS) -lutil

bench: deps-bench ## time steps beside PyTorch's, what is told of each, views beside torchvision's, a viewer, a storm on the socket, a long log, the screen, metrics of a large file, several processes, somebody else's training
	@$(MAKE) --no-print-directory ssltop mpi $(CLIENT_SO) $(B)/bench $(B)/bench_layers $(B)/bench_images $(B)/bench_log $(B)/bench_screen $(B)/bench_metrics
	@rc=0; tests/bench/bench.sh $(B)/bench || rc=1; $(B)/bench_layers || rc=1; tests/bench/bench_live.sh ./ssltop || rc=1; tests/bench/bench_viewer.sh ./ssltop || rc=1; /usr/bin/python3 tests/bench/bench_socket.py ./ssltop || rc=1; \
	  tests/bench/bench_images.sh ./ssltop $(B)/bench_images || rc=1; $(B)/bench_log || rc=1; \
	  tests/bench/bench_screen.sh $(B)/bench_screen ./ssltop || rc=1; \
	  tests/bench/bench_metrics.sh $(B)/bench_metrics || rc=1; \
	  tests/bench/bench_ranks.sh ./ssltop || rc=1; \
	  SSLTOP=$(CURDIR)/ssltop SSLTOP_CLIENT=$(CURDIR)/$(CLIENT_SO).1 /usr/bin/python3 tests/bench/bench_client.py || rc=1; exit $$rc

# tests/study.sh says what it does; only the full versions at full length write to data/calibration.
STUDY ?= full
SHARE ?= 100
STUDIED := $(STUDY)$(filter-out 100,$(SHARE))
study: deps-run deps-check $(if $(filter photos,$(STUDY)),deps-bench) ## make the runs behind the calibration (about two hours; STUDY=small or photos: ten minutes, STUDY=long: three hours)
	@$(MAKE) --no-print-directory ssltop
	@STUDY=$(STUDY) SHARE=$(SHARE) OUT=$(if $(filter full long,$(STUDIED)),data/calibration,$(B)/study-$(STUDIED)) \
	  tests/study.sh ./ssltop $(B)/study-$(STUDIED:long=full)

# --- sanitizers: the same tests in a build of their own. TSan only where threads are ours: it does not know libgomp ---
SAN_CFLAGS := -O1 -g -fno-omit-frame-pointer
asan ubsan tsan: deps-check
asan: ## run the tests under AddressSanitizer (with LeakSanitizer)
	@$(MAKE) --no-print-directory B=build/asan BIN=build/asan/ssltop \
	  OPT='$(SAN_CFLAGS) -fsanitize=address' sanitized
ubsan: ## run the tests under UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory B=build/ubsan BIN=build/ubsan/ssltop \
	  OPT='$(SAN_CFLAGS) -fsanitize=undefined -fno-sanitize-recover=undefined' sanitized
# Criterion's sandbox does not start under TSan: tests/alone stands in for it.
TSAN_SUITES := runlog publisher control pixels schedule history source pack
tsan: ## run the tests of viewer, log, socket, loader, packing and schedule under ThreadSanitizer
	@$(MAKE) --no-print-directory B=build/tsan BIN=build/tsan/ssltop \
	  OPT='$(SAN_CFLAGS) -fsanitize=thread -Itests/alone -Wno-format-zero-length' build/tsan/ssltop build/tsan/check-tsan
	@$(CHECK_ENV) SSLTOP=$(CURDIR)/build/tsan/ssltop build/tsan/check-tsan $(TSAN_SUITES)
$(B)/check-tsan: $(PARTS) $(CLIENT_OBJ) $(MOBJ) $(TOBJ) $(B)/tests/alone/runner.o
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -o $@ $^ $(LIBS) -lvterm -lutil
sanitized: $(BIN) $(B)/check
	@rm -f $(B)/report.*
	@$(CHECK_ENV) SSLTOP=$(CURDIR)/$(BIN) ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:log_path=$(CURDIR)/$(B)/report \
	  LSAN_OPTIONS=suppressions=$(CURDIR)/tests/leaks.supp:print_suppressions=0 \
	  $(B)/check -j$(CHECK_JOBS) $(CHECK_ARGS)
	@! grep -s -h -A 30 'ERROR: ' $(B)/report.* # Criterion does not see what a test's process says at its very end

# --- quality ---
format: deps-lint ## format the C sources
	clang-format -i $(FORMAT)
FORMAT := $(sort $(foreach d,$(FLOORS) tests,$(wildcard $(foreach e,c h cu cuh cc,$(d)/*.$(e) $(d)/*/*.$(e) $(d)/*/*/*.$(e)))))

lint: deps-lint ## clang-format (check), clang-tidy and cppcheck
	clang-format --dry-run -Werror $(FORMAT)
	# a file at a time: over several, the analyser takes every va_list for uninitialised; its compiler does not
	# know the instruction sets that processor.c asks for
	printf '%s\n' $(SRC) | xargs -P 2 -I{} clang-tidy --quiet {} -- $(CPPFLAGS) -std=gnu17 -fopenmp -DISA=v3 '-DISA_FAMILY=""' -mavx2 -mfma '-D__builtin_cpu_supports(x)=(sizeof(x) > 3)'
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --suppress=missingIncludeSystem \
	  --enable=warning,performance,portability -I. -DISA=v3 '-DISA_FAMILY=""' $(SRC)

# --- install ---
MANDIR    = $(DESTDIR)$(PREFIX)/share/man
RECIPEDIR = $(DESTDIR)$(PREFIX)/share/ssltop/recipes
CALIBRATIONDIR = $(DESTDIR)$(PREFIX)/share/ssltop/calibration
REFERENCEDIR = $(DESTDIR)$(PREFIX)/share/ssltop/reference
# Where the shells of Debian look for what others install.
BASHDIR   = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSHDIR    = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISHDIR   = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
# Where Debian's python3 looks for what others install; nothing where there is none.
PYTHON    = $(wildcard /usr/bin/python3)
PYDIR     = $(DESTDIR)$(PREFIX)/lib/$(if $(filter /usr,$(PREFIX)),python3,$(shell $(PYTHON) -c \
              'import sys; print("python%d.%d" % sys.version_info[:2])'))/dist-packages/ssltop
install: ssltop $(CLIENT_SO) ## install to $(DESTDIR)$(PREFIX)
	install -D -m 755 ssltop $(DESTDIR)$(PREFIX)/bin/ssltop
	install -D -m 755 $(CLIENT_SO).1 $(DESTDIR)$(PREFIX)/lib/$(CLIENT_SO).1 && ln -sf $(CLIENT_SO).1 $(DESTDIR)$(PREFIX)/lib/$(CLIENT_SO)
	install -D -m 644 train/client/ssltop-client.h $(DESTDIR)$(PREFIX)/include/ssltop-client.h
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	printf 'prefix=%s\nName: ssltop-client\nDescription: record and steer a training with ssltop\nVersion: %s\nCflags: -I$${prefix}/include\nLibs: -L$${prefix}/lib -lssltop-client\n' \
	  '$(PREFIX)' '$(VERSION)' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/ssltop-client.pc
	[ -n "$(DESTDIR)" ] || ldconfig 2> /dev/null || true # so that programs find the library
	for so in cuda mpi; do [ ! -e ssltop-$$so.so ] || \
	  install -D -m 755 ssltop-$$so.so $(DESTDIR)$(PREFIX)/lib/ssltop/ssltop-$$so.so || exit 1; done
	install -d $(RECIPEDIR) && install -m 644 data/recipes/*.ini $(RECIPEDIR)
	install -d $(CALIBRATIONDIR)
	for f in data/calibration/*.json; do [ ! -e "$$f" ] || install -m 644 "$$f" $(CALIBRATIONDIR) || exit 1; done
	install -d $(REFERENCEDIR) && install -m 644 data/reference/*.jsonl $(REFERENCEDIR)
	install -D -m 644 man/ssltop.1 $(MANDIR)/man1/ssltop.1
	install -D -m 644 man/ssltop-log.5 $(MANDIR)/man5/ssltop-log.5
	install -D -m 644 man/ssltop-client.3 $(MANDIR)/man3/ssltop-client.3
	[ -z "$(PYTHON)" ] || { install -d $(PYDIR) && install -m 644 train/client/python/ssltop/*.py $(PYDIR); }
	install -d $(BASHDIR) $(ZSHDIR) $(FISHDIR)
	./ssltop completion bash > $(BASHDIR)/ssltop && ./ssltop completion zsh > $(ZSHDIR)/_ssltop && \
	  ./ssltop completion fish > $(FISHDIR)/ssltop.fish

wheel: $(CLIENT_SO) ## the Python package with the client's library, for pip, in build/
	$(Q)python3 train/client/python/wheel.py $(CLIENT_SO).1 $(VERSION) $(B)

include .package/package.mk

uninstall: ## remove what install put there
	rm -rf $(RECIPEDIR) $(CALIBRATIONDIR) $(REFERENCEDIR) $(if $(PYTHON),$(PYDIR))
	rm -f $(DESTDIR)$(PREFIX)/lib/ssltop/ssltop-cuda.so $(DESTDIR)$(PREFIX)/lib/ssltop/ssltop-mpi.so $(DESTDIR)$(PREFIX)/bin/ssltop $(DESTDIR)$(PREFIX)/lib/$(CLIENT_SO)* \
	  $(DESTDIR)$(PREFIX)/include/ssltop-client.h $(DESTDIR)$(PREFIX)/lib/pkgconfig/ssltop-client.pc $(MANDIR)/man1/ssltop.1 $(MANDIR)/man5/ssltop-log.5 \
	  $(MANDIR)/man3/ssltop-client.3 $(BASHDIR)/ssltop $(ZSHDIR)/_ssltop $(FISHDIR)/ssltop.fish

clean: ## remove everything that was built
	rm -rf build ssltop ssltop-cuda.so ssltop-mpi.so $(CLIENT_SO) $(CLIENT_SO).1

help: ## list the targets
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: all cuda-found check-cuda cuda-tested gpu-check gpu-bench deps deps-run deps-check deps-lint deps-bench run check check-slow kills bench study asan ubsan tsan sanitized format lint man wheel install uninstall clean help
