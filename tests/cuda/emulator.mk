# The CUDA device's sources compiled for the host, with a stand-in for the card: plain; check (every access of a kernel
# is judged); asan; and check with one planted bug each (bugs/), for the test of the tests. Read by the Makefile.
PLAYED_OPT_plain := -O2
PLAYED_OPT_check := -O1 -DEMU_SHADOW
PLAYED_OPT_asan  := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
PLAYED_CU_plain  := -O2
PLAYED_CU_check  := -O1 -fsanitize=thread --param tsan-instrument-func-entry-exit=0
PLAYED_CU_asan   := $(PLAYED_OPT_asan)
PLAYED_C   := $(CUDA_SRC:%.c=%.o)
PLAYED_CC  := $(patsubst %.cc,%.o,$(sort $(wildcard tests/cuda/*.cc)))
PLAYED_ALL := $(PLAYED_C) $(PLAYED_CC) $(CU:%.cu=%.cu.o)
PLAYED_INC := -I. -D_GNU_SOURCE $(CUDA_INC)
PLAYED_CXX := g++ -std=c++17 -g -Wall -Wextra -Wno-unknown-pragmas $(WERROR) -fPIC -fvisibility=hidden \
              -ffp-contract=off $(PLAYED_INC) -DCUDA_SHIM='"tests/cuda/shim.h"' -MMD -MP
PLAYED_LD  := $(shell pkg-config --libs openblas 2>/dev/null) -lpthread -lm -ldl \
              -Wl,-Bsymbolic -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free
define played_mode
$(B)/played/$(1)/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$(Q)$(CC) $(CFLAGS) $(PLAYED_INC) $$(PLAYED_OPT_$(1)) -fPIC -fvisibility=hidden -MMD -MP -c -o $$@ $$<
$(B)/played/$(1)/%.cu.o: %.cu Makefile
	@mkdir -p $$(@D)
	$(Q)$$(PLAYED_CXX) $$(PLAYED_CU_$(1)) -x c++ -c -o $$@ $$<
$(B)/played/$(1)/%.o: %.cc Makefile
	@mkdir -p $$(@D)
	$(Q)$$(PLAYED_CXX) $$(PLAYED_OPT_$(1)) -c -o $$@ $$<
$(B)/played/$(1)/ssltop-cuda.so: $(PLAYED_ALL:%=$(B)/played/$(1)/%)
	@echo "  PLAY  $$@"
	$(Q)g++ -shared $$(PLAYED_OPT_$(1)) -o $$@ $$^ $$(PLAYED_LD)
-include $$(wildcard $(PLAYED_ALL:%.o=$(B)/played/$(1)/%.d))
endef
$(foreach m,plain check asan,$(eval $(call played_mode,$(m))))

# A bug is a patch of one file; its first line names the source to compile with it.
PLAYED_BUGS := $(patsubst tests/cuda/bugs/%.patch,%,$(sort $(wildcard tests/cuda/bugs/*.patch)))
define played_bug
$(B)/played/$(1)/ssltop-cuda.so: tests/cuda/bugs/$(1).patch $(PLAYED_ALL:%=$(B)/played/check/%) Makefile
	@rm -rf $$(@D) && mkdir -p $$(@D)/gpu && cp -r gpu/cuda $$(@D)/gpu
	@echo "  PLAY  $$@"
	$(Q)patch -s -d $$(@D) -p1 < $$<
	$(Q)$(if $(filter %.cu,$(2)),$$(PLAYED_CXX:-I.=-I$$(@D) -I.) $$(PLAYED_CU_check) -x c++,$(CC) $(CFLAGS) -I$$(@D) $(PLAYED_INC) \
	  $$(PLAYED_OPT_check) -fPIC -fvisibility=hidden) -c -o $$(@D)/bug.o $$(@D)/$(2)
	$(Q)g++ -shared -o $$@ $$(@D)/bug.o $$(filter-out $(B)/played/check/$(basename $(2)).%o,$(PLAYED_ALL:%=$(B)/played/check/%)) $$(PLAYED_LD)
endef
$(foreach b,$(PLAYED_BUGS),$(eval $(call played_bug,$(b),$(word 2,$(file < tests/cuda/bugs/$(b).patch)))))
PLAYED_SO := $(foreach m,plain check asan $(PLAYED_BUGS),$(B)/played/$(m)/ssltop-cuda.so)
