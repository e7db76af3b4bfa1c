#!/bin/sh
# Starts a program of an image's unpacked root as `docker run --read-only --tmpfs /tmp --cap-drop ALL --user USER
# --security-opt no-new-privileges --volume DATA:/data` would, where there is no engine; or one more beside it. Needs root.
#   confine.sh start ROOT DATA USER:GROUP FOLDER [NAME=VALUE ...] COMMAND...     the command is process 1; it ends all others
#   confine.sh enter PID ROOT USER:GROUP FOLDER [NAME=VALUE ...] COMMAND...      PID: process 1, as this machine counts
set -eu

# Rights are given away inside, where setpriv is the image's own: nothing of this machine is left to the program.
within='
    root=$1 user=$2 folder=$3; shift 3
    exec chroot "$root" setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --bounding-set=-all --inh-caps=-all \
        --no-new-privs -- env --ignore-environment --chdir="$folder" "$@"'

what=$1; shift
case $what in
start)
    root=$1 data=$2; shift 2
    exec unshare --mount --pid --fork --kill-child --propagation private sh -euc '
        data=$1 within=$2 root=$3
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
        mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
        for device in null zero full random urandom; do
            : >"$root/dev/$device"
            mount --bind "/dev/$device" "$root/dev/$device"
        done
        mkdir -m 1777 "$root/dev/shm"
        mount --bind "$data" "$root/data"
        mount -o remount,bind,ro "$root"
        shift 2
        exec sh -euc "$within" sh "$@"' sh "$data" "$within" "$root" "$@" ;;
enter)
    pid=$1; shift
    exec nsenter --target "$pid" --mount --pid sh -euc "$within" sh "$@" ;;
*) sed -n '2,5p' "$0"; exit 2 ;;
esac
