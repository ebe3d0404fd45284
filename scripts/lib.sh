# Sourced by the other scripts. Plain POSIX sh, because macOS has an old bash and Debian's sh is dash.
# shellcheck shell=sh

BUF_VERSION=1.75.0
CARGO_FUZZ_VERSION=0.13.2
CONFORMANCE_VERSION=33.2.0
REDOCLY_VERSION=2.77.0
OLDEST_NODE=20
OLDEST_PYTHON=3.10
ENVOY_REQUIREMENTS=deploy/envoy/requirements.txt
KUBERNETES_REQUIREMENTS=deploy/kubernetes/requirements.txt
LINT_REQUIREMENTS=scripts/requirements.txt
MAIL_SERVER_REQUIREMENTS=tests/processes/mail_server/requirements.txt
S3_SERVER_REQUIREMENTS=tests/processes/s3_server/requirements.txt

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/mainstay
TOOLS=$CACHE/tools
# Outside the checkout, so that a clone stays clean; one for each clone, because cargo compares times and can't tell a file
# of one clone from that of another.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target-$(pwd -P | cksum | cut -d ' ' -f 1)}
export CARGO_TARGET_DIR

# The PATH of a non-login shell often lacks the directory that rustup installs to.
if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
  PATH=$HOME/.cargo/bin:$PATH
  export PATH
fi

step() {
  printf '\n==> %s\n' "$*" >&2
}

die() {
  printf 'mainstay: %s\n' "$*" >&2
  exit 1
}

have() {
  command -v "$1" >/dev/null 2>&1
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
# checksum of the file, so different pins use different directories.
venv_path() {
  printf '%s\n' "$TOOLS/venv-$(cksum <"$1" | cut -d ' ' -f 1)"
}

# Prints the directory of the console's packages, whether or not they are installed. Other locks use other directories.
console_packages() {
  npm_packages console
}

# Prints where the packages of a folder's package-lock.json are installed.
npm_packages() { # FOLDER
  printf '%s\n' "$TOOLS/$(basename "$1")-$(cksum <"$1/package-lock.json" | cut -d ' ' -f 1)"
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

# Exports where the tests find the programs that they start.
export_test_servers() {
  ENVOY_BIN=$(envoy_path)
  export ENVOY_BIN
  # The Python interpreters of the mail server and of the S3 server that the tests use.
  MAIL_SERVER_PYTHON=$(venv_path "$MAIL_SERVER_REQUIREMENTS")/bin/python
  S3_SERVER_PYTHON=$(venv_path "$S3_SERVER_REQUIREMENTS")/bin/python
  export MAIL_SERVER_PYTHON S3_SERVER_PYTHON
}

# Runs a command with one Postgres and one Redis for all test processes. A single test that is started by hand starts its
# own.
run_with_servers() {
  cargo build --quiet --locked --workspace --features fault-injection --example with_servers
  # Not `cargo run`: the variables that it sets would make the inner cargo rebuild some crates every time.
  "$CARGO_TARGET_DIR/debug/examples/with_servers" "$@"
}

# Prints the version of the workspace.
version() {
  sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml
}

# Builds the program of a release and prints its path; BINARY names one that is built already.
release_program() {
  if [ -z "${BINARY:-}" ]; then
    step 'cargo build --release'
    cargo build --release --locked --bin mainstay >&2
    BINARY=$CARGO_TARGET_DIR/release/mainstay
  fi
  printf '%s\n' "$BINARY"
}
