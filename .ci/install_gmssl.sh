#!/bin/sh
# Builds the gmssl command (GmSSL 3.1.1, Apache-2.0) into PREFIX, default /usr/local, from the source
# package easy-gmssl of PyPI, which carries GmSSL's sources. The SM2 interoperability tests call it.
#
#     .ci/install_gmssl.sh [PREFIX]
#
# Needs a C compiler, cmake, make and python3 with venv. Does nothing if PREFIX/bin/gmssl is there and
# of the right version.
set -eu

prefix=${1:-/usr/local}
version=2.0.1
sha256=18f74927a4a0a57c46d2912284bc0232a792a0fb8d078c2346b2a05f4b7e9607
gmssl="GmSSL 3.1.1"

if [ -x "$prefix/bin/gmssl" ] && "$prefix/bin/gmssl" version 2>/dev/null | grep -q "$gmssl"; then
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" -m venv "$work/python"
# The hash pins the sources; pip also checks that nothing else is fetched under this name.
echo "easy-gmssl==$version --hash=sha256:$sha256" > "$work/requirements"
"$work/python/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
    --require-hashes --requirement "$work/requirements" --dest "$work"
tar -xzf "$work/easy_gmssl-$version.tar.gz" -C "$work"

# Static, so that the one file can be copied anywhere.
cmake -S "$work/easy_gmssl-$version/easy_gmssl/Core/GmSSL-3.1.1" -B "$work/build" \
    -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF > "$work/log" 2>&1 &&
    cmake --build "$work/build" --target gmssl-bin --parallel "$(nproc)" >> "$work/log" 2>&1 || {
    cat "$work/log" >&2
    echo "install_gmssl: gmssl could not be built" >&2
    exit 1
}
install -D "$work/build/bin/gmssl" "$prefix/bin/gmssl"
"$prefix/bin/gmssl" version
