#!/usr/bin/env bash
# Builds the container image, starts it as anyone would on a read-only root, states and reads preferences, holds it to the rules
# of deploy/image_rules.py, and starts it again on the same data. Uses what is there, in this order:
#   IMAGE_BUILDER   a program that knows `build FOLDER TAG` and `run TAG`, the latter on this machine's own network
#   docker, podman  when their engine answers
#   buildah         as root, without an engine; where the registry is out of reach, on a stand-in for python:X.Y-slim made of
#                   Debian's packages (debootstrap) and a Python of this machine, started by deploy/confine.sh
# Where none is there it says NOT RUN and ends well. INSTALL=1 installs buildah and debootstrap first (root on Debian).
set -euo pipefail
cd "$(dirname "$0")/.."

tag=guestprefs:test
work=$(mktemp -d)
log=$work/container.log
container=""
runner=""
first=""

say() { printf 'image-test: %s\n' "$*"; }

finish() {
    local code=$?
    if [ -n "$first" ]; then kill -KILL "$first" 2>/dev/null || true; fi
    if [ -n "$runner" ]; then kill -TERM "$runner" 2>/dev/null || true; wait "$runner" 2>/dev/null || true; fi
    case ${kind:-} in
    docker | podman) if [ -n "$container" ]; then "$kind" rm --force --volumes "$container" >/dev/null 2>&1 || true; fi ;;
    buildah) if [ -n "$container" ]; then buildah rm "$container" >/dev/null 2>&1 || true; fi ;;
    esac
    if [ "$code" -ne 0 ] && [ -s "$log" ]; then say "the container said:"; tail -n 40 "$log" | cut -c 1-600; fi
    rm -rf "$work"
}
trap finish EXIT

choose() {
    if [ -n "${IMAGE_BUILDER:-}" ]; then echo builder
    elif docker info >/dev/null 2>&1; then echo docker
    elif podman info >/dev/null 2>&1; then echo podman
    elif [ "$(id -u)" = 0 ] && command -v buildah >/dev/null && command -v debootstrap >/dev/null; then echo buildah
    fi
}

# A stand-in for the base image, made once and kept by buildah: the same Debian, the same place of Python, the same version.
stand_in() {
    local version=$1 name=localhost/python:$1-slim root=$work/root python prefix mirror libraries release
    if buildah inspect --type image "$name" >/dev/null 2>&1; then return; fi
    if buildah pull -q "python:$version-slim" >/dev/null 2>&1; then return; fi
    say "the registry is out of reach: making a stand-in for python:$version-slim"
    for python in "python$version" .venv/bin/python "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3; do
        prefix=$("$python" -c 'import sys; print(sys.base_prefix); sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' \
            "$version" 2>/dev/null) && break
        prefix=""
    done
    [ -n "$prefix" ] || { echo "no Python $version on this machine to make a stand-in from"; return 1; }
    mirror=$({ grep -rhoE '^(URIs: |deb ).*' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null || true; } |
        grep -i debian | grep -v security | grep -oE 'https?://[^ ]+' | sed -n 1p)
    libraries=ca-certificates,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,libncursesw6
    # shellcheck source=/dev/null
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debootstrap --variant=minbase --include="$libraries,libexpat1,libuuid1" "$release" "$root" "$mirror" \
        >"$work/debootstrap.log" 2>&1 || { tail -n 5 "$work/debootstrap.log"; return 1; }
    cp -a "$prefix/." "$root/usr/local/"
    ln -sf "python$version" "$root/usr/local/bin/python3"
    ln -sf python3 "$root/usr/local/bin/python"
    local script
    for script in "$root"/usr/local/bin/pip*; do sed -i "1s|^#!.*|#!/usr/local/bin/python$version|" "$script"; done
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    echo /usr/local/lib >"$root/etc/ld.so.conf.d/python.conf"
    chroot "$root" ldconfig
    printf 'FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n' >"$work/Base"
    buildah bud -q -f "$work/Base" -t "$name" "$root" >/dev/null
}

build() {
    case $kind in
    builder) "$IMAGE_BUILDER" build . "$tag" ;;
    docker | podman) "$kind" build --tag "$tag" . ;;
    buildah)
        local version
        for version in $(sed -nE 's/^FROM +python:([0-9]+\.[0-9]+)-slim.*/\1/p' Dockerfile | sort -u); do
            stand_in "$version" || return 1
        done
        buildah bud --pull-never -t "$tag" . ;;
    esac
}

# The image's own command, as its own account, on the data of the time before. Sets `url`, `inside` (the words that run a
# command within), `container`, and `runner` (what is there as long as it runs).
start() {
    case $kind in
    docker | podman)
        if [ -z "$container" ]; then
            container=$("$kind" create --publish 127.0.0.1::8080 \
                --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges "$tag")
        fi
        "$kind" start "$container" >/dev/null
        url=http://$("$kind" port "$container" 8080/tcp | sed -n 1p)
        "$kind" logs --follow "$container" >>"$log" 2>&1 &
        runner=$!
        inside=("$kind" exec "$container") ;;
    *)
        # These share this machine's network, where the image's port must be free.
        .venv/bin/python -c 'import socket; socket.create_server(("0.0.0.0", 8080)).close()' 2>/dev/null ||
            { say "FAILED: port 8080 is taken on this machine"; exit 1; }
        url=http://127.0.0.1:8080
        "start_by_$kind" ;;
    esac
}

start_by_builder() {
    local before
    before=$(buildah containers --quiet 2>/dev/null | sort || true)
    setsid "$IMAGE_BUILDER" run "$tag" >"$log" 2>&1 &
    runner=$!
    for _ in $(seq 100); do
        container=$(buildah containers --quiet 2>/dev/null | sort | comm -13 <(printf '%s\n' "$before") - | sed -n 1p)
        [ -z "$container" ] || break
        sleep 0.1
    done
    inside=(buildah run "$container" --)
}

# What the image says of itself.
told() { buildah inspect --type image --format "$1" "$tag" | sed '/^$/d'; }

start_by_buildah() {
    local root command given confined
    [ -n "$container" ] || container=$(buildah from --pull-never "$tag")
    root=$(buildah mount "$container")
    [ -d "$work/data" ] || cp -a "$root/data" "$work/data"
    mapfile -t given < <(told '{{range .OCIv1.Config.Env}}{{println .}}{{end}}')
    mapfile -t command < <(told '{{range .OCIv1.Config.Cmd}}{{println .}}{{end}}')
    confined=("$(told '{{.OCIv1.Config.User}}')" "$(told '{{.OCIv1.Config.WorkingDir}}')" "${given[@]}")
    sh deploy/confine.sh start "$root" "$work/data" "${confined[@]}" "${command[@]}" >>"$log" 2>&1 &
    runner=$!
    first=""
    for _ in $(seq 100); do
        first=$(tr -d ' ' <"/proc/$runner/task/$runner/children" 2>/dev/null || true)
        [ -z "$first" ] || break
        sleep 0.1
    done
    inside=(sh deploy/confine.sh enter "$first" "$root" "${confined[@]}")
}

ready() {
    local attempt
    for attempt in $(seq 300); do
        if .venv/bin/python -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=2)' "$url/readyz" 2>/dev/null; then
            return
        fi
        kill -0 "$runner" 2>/dev/null || { say "FAILED: the container ended before it was ready"; exit 1; }
        [ "$attempt" -lt 300 ] || { say "FAILED: the container is not ready after a minute"; exit 1; }
        sleep 0.2
    done
}

# Asked to stop as an engine asks; it must end by itself, and well.
stop() {
    local code=0
    case $kind in
    docker | podman)
        "$kind" stop --time 30 "$container" >/dev/null
        code=$("$kind" inspect --format '{{.State.ExitCode}}' "$container") ;;
    buildah)
        kill -TERM "$first"
        wait "$runner" || code=$? ;;
    esac
    runner="" first=""
    [ "$code" = 0 ] || { say "FAILED: asked to stop, the container ended with $code"; exit 1; }
}

if [ "${INSTALL:-}" = 1 ] && [ -z "$(choose)" ]; then
    apt-get update -qq && apt-get install -y -qq buildah debootstrap >/dev/null
fi
kind=$(choose)
if [ -z "$kind" ]; then
    say "NOT RUN: neither docker, podman nor buildah works here (as root on Debian: make image-test INSTALL=1)"
    exit 0
fi
# Without an engine: no daemon, no overlay file system, no name spaces needed.
if [ "$kind" = builder ] || [ "$kind" = buildah ]; then export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs; fi

say "building with $kind"
build >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log"; say "FAILED: the image does not build"; exit 1; }
say "starting"
start
ready
.venv/bin/python deploy/first_preference.py state "$url" "${inside[@]}"
confined=""
[ "$kind" != builder ] || confined=loose
"${inside[@]}" python -c "$(cat deploy/image_rules.py)" $confined
if [ "$kind" = builder ]; then
    say "PASSED, but for a read-only root, capabilities and a second start, which IMAGE_BUILDER does not have"
    exit 0
fi
say "stopping, and starting again on the same data"
stop
start
ready
.venv/bin/python deploy/first_preference.py read "$url" "${inside[@]}"
stop
say "PASSED: built, started on a read-only root without any right, stated and read, stopped, started and read again"
