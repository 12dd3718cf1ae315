#!/bin/sh
# Starts the node, Flower's SuperNode; node.toml says what it reads. What may be set in the environment:
#   FLAME_VENV    the Python environment with flame-flwr in it
#   FLAME_HOME    where the SuperNode keeps what it needs while it runs
#   FLAME_SERVER  the SuperLink, HOST:PORT
#   FLAME_PORT    the SuperNode's own port, on this host only
#   FLAME_PRELOAD modules that analyses need, imported once when the node starts: pandas,sklearn
set -eu
venv=@VENV@
home=@HOME@
server=@SERVER@
port=@PORT@
preload=@PRELOAD@

umask 077
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
venv=${FLAME_VENV:-$venv}
home=${FLAME_HOME:-$home}
PATH=$venv/bin:$PATH
export PATH FLWR_HOME="$home/flower" FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
if ! command -v flame-flwr >/dev/null; then
    echo "$0: there is no flame-flwr in $venv/bin: install flame-flwr there, or set FLAME_VENV" >&2
    exit 1
fi
if [ ! -f "$here/node.key" ]; then
    echo "$0: there is no $here/node.key: put this hospital's private key there" >&2
    exit 1
fi
mkdir -p -- "$home" "$FLWR_HOME"
cd -- "$home"
port=${FLAME_PORT:-$port}
if [ -x "$venv/bin/python" ]; then
    "$venv/bin/python" -m flame_flwr.deploy.ready 127.0.0.1 "$port" "$here/node.toml" || [ $? -ne 3 ] || exit 1
fi
set --
preload=${FLAME_PRELOAD-$preload}
if [ -n "$preload" ]; then
    set -- --preload "$preload"
fi
# Only signed apps, where the hospital says whose signatures it trusts.
if [ -f "$here/trusted-entities.yaml" ]; then
    set -- "$@" --trusted-entities "$here/trusted-entities.yaml"
fi
exec flame-flwr node start \
    --superlink "${FLAME_SERVER:-$server}" \
    --root-certificates "$here/ca.pem" \
    --auth-supernode-private-key "$here/node.key" \
    --node-config "$here/node.toml" \
    --host 127.0.0.1 \
    --port "$port" \
    "$@"
