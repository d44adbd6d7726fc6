# A package for the release it is built on, and an archive for where one is not root. Read by the Makefile.
ARCH     := $(shell uname -m)
RELEASE  := $(shell . /etc/os-release 2>/dev/null && echo $$ID$$VERSION_ID)
DEPS_DEB := dpkg-dev
STAGE    := $(B)/package
export VERSION CUDA_SO MPI_SO

# --- the package: what `make install` puts there, and the CUDA device and MPI as others where these are ---
deb: deps-deb ## make a Debian package for this release, in build/
	@$(MAKE) --no-print-directory ssltop $(CLIENT_SO) $(MPI_SO) $(if $(CUDA_SO),$(STAGE)/ssltop-cuda.so)
	@rm -rf $(STAGE)/root $(STAGE)/cuda
	@$(MAKE) --no-print-directory -s DESTDIR=$(CURDIR)/$(STAGE)/root PREFIX=/usr install
	@.package/deb.sh $(STAGE) $(B) '$(VERSION)+$(RELEASE)'

deps-deb:
	$(call install_missing,$(DEPS_BUILD) $(DEPS_DEB) python3)

# --- the archive: programs that find the libraries they carry, from wherever they lie. DT_RPATH, which holds for the
# libraries of libraries too, and comes before LD_LIBRARY_PATH; CUDA's are found when they are wanted (gpu/vendor.c) ---
$(STAGE)/ssltop: $(OBJ)
$(STAGE)/gpu-check: $(PARTS) $(GPU_TESTS_OBJ)
$(STAGE)/bench-gpu: $(PARTS) $(B)/tests/bench/bench_gpu.o
$(STAGE)/ssltop: CARRIED := $$ORIGIN/../lib
$(STAGE)/gpu-check $(STAGE)/bench-gpu: CARRIED := $$ORIGIN/..
$(STAGE)/ssltop $(STAGE)/gpu-check $(STAGE)/bench-gpu:
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(OMP) $(LDFLAGS) -Wl,--disable-new-dtags '-Wl,-rpath,$(CARRIED)' -o $@ $^ $(LIBS)

# No path of this machine: lib/ssltop knows none.
$(STAGE)/ssltop-cuda.so: $(CUDA_OBJ)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) -shared -o $@ $(CUDA_OBJ) $(filter-out -Wl$(,)-rpath%,$(CUDA_LD)) -Wl,--as-needed \
	  $(foreach l,cudart cublas cusolver cudnn,$(call cuda_lib,$(l))) -lm -lpthread -Wl,-z,defs
$(STAGE)/ceilings.so: $(B)/tests/bench/ceilings.o
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -o $@ $^ $(filter-out -Wl$(,)-rpath%,$(CUDA_LD)) $(foreach l,cudart cublas,$(call cuda_lib,$(l)))
, := ,

BUNDLE := $(STAGE)/ssltop-$(VERSION)-$(ARCH)
bundle: deps-deb ## make an archive that runs from any folder of any system with a glibc as new, in build/
	@$(MAKE) --no-print-directory ssltop $(CLIENT_SO) $(MPI_SO) $(addprefix $(STAGE)/,ssltop gpu-check bench-gpu $(if $(CUDA_SO),ssltop-cuda.so ceilings.so))
	@rm -rf $(BUNDLE)
	@$(MAKE) --no-print-directory -s DESTDIR=$(CURDIR)/$(BUNDLE) PREFIX= PYDIR=$(CURDIR)/$(BUNDLE)/python/ssltop install
	@.package/bundle.sh $(STAGE) $(BUNDLE) $(B)

.PHONY: deb deps-deb bundle
