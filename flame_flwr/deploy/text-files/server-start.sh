#!/bin/sh
# Starts the SuperLink of a federation. What may be set in the environment:
#   FLAME_VENV    the Python environment with flame-flwr in it
#   FLAME_HOME    where the SuperLink keeps its database
#   FLAME_LISTEN  the address it listens on
#   FLAME_PORT    the port it listens on
set -eu
venv=@VENV@
home=@HOME@
listen=@LISTEN@
port=@PORT@

umask 077
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
venv=${FLAME_VENV:-$venv}
home=${FLAME_HOME:-$home}
PATH=$venv/bin:$PATH
export PATH FLWR_HOME="$home/flower" FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
if ! command -v flower-superlink >/dev/null; then
    echo "$0: there is no flower-superlink in $venv/bin: install flame-flwr there, or set FLAME_VENV" >&2
    exit 1
fi
mkdir -p -- "$home" "$FLWR_HOME"
cd -- "$home"
listen=${FLAME_LISTEN:-$listen}
port=${FLAME_PORT:-$port}
if [ -x "$venv/bin/python" ]; then
    "$venv/bin/python" -m flame_flwr.deploy.ready "$listen" "$port" || [ $? -ne 3 ] || exit 1
fi
exec flower-superlink \
    --host "$listen" \
    --port "$port" \
    --ssl-ca-certfile "$here/ca.pem" \
    --ssl-certfile "$here/server.pem" \
    --ssl-keyfile "$here/server.key" \
    --enable-supernode-auth \
    --database "$home/superlink.db" \
    --disable-runtime-dependency-installation
