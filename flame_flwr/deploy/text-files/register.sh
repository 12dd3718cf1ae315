#!/bin/sh
# Registers hospitals with the SuperLink that runs on this host: all in keys/, or those it is given.
#   sh register.sh [HOSPITAL...]
# For one hospital by hand:
#   sh connect.sh flwr supernode register keys/HOSPITAL.pub @NAME@ --name HOSPITAL
set -eu
name=@NAME@

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
if [ $# -eq 0 ]; then
    for key in "$here"/keys/*.pub; do
        hospital=${key##*/}
        set -- "$@" "${hospital%.pub}"
    done
fi
failed=0
for hospital in "$@"; do
    said=$(sh "$here/connect.sh" flwr supernode register "$here/keys/$hospital.pub" "$name" \
        --name "$hospital" 2>&1) || true
    case $said in
        *"registered successfully"*)
            id=$(printf '%s\n' "$said" | sed -n 's/.*SuperNode \([0-9]*\) registered.*/\1/p')
            echo "$hospital: registered as node $id"
            echo "$id" >"$here/keys/$hospital.id"
            ;;
        *"already in use"*) echo "$hospital: its key is known already: registered, or shut out before" ;;
        *)
            printf '%s: NOT registered\n%s\n' "$hospital" "$said" >&2
            failed=1
            ;;
    esac
done
exit "$failed"
