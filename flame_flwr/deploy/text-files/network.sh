#!/bin/sh
# As root: lets the node's service reach the server, this host's name servers and what is named
# here, and nobody else. Run it again when an address changes.
#   sh network.sh [NAME, ADDRESS or NETWORK...], such as: sh network.sh fhir.example.org 10.1.2.0/24
# What may be set in the environment:
#   FLAME_UNITS   the folder of systemd's units
set -eu
unit=@UNIT@
host=@HOST@

addresses=
for name in "$host" "$@"; do
    case $name in
        */*) found=$name ;;
        *) found=$(getent ahosts "$name" | awk '{print $1}' | grep -v % | sort -u | tr '\n' ' ') ;;
    esac
    if [ -z "$found" ]; then
        echo "$0: $name has no address on this host: is its name right, and does this host know it?" >&2
        exit 1
    fi
    addresses="$addresses $found"
done
servers=$(awk '$1 == "nameserver" && $2 !~ /%/ {print $2}' /etc/resolv.conf | tr '\n' ' ')
folder=${FLAME_UNITS:-/etc/systemd/system}/$unit.d
mkdir -p -- "$folder"
cat >"$folder/network.conf" <<END
# Written by network.sh: whom the node's service may exchange packets with, beside this host.
[Service]
IPAddressAllow=$addresses $servers
END
systemctl daemon-reload
systemctl try-restart "$unit"
echo "$unit may reach:$addresses $servers"
