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

# PostgreSQL's server, whose programs Debian keeps off the path: the tests of the shared signing store start their own.
install_postgres() {
    if command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; then
        return
    fi
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    command -v apt-get >/dev/null || { echo "error: initdb is missing; install PostgreSQL's server" >&2; exit 1; }
    say "installing PostgreSQL's server (apt-get install postgresql)"
    # No cluster of the system's: the tests make servers that end with them.
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo "create_main_cluster = false" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    "${as_root[@]}" apt-get update -q >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q postgresql >&2
}

# Anvil and the L1 contracts, as pinned by anvil/package-lock.json.
install_npm_packages() {
    local installed=anvil/node_modules/.package-lock.json
    if [ ! -e "$installed" ] || [ anvil/package-lock.json -nt "$installed" ]; then
        say "installing anvil and the L1 contracts (npm ci)"
        npm ci --prefix anvil --no-audit --no-fund --loglevel=error >&2
        touch "$installed"
    fi
}
