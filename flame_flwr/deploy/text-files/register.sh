#!/bin/sh
# Registers hospitals with the SuperLink that runs on this host: all in keys/, or those it is given.
#   sh register.sh [HOSPITAL...]
# A hospital has one key, and while it changes to a new one two: HOSPITAL.pub and HOSPITAL+DATE.pub.
# For one key by hand:
#   sh connect.sh flwr supernode register keys/HOSPITAL.pub @NAME@ --name HOSPITAL
set -eu
name=@NAME@

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
if [ $# -eq 0 ]; then
    for file in "$here"/keys/*.pub; do
        key=${file##*/}
        set -- "$@" "${key%.pub}"
    done
else
    for hospital in "$@"; do
        shift
        found=
        for file in "$here/keys/$hospital.pub" "$here/keys/$hospital"+*.pub; do
            if [ -e "$file" ]; then
                found=${file##*/}
                set -- "$@" "${found%.pub}"
            fi
        done
        if [ -z "$found" ]; then set -- "$@" "$hospital"; fi # Flower says that there is no such file
    done
fi
failed=0
for key in "$@"; do
    hospital=${key%%+*}
    said=$(sh "$here/connect.sh" flwr supernode register "$here/keys/$key.pub" "$name" \
        --name "$hospital" 2>&1) || true
    case $said in
        *"registered successfully"*)
            id=$(printf '%s\n' "$said" | sed -n 's/.*SuperNode \([0-9]*\) registered.*/\1/p')
            echo "$key: registered as node $id"
            echo "$id" >"$here/keys/$key.id"
            ;;
        *"already in use"*) echo "$key: its key is known already: registered, or shut out before" ;;
        *)
            printf '%s: NOT registered\n%s\n' "$key" "$said" >&2
            failed=1
            ;;
    esac
done
exit "$failed"
