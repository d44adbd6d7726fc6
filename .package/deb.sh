#!/bin/sh
# deb.sh STAGE OUT VERSION: make Debian packages of what `make install` has put into STAGE/root: ssltop, and ssltop-cuda and
# ssltop-mpi where these were built. `make deb` calls it. What they depend on is read off the programs.
set -eu
stage=$(realpath "$1") out=$(realpath "$2") version=$3
top=$(pwd)
arch=$(dpkg --print-architecture)
who=${DEBFULLNAME:-The ssltop maintainers}' <'${DEBEMAIL:-ssltop@packages.invalid}'>'
# The day of the newest change: the same sources, the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile)}
export SOURCE_DATE_EPOCH
date=$(date -u -R -d "@$SOURCE_DATE_EPOCH")

# describe NAME: copyright and changelog.
describe() {
    doc=$stage/root-$1/usr/share/doc/$1
    mkdir -p "$doc"
    { printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: ssltop\n\nFiles: *\n'
      sed -n 's/^Copyright *(c) */Copyright: /p' "$top/LICENSE"
      echo 'License: Expat'
      sed '1,/^Copyright/d' "$top/LICENSE" | sed '1{/^$/d}; s/^$/./; s/^/ /'; } > "$doc/copyright"
    printf 'ssltop (%s) unstable; urgency=medium\n\n  * Built by "make deb".\n\n -- %s  %s\n' "$version" "$who" "$date" |
        gzip -9n > "$doc/changelog.gz"
}

# needs ROOT FILE...: "libc6 (>= 2.36), ..." of programs and libraries.
needs() {
    root=$1
    shift
    mkdir -p "$stage/shlibs/debian"
    echo 'Source: ssltop' > "$stage/shlibs/debian/control"
    (cd "$stage/shlibs" && dpkg-shlibdeps -O --ignore-missing-info -x"ssltop" -l"$root/usr/lib" "$@" 2> warnings) |
        sed -n 's/^shlibs:Depends=//p'
}

# finish NAME: sums, sizes, the package.
finish() {
    root=$stage/root-$1
    find "$root" -type d -exec chmod 755 {} +
    (cd "$root" && find usr -type f -exec md5sum {} + | sort -k 2) > "$root/DEBIAN/md5sums"
    sed -i "s/^@SIZE@/Installed-Size: $(du -k -s --apparent-size "$root/usr" | cut -f 1)/" "$root/DEBIAN/control"
    find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$out/$1_${version}_$arch.deb" > /dev/null
    echo "  DEB   $(realpath --relative-to="$top" "$out/$1_${version}_$arch.deb")"
}

rm -rf "$stage/root-ssltop" "$stage"/root-ssltop-* "$stage/shlibs"
mv "$stage/root" "$stage/root-ssltop"
root=$stage/root-ssltop
mkdir -p "$root/DEBIAN"
rm -rf "$root/usr/lib/ssltop"
strip --remove-section=.comment --remove-section=.note "$root/usr/bin/ssltop"
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root"/usr/lib/libssltop-client.so.1
chmod 644 "$root"/usr/lib/libssltop-client.so.1
find "$root/usr/share/man" -type f -exec gzip -9n {} +
mkdir -p "$root/usr/share/doc/ssltop/examples"
cp README.md "$root/usr/share/doc/ssltop/"
install -m 644 train/client/examples/* "$root/usr/share/doc/ssltop/examples/"
describe ssltop
cat > "$root/DEBIAN/control" <<END
Package: ssltop
Version: $version
Architecture: $arch
Maintainer: $who
Section: science
Priority: optional
@SIZE@
Depends: $(needs "$root" "$root/usr/bin/ssltop" "$root/usr/lib/libssltop-client.so.1")
Recommends: dataset-fashion-mnist, python3
Suggests: python3-torch, python3-numpy
Description: top(1) for self-supervised learning
 Trains a Siamese network without negatives (SimSiam, BYOL) on a CPU or GPU, or
 looks at a training in PyTorch, JAX, NumPy or C, and shows at every step, live
 in a terminal, whether its representation is collapsing: the spectrum of
 singular values, the collapse metric and the probe accuracy to be expected.
 .
 Every run is recorded in a compressed log that replays in the same screen. The
 package has the program, its client library and the Python package for other
 people's trainings.
END
echo 'libssltop-client 1 ssltop' > "$root/DEBIAN/shlibs"
echo 'activate-noawait ldconfig' > "$root/DEBIAN/triggers"
cat > "$root/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ] && command -v py3compile > /dev/null; then
    py3compile -p ssltop
fi
END
# What a Python has compiled beside the modules goes with them, whoever made it do so.
cat > "$root/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if command -v py3clean > /dev/null; then
    py3clean -p ssltop
fi
rm -rf /usr/lib/python3/dist-packages/ssltop/__pycache__
END
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
finish ssltop

# plug_in WHAT SECTION LIBRARY: a package of what is loaded where it is wanted; its description comes on standard input.
plug_in() {
    root=$stage/root-ssltop-$1
    mkdir -p "$root/DEBIAN" "$root/usr/lib/ssltop"
    strip --strip-unneeded -o "$root/usr/lib/ssltop/ssltop-$1.so" "$3"
    chmod 644 "$root/usr/lib/ssltop/ssltop-$1.so"
    describe "ssltop-$1"
    cat > "$root/DEBIAN/control" <<END
Package: ssltop-$1
Source: ssltop
Version: $version
Architecture: $arch
Maintainer: $who
Section: $2
Priority: optional
@SIZE@
Depends: ssltop (= $version), $(needs "$root" "$root/usr/lib/ssltop/ssltop-$1.so")
$(cat)
END
    finish "ssltop-$1"
}

if [ -n "${CUDA_SO:-}" ]; then
    plug_in cuda contrib/science "$stage/ssltop-cuda.so" <<END
Description: CUDA device for ssltop
 What ssltop needs to train on an NVIDIA GPU. The libraries of CUDA and cuDNN
 that no package of Debian has are looked for where ssltop(1) says: a toolkit in
 /usr/local/cuda or named by CUDA=, a conda environment, the nvidia packages of
 a Python.
END
else
    echo "  DEB   without the CUDA device: $(make -s --no-print-directory cuda-found | sed 's/^ *CUDA *//')"
fi
if [ -n "${MPI_SO:-}" ]; then
    plug_in mpi science "$MPI_SO" <<END
Description: training in several processes for ssltop
 What ssltop needs to share a training between processes that mpirun or srun
 has started.
END
else
    echo "  DEB   without several processes: $(make -s --no-print-directory mpi-found | sed 's/^ *MPI *//')"
fi
