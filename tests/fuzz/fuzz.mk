# Every reader of something foreign under libFuzzer, with AddressSanitizer and UndefinedBehaviorSanitizer: tests/fuzz/targets.h
# has the list, tests/fuzz/fuzz.sh runs it. Read by the Makefile. Without OpenMP's pragmas: libgomp is there, which the
# libraries use, and a second runtime would be one too many.
FUZZ_S    ?= 60
FUZZ_CC   ?= clang
TARGETS   ?=
FUZZ_B    := $(B)/fuzz
FUZZ_FLAGS := -std=gnu17 -O2 -g -w -fno-omit-frame-pointer -fno-math-errno -ffp-contract=off -D__SANITIZE_ADDRESS__=1 \
              -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_SRC  := $(filter-out tests/fuzz/test_%,$(wildcard tests/fuzz/*.c))
FUZZ_OBJ  := $(patsubst $(B)/%,$(FUZZ_B)/%,$(PARTS)) $(FUZZ_SRC:%.c=$(FUZZ_B)/%.o)

# clang 14 does not know the names of instruction sets that this asks for: none is there.
$(FUZZ_B)/gpu/cpu/processor.o: FUZZ_FLAGS += '-D__builtin_cpu_supports(x)=0'

$(FUZZ_B)/%.o: %.c Makefile tests/fuzz/fuzz.mk
	@mkdir -p $(@D)
	@echo "  CC    $< (fuzz)"
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_B)/$(KERNELS)_%.o: $(KERNELS).c Makefile tests/fuzz/fuzz.mk
	@mkdir -p $(@D)
	@echo "  CC    $< ($*, fuzz)"
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_FLAGS) $(ISA_$*) -DISA=$* '-DISA_FAMILY="fuzz"' -MMD -MP -c -o $@ $<

$(FUZZ_B)/fuzz: $(FUZZ_OBJ)
	@echo "  LINK  $@"
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined $(LDFLAGS) -o $@ $^ $(LIBS) -lgomp

deps-fuzz:
	$(call install_missing,$(DEPS_BUILD) $(DEPS_FUZZ))

fuzz: deps-fuzz ## fuzz every reader of something foreign (FUZZ_S=60 seconds each; TARGETS="log npy": these)
	@$(MAKE) --no-print-directory $(FUZZ_B)/fuzz
	@FUZZ_S=$(FUZZ_S) tests/fuzz/fuzz.sh $(FUZZ_B) $(TARGETS)

-include $(wildcard $(FUZZ_OBJ:.o=.d))
.PHONY: fuzz deps-fuzz
