#!/usr/bin/env bash
# Installs what the build (or the peers) needs from the system, or says in one line what to install.
#   set-up.sh build | peers | faults | slurm
set -euo pipefail

command -v swift >/dev/null || { echo "quern needs a Swift toolchain, 6.2 or later: https://www.swift.org/install" >&2; exit 69; }
[ "$(uname)" = Linux ] || exit 0

packages=(zlib1g-dev pkg-config)
[ "${1:-build}" = peers ] && packages+=(python3 python3-venv python3-dev g++ cmake ninja-build)
[ "${1:-build}" = faults ] && packages+=(python3 strace gcc faketime)
[ "${1:-build}" = slurm ] && packages+=(python3 slurmctld slurmd slurm-client munge parallel)

# By what a package gives, since only Debian and its kin have packages of these names.
has() {
  case $1 in
    zlib1g-dev) pkg-config --exists zlib ;;
    python3-venv) python3 -c 'import ensurepip, venv' ;;
    python3-dev) test -e "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ;;
    ninja-build) command -v ninja ;;
    slurm-client) command -v sbatch ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

missing=()
for package in "${packages[@]}"; do has "$package" || missing+=("$package"); done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "quern needs what Debian calls ${missing[*]}; install it first" >&2
  exit 69
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "quern needs some packages; run: sudo apt-get install ${missing[*]}" >&2
  exit 69
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
