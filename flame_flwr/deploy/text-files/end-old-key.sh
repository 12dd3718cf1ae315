#!/bin/sh
# Shuts out the older keys of a hospital, once its node has come with the newest one.
#   sh end-old-key.sh HOSPITAL [--now]
# With --now without looking for the node, as when the old key was stolen.
set -eu
name=@NAME@

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
keys=$here/keys
hospital=${1:-}
if [ -z "$hospital" ]; then
    echo "usage: sh $0 HOSPITAL [--now]" >&2
    exit 2
fi
newest=
for file in "$keys/$hospital"+*.pub; do # in the order of their dates
    if [ -e "$file" ]; then newest=$file; fi
done
if [ -z "$newest" ]; then
    echo "$hospital has no key but its first one: a new one is made where it was provisioned, with --rotate" >&2
    exit 1
fi
if [ ! -e "${newest%.pub}.id" ]; then
    echo "the new key of $hospital is not registered yet: sh register.sh $hospital" >&2
    exit 1
fi
id=$(cat "${newest%.pub}.id")
if [ "${2:-}" != --now ] && ! sh "$here/connect.sh" flwr supernode list "$name" --format json |
    tr -d ' \n' | tr '}' '\n' | grep "\"node-id\":\"*$id\"*," | grep -q '"status":"online"'; then
    echo "the node of $hospital is not online with its new key, so its old one stays good." >&2
    echo "When it is, run this again; if the old key was stolen, run it now with --now." >&2
    exit 1
fi
mkdir -p -- "$keys/ended"
for file in "$keys/$hospital.pub" "$keys/$hospital"+*.pub; do
    if [ ! -e "$file" ] || [ "$file" = "$newest" ]; then continue; fi
    old=${file%.pub}
    if [ ! -e "$old.id" ]; then
        echo "there is no $old.id: unregister that node by its id in the list of nodes" >&2
        exit 1
    fi
    sh "$here/connect.sh" flwr supernode unregister "$(cat "$old.id")" "$name"
    mv -- "$old.pub" "$old.id" "$keys/ended/"
    echo "${old##*/}: this key is shut out for good"
done
