#!/bin/sh
# Runs a command that is to reach the SuperLink of a federation:
#   sh connect.sh flame-flwr submit APP NAME
# What may be set in the environment:
#   FLAME_VENV    the Python environment with flame-flwr in it
#   FLAME_HOME    where the connection is written down for Flower; beside this file otherwise
#   FLAME_SERVER  the SuperLink, HOST:PORT
set -eu
name=@NAME@
venv=@VENV@
server=@SERVER@

umask 077
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
if [ $# -eq 0 ]; then
    echo "usage: sh $0 COMMAND, such as: sh $0 flwr supernode list $name" >&2
    exit 2
fi
PATH=${FLAME_VENV:-$venv}/bin:$PATH
export PATH FLWR_HOME="${FLAME_HOME:-$here/flower}" FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
if ! command -v "$1" >/dev/null; then
    echo "$0: there is no $1: install flame-flwr in $venv, or set FLAME_VENV" >&2
    exit 1
fi
server=${FLAME_SERVER:-$server}
# Where the server is behind a proxy, which knows an analyst by a certificate.
if [ -f "$here/analyst.key" ]; then
    exec python -m flame_flwr.deploy.forwarder "$name" "$server" "$here" "$@"
fi
mkdir -p -- "$FLWR_HOME"
certificate=$(printf '%s' "$here/ca.pem" | sed 's/[\\"]/\\&/g')
new=$FLWR_HOME/config.toml.$$
cat >"$new" <<END
[superlink]
default = "$name"

[superlink.$name]
address = "$server"
root-certificates = "$certificate"
END
mv -f -- "$new" "$FLWR_HOME/config.toml"
exec "$@"
