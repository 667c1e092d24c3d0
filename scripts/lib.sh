# Sourced by the other scripts: finds the project, checks the tools, installs what npm brings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

need() {
    command -v "$1" >/dev/null || { echo "error: $1 is missing; $2" >&2; exit 1; }
}

need cargo "install Rust ($(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer) with rustup"
need cc "install a C compiler (Debian: apt-get install build-essential)"
need npm "install Node.js 20 or newer with npm"

# Anvil and the L1 contracts, as pinned by anvil/package-lock.json.
install_npm_packages() {
    local installed=anvil/node_modules/.package-lock.json
    if [ ! -e "$installed" ] || [ anvil/package-lock.json -nt "$installed" ]; then
        say "installing anvil and the L1 contracts (npm ci)"
        npm ci --prefix anvil --no-audit --no-fund --loglevel=error >&2
        touch "$installed"
    fi
}
