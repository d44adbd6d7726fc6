#!/bin/sh
# bundle.sh STAGE TREE OUT: complete what `make install` has put into TREE with what it needs where nothing of ours is
# installed, and archive it in OUT. `make bundle` calls it. .tar.gz: every system has what unpacks that.
set -eu
stage=$1 tree=$2 out=$3
here=$(dirname "$0")
name=$(basename "$tree")
PATH=$PATH:/usr/sbin:/sbin

# --- our programs: stripped, and linked so that they find lib/ ---
strip -o "$tree/bin/ssltop" "$stage/ssltop"
chmod 755 "$tree/bin/ssltop"
strip --strip-unneeded "$tree"/lib/libssltop-client.so.1
mkdir -p "$tree/lib/ssltop"
rm -f "$tree/lib/ssltop/ssltop-cuda.so"
for f in gpu-check bench-gpu ${CUDA_SO:+ssltop-cuda.so ceilings.so}; do
    strip --strip-unneeded -o "$tree/lib/ssltop/$f" "$stage/$f"
    chmod 755 "$tree/lib/ssltop/$f"
done
mpi='nothing: it was made without MPI'
if [ -e "$tree/lib/ssltop/ssltop-mpi.so" ]; then
    strip --strip-unneeded "$tree/lib/ssltop/ssltop-mpi.so"
    mpi=$(readelf -d "$tree/lib/ssltop/ssltop-mpi.so" | sed -n 's/.*\[\(libmpi[a-z]*\.so\.[0-9]*\)\].*/\1/p' | tr '\n' ' ')
fi
ln -s bin/ssltop "$tree/ssltop"
ln -s ../../lib/libssltop-client.so.1 "$tree/python/ssltop/libssltop-client.so.1"
# shellcheck disable=SC2016
sed -i 's|-\([IL]\)/|-\1${pcfiledir}/../../|g' "$tree/lib/pkgconfig/ssltop-client.pc"

# --- the libraries that they need, all but glibc's, and their licences ---
licences=$tree/share/doc/ssltop/licences
mkdir -p "$licences"
glibc='^(linux-vdso|ld-linux.*|libc|libm|libmvec|libdl|librt|libpthread|libutil|libresolv|libanl)\.so'
for f in "$stage/ssltop" "$stage/gpu-check" "$stage/bench-gpu"; do ldd "$f"; done |
    awk '/not found/ { print > "/dev/stderr"; exit 1 } $2 == "=>" && $3 ~ /^\// { print $1, $3 }' | sort -u > "$stage/needed"
while read -r soname path; do
    if echo "$soname" | grep -Eq "$glibc"; then continue; fi
    cp -L "$path" "$tree/lib/$soname"
    chmod 644 "$tree/lib/$soname"
    file=$(readlink -f "$path")
    package=$(dpkg-query -S "$file" 2>/dev/null || dpkg-query -S "${file#/usr}" 2>/dev/null) ||
        { echo "bundle: $path belongs to no package: its licence is not known" >&2; exit 1; }
    package=${package%%:*}
    cp -L "/usr/share/doc/$package/copyright" "$licences/$package"
done < "$stage/needed"
for f in $(cat "$licences"/* | grep -oE '/usr/share/common-licenses/[A-Za-z0-9.+-]*[A-Za-z0-9]' | sort -u); do
    [ ! -e "$f" ] || cp -L "$f" "$licences/$(basename "$f").text"
done
cp LICENSE "$tree/share/doc/ssltop/LICENSE"

# --- terminals, for systems that know none ---
mkdir -p "$tree/share/ssltop/terminfo"
for t in xterm xterm-256color xterm-color screen screen-256color tmux tmux-256color linux vt100 vt220 rxvt \
    rxvt-unicode rxvt-unicode-256color alacritty foot konsole-256color putty-256color st-256color xterm-kitty; do
    ! infocmp -x "$t" > "$stage/type" 2>/dev/null || tic -x -o "$tree/share/ssltop/terminfo" "$stage/type" 2>/dev/null
done

# --- the check and the benchmark of a card, where they expect what they read ---
mkdir -p "$tree/tests/gpu" "$tree/tests/bench" "$tree/tests/fixtures" "$tree/share/doc/ssltop/examples"
cp tests/gpu/check.sh "$tree/tests/gpu/"
cp tests/bench/bench_gpu.sh tests/bench/bench_gpu_torch.py "$tree/tests/bench/"
cp tests/fixtures/*.fix tests/fixtures/pytorch.py "$tree/tests/fixtures/"
cp train/client/examples/*.py train/client/examples/*.c "$tree/share/doc/ssltop/examples/"
cp "$here/bundle/gpu-check" "$here/bundle/gpu-bench" "$here/bundle/Makefile" "$tree/"

# --- what it needs, said from what it is ---
newest=$(find "$tree/bin" "$tree/lib" -type f -exec objdump -T {} + 2>/dev/null | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
cuda=$([ -z "${CUDA_SO:-}" ] || readelf -d "$tree/lib/ssltop/ssltop-cuda.so" | sed -n 's/.*\[\(libcu[a-z]*\.so\.[0-9]*\)\].*/\1/p' | tr '\n' ' ')
sed -e "s/@VERSION@/$VERSION/; s/@ARCH@/$(uname -m)/; s/@MPI@/$mpi/; s/@GLIBC@/${newest#GLIBC_}/; s/@CUDA@/${cuda:-nothing: it was made without the CUDA device}/" \
    -e "s/@LIBRARIES@/$(find "$tree/lib" -maxdepth 1 -name '*.so.*' ! -name 'libssltop*' -printf '%f\n' | sort | tr '\n' ' ')/" \
    "$here/bundle/README" > "$tree/README"

tar --sort=name --owner=0 --group=0 --numeric-owner -C "$(dirname "$tree")" -cf - "$name" | gzip -9 > "$out/$name.tar.gz.part"
mv "$out/$name.tar.gz.part" "$out/$name.tar.gz"
size=$(stat -c %s "$out/$name.tar.gz")
echo "  TAR   $out/$name.tar.gz ($((size / 1000000)) MB, glibc ${newest#GLIBC_} or newer)"
[ "$size" -le 60000000 ] || { echo "bundle: more than 60 MB" >&2; exit 1; }
